#pragma once

#include "widgets/models/selection_table_model.h"

#include <QWidget>

#include <memory>

class QTableView;

namespace secateur {

/// Content of the Selection dock: headline, table of selected and locked units, Clear, Invert and Lock.
/// Hovering a row outlines its units in every view; Delete removes the marked rows from the selection.
class SelectionPanel : public QWidget {
    Q_OBJECT
public:
    explicit SelectionPanel(PruneSelection *selection, QWidget *parent = nullptr);
    ~SelectionPanel() override;

    /// Scores, ranks and the kind that Invert works on.
    void setScores(const MetricMapPtr &map);
    SelectionTableModel *model() const;
    QTableView *table() const;

public Q_SLOTS:
    void clear();
    void invert();
    void toggleLock(); ///< of the marked rows, else of all selected units
    void removeMarked();

protected:
    bool eventFilter(QObject *watched, QEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;

    void spanGroups();
    void refresh();
};

} // namespace secateur
