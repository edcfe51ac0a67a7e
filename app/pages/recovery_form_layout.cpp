// The fields of the Recovery form; what they mean together is in recovery_form.cpp.
#include "app/pages/recovery_form.h"

#include "app/qt_paths.h"
#include "backend/workflow/recovery_recipes.h"
#include "widgets/controls/rate_spin.h"
#include "widgets/controls/segmented_control.h"
#include "widgets/theme/theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QSpinBox>
#include <QToolButton>
#include <QVBoxLayout>

namespace secateur {

namespace {

constexpr int kDefaultCheckpointSteps = 50;

QSpinBox *formSpin(QWidget *parent, int low, int high, int step)
{
    auto *spin = new QSpinBox(parent);
    spin->setRange(low, high);
    spin->setSingleStep(step);
    spin->setAlignment(Qt::AlignRight);
    return spin;
}

QDoubleSpinBox *formNumber(QWidget *parent, double low, double high, int decimals, double step)
{
    auto *spin = new QDoubleSpinBox(parent);
    spin->setDecimals(decimals);
    spin->setRange(low, high);
    spin->setSingleStep(step);
    spin->setAlignment(Qt::AlignRight);
    return spin;
}

QString recipeTitle(const std::string &id)
{
    return id == "study"         ? RecoveryForm::tr("LoRA, study default")
        : id == "short"          ? RecoveryForm::tr("LoRA, short")
        : id == "study-instruct" ? RecoveryForm::tr("Study, instruct")
        : id == "study-think"    ? RecoveryForm::tr("Study, think")
        : id == "llm-pruner"     ? RecoveryForm::tr("LLM-Pruner, Shortened, LoRAP")
        : id == "slicegpt"       ? RecoveryForm::tr("SliceGPT")
        : id == "skipgpt"        ? RecoveryForm::tr("SkipGPT, stage 2")
        : id == "full"           ? RecoveryForm::tr("Full")
        : id == "distill"        ? RecoveryForm::tr("Distil from dense")
                                 : qString(id);
}

void addFormRow(QFormLayout *form, const QString &label, QWidget *field, const QString &help)
{
    if (!help.isEmpty())
        field->setToolTip(help);
    if (field->accessibleName().isEmpty())
        field->setAccessibleName(label);
    form->addRow(label, field);
}

void setUpForm(QFormLayout *form)
{
    form->setContentsMargins(0, 0, 0, 0);
    form->setVerticalSpacing(6);
    form->setHorizontalSpacing(12);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
}

} // namespace

RecoveryForm::RecoveryForm(QWidget *parent) : QWidget(parent)
{
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    auto *title = new QLabel(tr("Method"), this);
    title->setFont(titleFont());
    layout->addWidget(title);
    m_form = new QFormLayout;
    setUpForm(m_form);
    makeMain();
    layout->addLayout(m_form);
    m_advanced = new QToolButton(this);
    m_advanced->setText(tr("Advanced options"));
    m_advanced->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_advanced->setAutoRaise(true);
    m_advanced->setCheckable(true);
    layout->addWidget(m_advanced);
    m_folded = new QWidget(this);
    m_foldedForm = new QFormLayout(m_folded);
    setUpForm(m_foldedForm);
    makeFolded();
    layout->addWidget(m_folded);
    m_checkpoints->setValue(kDefaultCheckpointSteps);
    connectFields();
    setFocusProxy(m_recipe);
    applyRecipe(qString(workflow::recoveryRecipes().front().id));
}

void RecoveryForm::makeMain()
{
    m_recipe = new QComboBox(this);
    m_recipe->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_recipe->setMinimumContentsLength(12);
    for (const workflow::RecoveryRecipe &recipe : workflow::recoveryRecipes()) {
        m_recipe->addItem(recipeTitle(recipe.id), qString(recipe.id));
        m_recipe->setItemData(m_recipe->count() - 1, qString(recipe.source), Qt::ToolTipRole);
    }
    m_recipe->addItem(tr("Custom"), u"custom"_qs);
    addFormRow(m_form, tr("Recipe"), m_recipe, {});
    m_kind = new SegmentedControl(this);
    m_kind->addSegment(u"lora"_qs, tr("LoRA"));
    m_kind->addSegment(u"full"_qs, tr("Full"));
    m_kind->addSegment(u"distill"_qs, tr("Distil"));
    addFormRow(m_form, tr("Kind"), m_kind, {});
    m_kindNote = new QLabel(this);
    m_kindNote->setWordWrap(true);
    m_kindNote->setFont(secondaryFont());
    setSecondary(m_kindNote);
    m_form->addRow(m_kindNote);
    makeKindRows();
    m_steps = formSpin(this, 1, 1'000'000, 10);
    addFormRow(m_form, tr("Steps"), m_steps, {});
    m_batchTokens = formSpin(this, 16, 1'000'000, 256);
    addFormRow(m_form, tr("Tokens per step"), m_batchTokens,
               tr("Tokens per optimiser step, packed without padding. Larger steps are cut into parts whose gradients "
                  "are added, so this is the accumulation, too."));
    m_maxLength = formSpin(this, 8, 131072, 128);
    addFormRow(m_form, tr("Longest sample"), m_maxLength,
               tr("Longer samples are left out and counted, never cut before the answer"));
    m_rate = new RateSpin(this);
    m_rate->setAlignment(Qt::AlignRight);
    addFormRow(m_form, tr("Learning rate"), m_rate, tr("At its peak. 0.0002 and 2e-4 are the same."));
    m_seed = formSpin(this, 0, 1'000'000'000, 1);
    addFormRow(m_form, tr("Seed"), m_seed, {});
}

void RecoveryForm::makeKindRows()
{
    m_trained = new QComboBox(this);
    m_trained->addItems({tr("an adapter"), tr("all weights")});
    addFormRow(m_form, tr("Trains"), m_trained, {});
    m_rankRow = new QWidget(this);
    auto *pair = new QHBoxLayout(m_rankRow);
    pair->setContentsMargins(0, 0, 0, 0);
    pair->setSpacing(8);
    m_rank = formSpin(m_rankRow, 1, 512, 1);
    m_alpha = formNumber(m_rankRow, 0.1, 4096, 0, 1);
    m_rank->setAccessibleName(tr("Rank"));
    m_alpha->setAccessibleName(tr("Alpha"));
    pair->addWidget(m_rank);
    pair->addWidget(m_alpha);
    addFormRow(m_form, tr("Rank, alpha"), m_rankRow, {});
    m_layers = new QComboBox(this);
    m_layers->addItems(
        {tr("all 7 linears"), tr("attention (q, k, v, o)"), tr("MLP (gate, up, down)"), tr("q, v, gate")});
    m_targets = {RecoveryOptions().targets,
                 {"q_proj", "k_proj", "v_proj", "o_proj"},
                 {"gate_proj", "up_proj", "down_proj"},
                 {"q_proj", "v_proj", "gate_proj"}};
    addFormRow(m_form, tr("Layers"), m_layers, {});
    m_distillWeight = formNumber(this, 0, 1, 2, 0.1);
    addFormRow(m_form, tr("Parent's share"), m_distillWeight,
               tr("Weight of the divergence from the dense model in the loss; the rest is cross entropy"));
    m_temperature = formNumber(this, 0.1, 100, 1, 0.5);
    addFormRow(m_form, tr("Temperature"), m_temperature, tr("Softens both distributions in the divergence"));
}

void RecoveryForm::makeFolded()
{
    QWidget *parent = m_folded;
    m_rsLora = new QCheckBox(tr("alpha / √rank"), parent);
    addFormRow(m_foldedForm, tr("rsLoRA"), m_rsLora, tr("Scales by alpha / √rank instead of alpha / rank"));
    m_dropout = formNumber(parent, 0, 0.99, 2, 0.05);
    addFormRow(m_foldedForm, tr("Dropout"), m_dropout, tr("In front of the branches"));
    m_schedule = new QComboBox(parent);
    m_schedule->addItem(tr("cosine"), u"cosine"_qs);
    m_schedule->addItem(tr("linear"), u"linear"_qs);
    m_schedule->addItem(tr("constant"), u"constant"_qs);
    m_schedule->addItem(tr("level, then linear"), u"flat"_qs);
    addFormRow(m_foldedForm, tr("Schedule"), m_schedule, {});
    m_warmup = formNumber(parent, 0, 100, 1, 1);
    m_warmup->setSuffix(tr(" % of steps"));
    addFormRow(m_foldedForm, tr("Warm-up"), m_warmup, {});
    m_weightDecay = formNumber(parent, 0, 10, 3, 0.01);
    addFormRow(m_foldedForm, tr("Weight decay"), m_weightDecay, {});
    m_clip = formNumber(parent, 0, 1000, 2, 0.1);
    m_clip->setSpecialValueText(tr("off"));
    addFormRow(m_foldedForm, tr("Gradient limit"), m_clip, tr("Longer gradients are scaled down to this norm"));
    m_heldOut = formNumber(parent, 0, 90, 1, 1);
    m_heldOut->setSuffix(tr(" % of samples"));
    m_heldOut->setSpecialValueText(tr("none"));
    addFormRow(m_foldedForm, tr("Held out"), m_heldOut, tr("Measured, never trained on"));
    m_heldOutEvery = formSpin(parent, 1, 1'000'000, 10);
    m_heldOutEvery->setSuffix(tr(" steps"));
    addFormRow(m_foldedForm, tr("Measured every"), m_heldOutEvery, {});
    m_patience = formSpin(parent, 0, 1000, 1);
    m_patience->setSpecialValueText(tr("never"));
    addFormRow(m_foldedForm, tr("Stop after"), m_patience,
               tr("Measurements without a new lowest held-out loss that end the run"));
    m_checkpoints = formSpin(parent, 0, 1'000'000, 10);
    m_checkpoints->setSuffix(tr(" steps"));
    m_checkpoints->setSpecialValueText(tr("never"));
    addFormRow(m_foldedForm, tr("Checkpoint every"), m_checkpoints,
               tr("A checkpoint can be gone on from, and the probe questions are answered again"));
    m_split = new QCheckBox(tr("into several samples"), parent);
    addFormRow(m_foldedForm, tr("Split texts"), m_split,
               tr("Longer texts become several samples; conversations are left out all the same"));
    m_recompute = new QCheckBox(tr("activations"), parent);
    addFormRow(m_foldedForm, tr("Recompute"), m_recompute,
               tr("Activations are computed again in the backward pass: less memory, more time"));
    m_autocast = new QCheckBox(tr("bf16 products"), parent);
    addFormRow(m_foldedForm, tr("Autocast"), m_autocast, tr("Matrix products in bf16 beside f32 weights"));
}

void RecoveryForm::connectFields()
{
    connect(m_recipe, &QComboBox::activated, this, [this] { applyRecipe(m_recipe->currentData().toString()); });
    connect(m_kind, &SegmentedControl::currentChanged, this, &RecoveryForm::fieldEdited);
    connect(m_advanced, &QToolButton::toggled, this, &RecoveryForm::showRows);
    for (QComboBox *box : {m_trained, m_layers, m_schedule})
        connect(box, &QComboBox::currentIndexChanged, this, &RecoveryForm::fieldEdited);
    for (QSpinBox *spin : findChildren<QSpinBox *>())
        connect(spin, &QSpinBox::valueChanged, this, &RecoveryForm::fieldEdited);
    for (QDoubleSpinBox *spin : findChildren<QDoubleSpinBox *>())
        connect(spin, &QDoubleSpinBox::valueChanged, this, &RecoveryForm::fieldEdited);
    for (QCheckBox *box : {m_rsLora, m_split, m_recompute, m_autocast})
        connect(box, &QCheckBox::toggled, this, &RecoveryForm::fieldEdited);
}

} // namespace secateur
