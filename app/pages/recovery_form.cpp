#include "app/pages/recovery_form.h"

#include "app/qt_paths.h"
#include "backend/workflow/recovery_recipes.h"
#include "widgets/controls/rate_spin.h"
#include "widgets/controls/segmented_control.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QToolButton>

#include <algorithm>
#include <utility>

namespace secateur {

namespace {

void showFormRow(QFormLayout *form, QWidget *field, bool visible)
{
    field->setVisible(visible);
    if (QWidget *label = form->labelForField(field))
        label->setVisible(visible);
}

} // namespace

bool RecoveryForm::trainsWeights() const
{
    return m_kind->currentId() == u"full" || (m_kind->currentId() == u"distill" && m_trained->currentIndex() == 1);
}

std::vector<std::string> RecoveryForm::chosenTargets() const
{
    return m_targets[static_cast<std::size_t>(std::max(0, m_layers->currentIndex()))];
}

RecoveryOptions RecoveryForm::options() const
{
    RecoveryOptions options = m_base;
    options.kind = m_kind->currentId().toStdString();
    options.rank = options.kind == "distill" && trainsWeights() ? 0 : m_rank->value();
    options.alpha = m_alpha->value();
    options.targets = chosenTargets();
    options.distillWeight = m_distillWeight->value();
    options.temperature = m_temperature->value();
    options.steps = m_steps->value();
    options.batchTokens = m_batchTokens->value();
    options.maxLength = m_maxLength->value();
    options.learningRate = m_rate->value();
    options.seed = static_cast<std::uint64_t>(m_seed->value());
    options.rsLora = m_rsLora->isChecked();
    options.dropout = m_dropout->value();
    options.schedule = m_schedule->currentData().toString().toStdString();
    options.warmupFraction = m_warmup->value() / 100;
    options.weightDecay = m_weightDecay->value();
    options.clipNorm = m_clip->value();
    options.heldOut = m_heldOut->value() / 100;
    options.heldOutEvery = m_heldOutEvery->value();
    options.patience = m_patience->value();
    options.checkpointSteps = m_checkpoints->value();
    options.splitLong = m_split->isChecked();
    options.recompute = m_recompute->isChecked();
    options.autocast = m_autocast->isChecked();
    return options;
}

void RecoveryForm::setOptions(const RecoveryOptions &options)
{
    m_isFilling = true;
    m_base = options;
    m_kind->setCurrentId(qString(options.kind));
    m_trained->setCurrentIndex(options.rank == 0 ? 1 : 0);
    if (options.rank > 0)
        m_rank->setValue(options.rank);
    m_alpha->setValue(options.alpha);
    auto found = std::find(m_targets.begin(), m_targets.end(), options.targets);
    if (found == m_targets.end()) {
        QStringList names;
        for (const std::string &target : options.targets)
            names += qString(target).remove(u"_proj"_qs);
        m_layers->addItem(names.join(u", "_qs));
        m_targets.push_back(options.targets);
        found = m_targets.end() - 1;
    }
    m_layers->setCurrentIndex(static_cast<int>(found - m_targets.begin()));
    m_distillWeight->setValue(options.distillWeight);
    m_temperature->setValue(options.temperature);
    m_steps->setValue(options.steps);
    m_batchTokens->setValue(options.batchTokens);
    m_maxLength->setValue(options.maxLength);
    m_rate->setValue(options.learningRate);
    m_seed->setValue(static_cast<int>(options.seed));
    m_rsLora->setChecked(options.rsLora);
    m_dropout->setValue(options.dropout);
    m_schedule->setCurrentIndex(std::max(0, m_schedule->findData(qString(options.schedule))));
    m_warmup->setValue(options.warmupFraction * 100);
    m_weightDecay->setValue(options.weightDecay);
    m_clip->setValue(options.clipNorm);
    m_heldOut->setValue(options.heldOut * 100);
    m_heldOutEvery->setValue(options.heldOutEvery);
    m_patience->setValue(options.patience);
    m_checkpoints->setValue(options.checkpointSteps);
    m_split->setChecked(options.splitLong);
    m_recompute->setChecked(options.recompute);
    m_autocast->setChecked(options.autocast);
    m_isFilling = false;
    fieldEdited();
}

void RecoveryForm::applyRecipe(const QString &id)
{
    const workflow::RecoveryRecipe *recipe = workflow::recoveryRecipe(id.toStdString());
    if (!recipe)
        return;
    RecoveryOptions options = workflow::recipeOptions(*recipe, m_dataTokens);
    // These two belong to the run, not to the recipe.
    options.seed = static_cast<std::uint64_t>(m_seed->value());
    options.checkpointSteps = m_checkpoints->value();
    setOptions(options);
}

void RecoveryForm::setDataTokens(std::int64_t tokens)
{
    if (std::exchange(m_dataTokens, tokens) == tokens || tokens == 0)
        return;
    // A recipe that was chosen before the data were counted follows them; own settings stay.
    const QString chosen = m_recipe->currentData().toString();
    const workflow::RecoveryRecipe *recipe = workflow::recoveryRecipe(chosen.toStdString());
    if (recipe && recipe->epochs > 0)
        applyRecipe(chosen);
}

QString RecoveryForm::recipe() const
{
    return m_recipe->currentData().toString();
}

void RecoveryForm::showRecipe()
{
    const RecoveryOptions now = options();
    // Fields round; a recipe is compared as the fields would show it.
    const auto matches = [&](const workflow::RecoveryRecipe &recipe) {
        RecoveryOptions wanted = workflow::recipeOptions(recipe, m_dataTokens);
        const auto close = [](double a, double b) { return std::abs(a - b) <= 1e-3 * std::max(std::abs(a), 1e-6); };
        if (!close(wanted.learningRate, now.learningRate) || std::abs(wanted.warmupFraction - now.warmupFraction) > 1e-3
            || !close(wanted.heldOut, now.heldOut))
            return false;
        wanted.learningRate = now.learningRate;
        wanted.warmupFraction = now.warmupFraction;
        wanted.heldOut = now.heldOut;
        return workflow::isSameRecipe(wanted, now);
    };
    QString id = u"custom"_qs;
    for (const workflow::RecoveryRecipe &recipe : workflow::recoveryRecipes()) {
        if (matches(recipe)) {
            id = qString(recipe.id);
            break;
        }
    }
    const QSignalBlocker quiet(m_recipe);
    m_recipe->setCurrentIndex(m_recipe->findData(id));
    m_recipe->setToolTip(m_recipe->currentData(Qt::ToolTipRole).toString());
}

void RecoveryForm::showRows()
{
    const bool distills = m_kind->currentId() == u"distill";
    const bool branches = !trainsWeights();
    showFormRow(m_form, m_trained, distills);
    showFormRow(m_form, m_rankRow, branches);
    showFormRow(m_form, m_layers, branches);
    showFormRow(m_form, m_distillWeight, distills);
    showFormRow(m_form, m_temperature, distills);
    showFormRow(m_foldedForm, m_rsLora, branches);
    showFormRow(m_foldedForm, m_dropout, branches);
    const bool holdsOut = m_heldOut->value() > 0;
    m_heldOutEvery->setEnabled(holdsOut);
    m_patience->setEnabled(holdsOut);
    m_folded->setVisible(m_advanced->isChecked());
    m_advanced->setArrowType(m_advanced->isChecked() ? Qt::DownArrow : Qt::RightArrow);
    m_kindNote->setText(distills       ? tr("Learns the answers and what the dense model thinks of every token.")
                            : branches ? tr("A small adapter beside the weights; the pruned model stays as it is.")
                                       : tr("Every weight moves; the result is a model folder of its own."));
}

void RecoveryForm::fieldEdited()
{
    if (m_isFilling)
        return;
    showRows();
    showRecipe();
    Q_EMIT changed();
}

} // namespace secateur
