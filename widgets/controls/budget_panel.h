#pragma once

#include "backend/core/pruning_plan.h"

#include <QWidget>

#include <memory>

namespace secateur {

/// Content of the Budget dock: sizes before and after, the three sparsities, and who can load the result.
class BudgetPanel : public QWidget {
    Q_OBJECT
public:
    explicit BudgetPanel(QWidget *parent = nullptr);
    ~BudgetPanel() override;

    /// Empties every number.
    void clear();
    /// \a dtype is that of the export, "BF16".
    void setBudget(const Budget &budget, const QString &dtype);
    /// Rows FFN width and Query/KV heads of the Plan view; uneven widths are shown as ranges.
    void setWidths(const ModelConfig &dense, const ModelConfig &pruned);
    void hideWidths();
    /// Table text of one row, for tests and copying: {label, dense, selection}.
    QStringList rowTexts() const;
    QStringList loaderLines() const;

Q_SIGNALS:
    void contextRequested(); ///< the context length was clicked

private:
    struct Private;
    std::unique_ptr<Private> d;
};

} // namespace secateur
