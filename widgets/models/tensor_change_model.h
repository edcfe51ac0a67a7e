#pragma once

#include "backend/core/pruning_plan.h"

#include <QAbstractTableModel>

#include <vector>

namespace secateur {

/// Dependency preview: Tensor, Before → After, Parameters, Why.
class TensorChangeModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { TensorName, Before, After, Parameters, Why, ColumnCount };
    explicit TensorChangeModel(QObject *parent = nullptr);
    void setChanges(std::vector<TensorChange> changes);

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    std::vector<TensorChange> m_changes;
};

} // namespace secateur
