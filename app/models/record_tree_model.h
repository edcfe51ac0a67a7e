#pragma once

#include "app/workspace.h"

#include <QAbstractItemModel>

#include <memory>
#include <vector>

namespace secateur {

/// The Models & plans tree: the model, its plans below their parents, runs below their plan. Columns Name, Parameters.
class RecordTreeModel : public QAbstractItemModel {
    Q_OBJECT
public:
    enum Column { Name, Parameters, ColumnCount };
    enum Role { IdRole = Qt::UserRole + 1 };

    explicit RecordTreeModel(Workspace *workspace, QObject *parent = nullptr);
    ~RecordTreeModel() override;

    QModelIndex indexOf(const QString &id) const;
    QString idOf(const QModelIndex &index) const;

    QModelIndex index(int row, int column, const QModelIndex &parent = {}) const override;
    QModelIndex parent(const QModelIndex &index) const override;
    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    bool setData(const QModelIndex &index, const QVariant &value, int role = Qt::EditRole) override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex &index) const override;

Q_SIGNALS:
    void rebuilt(); ///< expand and select again

private:
    struct Node;
    Workspace *m_workspace;
    std::unique_ptr<Node> m_root;

    void rebuild();
    Node *nodeOf(const QModelIndex &index) const;
    void appendPlans(Node *parent, const std::string &parentPlan, int depth);
    void appendRuns(Node *parent, const std::string &plan);
};

} // namespace secateur
