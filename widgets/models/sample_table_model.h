#pragma once

#include "backend/core/eval_report.h"

#include <QAbstractTableModel>

#include <vector>

namespace secateur {

/// Samples of one task for one or two models: item, verdict and tokens of each; filterable by how the verdict changed.
class SampleTableModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum class Filter { All, RightToWrong, WrongToRight, Truncated };
    explicit SampleTableModel(QObject *parent = nullptr);
    /// \a right may be null.
    void setReports(EvaluationReportPtr left, EvaluationReportPtr right, const QString &task);
    void setFilter(Filter filter);
    const SampleResult *left(int row) const;
    const SampleResult *right(int row) const; ///< same docId; nullptr when there is none

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    EvaluationReportPtr m_left, m_right;
    QString m_task;
    Filter m_filter = Filter::All;
    std::vector<std::pair<const SampleResult *, const SampleResult *>> m_rows;
    void rebuild();
};

} // namespace secateur
