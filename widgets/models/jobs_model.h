#pragma once

#include <QAbstractTableModel>
#include <QString>

#include <vector>

namespace secateur {

/// One row of the Jobs dock, as values (widgets do not know the job runner).
struct JobRow {
    enum class State { Waiting, Running, Stopping, Done, Cancelled, Failed };
    int id = 0;
    QString title;
    QString subject;
    QString stage; ///< translated
    State state = State::Waiting;
    qint64 done = 0, total = 0;
    qint64 elapsedMs = 0;
    double tokensPerSecond = 0;
    qint64 memoryBytes = 0;
    QString message;
};

/// Jobs, newest last. Columns Job, Model, Progress, Stage, Remaining, Speed, Memory.
class JobsModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Job, Subject, ProgressColumn, Stage, Remaining, Speed, Memory, ColumnCount };
    enum Role { IdRole = Qt::UserRole + 1, FractionRole, StateRole }; ///< fraction −1: unknown
    explicit JobsModel(QObject *parent = nullptr);
    void setJob(const JobRow &row); ///< adds or updates by id
    void removeFinished();
    int runningCount() const; ///< waiting and running
    const JobRow *rowOf(int id) const;

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    std::vector<JobRow> m_rows;
};

} // namespace secateur
