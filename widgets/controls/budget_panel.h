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
    /// Tab-separated rows for copying: "label, dense, selection", then the three sparsities.
    QStringList rowTexts() const;
    QStringList loaderLines() const;

Q_SIGNALS:
    void contextRequested(); ///< the context length was clicked

protected:
    void changeEvent(QEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;

    void showContext(qint64 context);
};

} // namespace secateur
