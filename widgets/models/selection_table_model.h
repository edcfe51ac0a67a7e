#pragma once

#include "backend/core/metric_map.h"
#include "widgets/heatmap/map_units.h"
#include "widgets/models/prune_selection.h"

#include <QAbstractTableModel>

#include <memory>
#include <vector>

namespace secateur {

/// Selected and locked units as rows under two group rows. Columns Unit, score, Rank, action.
/// More than 200 rows of a group collapse to ranges ("block 5, channels 192–231").
class SelectionTableModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Unit, Score, Rank, Action, ColumnCount };
    enum Role {
        GroupRole = Qt::UserRole + 1, ///< bool: a group row
        LockedRole, ///< bool
        ScoreRole, ///< double, NaN: none
    };

    explicit SelectionTableModel(PruneSelection *selection, QObject *parent = nullptr);
    ~SelectionTableModel() override;

    /// Scores and ranks of the units of this map's kind (block_influence, head_importance, ffn_importance; others are
    /// ignored). Maps of other kinds are kept beside it. Null forgets all.
    void setScores(const MetricMapPtr &map);
    UnitSet unitsOfRow(int row) const; ///< empty for group rows
    bool isLockedRow(int row) const;

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex &index) const override;
    void sort(int column, Qt::SortOrder order) override;

private:
    struct Row;
    struct Scores;
    PruneSelection *m_selection;
    std::vector<Row> m_rows;
    std::vector<std::unique_ptr<Scores>> m_scores;
    QString m_scoreTitle;
    int m_sortColumn = Score;
    Qt::SortOrder m_sortOrder = Qt::AscendingOrder;

    void rebuild();
    void appendGroup(const UnitSet &units, bool locked);
    const Scores *scoresOf(UnitKind kind) const;
};

} // namespace secateur
