#pragma once

#include "app/controllers/pruning_controller.h"
#include "backend/workflow/plan.h"

#include <QWidget>

#include <vector>

class QCheckBox;
class QComboBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QPushButton;
class QSlider;
class QSpinBox;
class QTableView;
class QTimer;
class QTreeWidget;
class QTreeWidgetItem;

namespace secateur {

class Banner;
class MethodCardView;
class TensorChangeModel;
class Workspace;

/// How units are chosen and what goes with them: methods, card with options, snap notice, dependency preview. The
/// constraints and the button that prunes live in a dock of their own.
class PlanPage : public QWidget {
    Q_OBJECT
public:
    PlanPage(Workspace *workspace, PruningController *pruning, QWidget *parent = nullptr);

    QWidget *constraints() const { return m_constraints; } ///< content of the Constraints dock
    QTreeWidget *methods() const { return m_methods; }
    QPushButton *pruneButton() const { return m_prune; }
    QSpinBox *amountBox() const { return m_amount; }
    void chooseMethod(const QString &id);
    QString currentMethod() const;
    PlanDraft draft() const;
    PlanPreviewPtr preview() const { return m_preview; }
    /// Why pruning is off although the plan is possible ("weights are missing"); empty: it is on.
    void setPruneReason(const QString &reason);
    QString statusText() const;
    QString commandLine() const;

public Q_SLOTS:
    void scoreAndPrune();
    void keepAsDraft();
    void refresh(); ///< asks for a new preview

Q_SIGNALS:
    void previewChanged(const secateur::PlanPreviewPtr &preview);
    void calibrateRequested();

private:
    Workspace *m_workspace;
    PruningController *m_pruning;
    std::vector<workflow::MethodCard> m_cards;
    QTimer *m_settle;
    QTreeWidget *m_methods;
    MethodCardView *m_card;
    QFormLayout *m_form;
    QLabel *m_amountLabel;
    QSlider *m_slider;
    QSpinBox *m_amount;
    QComboBox *m_multiple;
    QLabel *m_multipleLabel;
    QLabel *m_calibration;
    QLineEdit *m_name;
    QLabel *m_parentName;
    Banner *m_notice;
    QLabel *m_previewTitle;
    QTableView *m_table;
    TensorChangeModel *m_changes;
    QWidget *m_constraints;
    QCheckBox *m_uniform;
    QCheckBox *m_keepEnds;
    QPushButton *m_prune;
    QPushButton *m_copy;
    QLabel *m_same;
    PlanPreviewPtr m_preview;
    QString m_pruneReason;

    QWidget *makeMethods();
    QWidget *makeCard();
    QWidget *makePreview();
    QWidget *makeConstraints();
    const workflow::MethodCard *currentCard() const;
    void showMethod();
    void showPreview(const PlanPreviewPtr &preview);
    void showButton();
    void showChangedUnits();
};

} // namespace secateur
