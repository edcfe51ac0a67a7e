#pragma once

#include "backend/core/run_config.h"

#include <QStringList>
#include <QWidget>

#include <vector>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QFormLayout;
class QLabel;
class QSpinBox;
class QToolButton;

namespace secateur {

class RateSpin;

class SegmentedControl;

/// How the next run trains: a recipe, the kind, and the options that this kind needs. Rare ones are folded away.
/// Options without a field keep what the recipe says.
class RecoveryForm : public QWidget {
    Q_OBJECT
public:
    explicit RecoveryForm(QWidget *parent = nullptr);

    RecoveryOptions options() const;
    void setOptions(const RecoveryOptions &options);
    /// Recipes that count epochs turn them into steps of data of this size.
    void setDataTokens(std::int64_t tokens);
    void applyRecipe(const QString &id);
    QString recipe() const; ///< "custom" when the fields agree with none

    QComboBox *recipeBox() const { return m_recipe; }
    SegmentedControl *kindControl() const { return m_kind; }
    QSpinBox *stepsBox() const { return m_steps; }
    QSpinBox *rankBox() const { return m_rank; }
    QToolButton *advancedButton() const { return m_advanced; }

Q_SIGNALS:
    void changed();

private:
    RecoveryOptions m_base; ///< what has no field
    std::vector<std::vector<std::string>> m_targets; ///< behind the rows of m_layers
    std::int64_t m_dataTokens = 0;
    bool m_isFilling = false;

    QFormLayout *m_form;
    QComboBox *m_recipe;
    SegmentedControl *m_kind;
    QLabel *m_kindNote;
    QComboBox *m_trained;
    QWidget *m_rankRow;
    QSpinBox *m_rank;
    QDoubleSpinBox *m_alpha;
    QComboBox *m_layers;
    QDoubleSpinBox *m_distillWeight;
    QDoubleSpinBox *m_temperature;
    QSpinBox *m_steps;
    QSpinBox *m_batchTokens;
    QSpinBox *m_maxLength;
    RateSpin *m_rate;
    QSpinBox *m_seed;

    QToolButton *m_advanced;
    QWidget *m_folded;
    QFormLayout *m_foldedForm;
    QCheckBox *m_rsLora;
    QDoubleSpinBox *m_dropout;
    QComboBox *m_schedule;
    QDoubleSpinBox *m_warmup;
    QDoubleSpinBox *m_weightDecay;
    QDoubleSpinBox *m_clip;
    QDoubleSpinBox *m_heldOut;
    QSpinBox *m_heldOutEvery;
    QSpinBox *m_patience;
    QSpinBox *m_checkpoints;
    QCheckBox *m_split;
    QCheckBox *m_recompute;
    QCheckBox *m_autocast;

    void makeMain();
    void makeKindRows();
    void makeFolded();
    void connectFields();
    void fieldEdited();
    void showRecipe();
    void showRows();
    bool trainsWeights() const;
    std::vector<std::string> chosenTargets() const;
};

} // namespace secateur
