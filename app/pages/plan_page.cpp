#include "app/pages/plan_page.h"

#include "app/pages/plan_page_parts.h"
#include "app/qt_paths.h"
#include "app/workspace.h"
#include "widgets/controls/banner.h"
#include "widgets/controls/method_card_view.h"
#include "widgets/models/tensor_change_model.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QFormLayout>
#include <QGuiApplication>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QSlider>
#include <QSpinBox>
#include <QSplitter>
#include <QTableView>
#include <QTimer>
#include <QTreeWidget>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kSettleMs = 120; ///< a slider moves more often than a preview is worth

} // namespace

PlanPage::PlanPage(Workspace *workspace, PruningController *pruning, QWidget *parent)
    : QWidget(parent),
      m_workspace(workspace),
      m_pruning(pruning),
      m_cards(workflow::methodCards()),
      m_settle(new QTimer(this))
{
    m_settle->setSingleShot(true);
    m_settle->setInterval(kSettleMs);
    connect(m_settle, &QTimer::timeout, this, [this] {
        if (isVisible() || m_constraints->isVisible())
            m_pruning->preview(draft());
    });
    auto *outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    auto *top = new QSplitter(Qt::Horizontal, this);
    top->setHandleWidth(1);
    top->addWidget(makeMethods());
    top->addWidget(makeCard());
    top->setStretchFactor(1, 1);
    top->setSizes({255, 600});
    auto *whole = new QSplitter(Qt::Vertical, this);
    whole->setHandleWidth(1);
    whole->addWidget(top);
    whole->addWidget(makePreview());
    whole->setStretchFactor(0, 1);
    whole->setStretchFactor(1, 1);
    outer->addWidget(whole);
    m_constraints = makeConstraints();

    connect(m_pruning, &PruningController::previewReady, this, &PlanPage::showPreview);
    connect(workspace->selection(), &PruneSelection::changed, this, &PlanPage::refresh);
    connect(workspace->selection(), &PruneSelection::lockedChanged, this, &PlanPage::refresh);
    connect(workspace, &Workspace::documentChanged, this, &PlanPage::showMethod);
    connect(workspace, &Workspace::analysisChanged, this, &PlanPage::showMethod);
    connect(workspace, &Workspace::recordsChanged, this, &PlanPage::refresh);
    connect(workspace, &Workspace::currentSubjectChanged, this, &PlanPage::refresh);
    setFocusProxy(m_methods);
    chooseMethod(u"block_influence"_qs);
}

QWidget *PlanPage::makeMethods()
{
    m_methods = new QTreeWidget(this);
    m_methods->setAccessibleName(tr("Method list"));
    m_methods->setFrameShape(QFrame::NoFrame);
    m_methods->setRootIsDecorated(false);
    m_methods->setIndentation(8);
    m_methods->setItemsExpandable(false);
    m_methods->setHeaderLabels({tr("Method"), tr("sweeps")});
    m_methods->headerItem()->setTextAlignment(1, Qt::AlignRight | Qt::AlignVCenter);
    m_methods->header()->setStretchLastSection(false);
    m_methods->header()->setSectionResizeMode(0, QHeaderView::Stretch);
    m_methods->header()->setSectionResizeMode(1, QHeaderView::Fixed);
    m_methods->header()->resizeSection(1, m_methods->fontMetrics().horizontalAdvance(tr("sweeps")) + 20);
    fillMethodList(m_methods, m_cards);
    connect(m_methods, &QTreeWidget::currentItemChanged, this, &PlanPage::showMethod);
    return m_methods;
}

QWidget *PlanPage::makeCard()
{
    auto *area = new QScrollArea(this);
    area->setFrameShape(QFrame::NoFrame);
    area->setWidgetResizable(true);
    auto *content = new QWidget(area);
    area->setWidget(content);
    auto *layout = new QVBoxLayout(content);
    layout->setContentsMargins(12, 8, 12, 12);
    layout->setSpacing(8);
    m_card = new MethodCardView(content);
    m_card->setAccessibleName(tr("Method card"));
    layout->addWidget(m_card);
    m_form = new QFormLayout;
    m_form->setHorizontalSpacing(16);
    m_form->setVerticalSpacing(6);
    m_form->setFieldGrowthPolicy(QFormLayout::FieldsStayAtSizeHint);
    layout->addLayout(m_form);
    layout->addStretch(1);

    m_amountLabel = new QLabel(content);
    auto *amountRow = new QHBoxLayout;
    m_slider = new QSlider(Qt::Horizontal, content);
    m_slider->setFixedWidth(150);
    m_slider->setPageStep(5);
    m_amount = new QSpinBox(content);
    m_amount->setFixedWidth(84);
    m_amount->setAlignment(Qt::AlignRight);
    amountRow->addWidget(m_slider);
    amountRow->addWidget(m_amount);
    m_form->addRow(m_amountLabel, amountRow);
    connect(m_slider, &QSlider::valueChanged, m_amount, &QSpinBox::setValue);
    connect(m_amount, &QSpinBox::valueChanged, m_slider, &QSlider::setValue);
    connect(m_amount, &QSpinBox::valueChanged, this, &PlanPage::refresh);

    m_calibration = new QLabel(content);
    m_form->addRow(tr("Calibration"), m_calibration);
    m_multipleLabel = new QLabel(tr("FFN width, multiple of"), content);
    m_multiple = new QComboBox(content);
    m_multiple->addItem(tr("automatic"), 0);
    for (const int multiple : {1, 8, 64, 128, 256})
        m_multiple->addItem(QString::number(multiple), multiple);
    m_multiple->setCurrentIndex(0);
    m_multiple->setToolTip(tr("Automatic: 64, or less for a narrow model (at most a sixteenth of its width)"));
    m_form->addRow(m_multipleLabel, m_multiple);
    connect(m_multiple, &QComboBox::currentIndexChanged, this, &PlanPage::refresh);
    m_parentName = new QLabel(content);
    m_form->addRow(tr("Child of"), m_parentName);
    m_name = new QLineEdit(content);
    m_name->setPlaceholderText(tr("made from the method"));
    m_name->setFixedWidth(242);
    m_form->addRow(tr("Name"), m_name);
    connect(m_name, &QLineEdit::textChanged, this, &PlanPage::refresh);
    return area;
}

QWidget *PlanPage::makePreview()
{
    auto *content = new QWidget(this);
    auto *layout = new QVBoxLayout(content);
    layout->setContentsMargins(0, 8, 0, 0);
    layout->setSpacing(4);
    m_notice = new Banner(Banner::Kind::Warning, content);
    m_notice->setBoxed(true);
    m_notice->setClosable(false);
    m_notice->hide();
    auto *inset = new QHBoxLayout;
    inset->setContentsMargins(12, 0, 12, 0);
    inset->addWidget(m_notice);
    layout->addLayout(inset);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(12, 4, 12, 0);
    auto *title = new QLabel(tr("Dependency preview"), content);
    title->setFont(titleFont());
    m_previewTitle = new QLabel(content);
    setSecondary(m_previewTitle);
    head->addWidget(title);
    head->addWidget(m_previewTitle);
    head->addStretch(1);
    layout->addLayout(head);
    m_changes = new TensorChangeModel(this);
    m_table = new QTableView(content);
    m_table->setModel(m_changes);
    m_table->setAccessibleName(tr("Dependency preview"));
    setUpPlanTable(m_table);
    layout->addWidget(m_table, 1);
    return content;
}

QWidget *PlanPage::makeConstraints()
{
    auto *content = new QWidget;
    auto *layout = new QVBoxLayout(content);
    layout->setContentsMargins(8, 8, 8, 8);
    layout->setSpacing(6);
    m_uniform = new QCheckBox(tr("HF-loadable (equal widths)"), content);
    m_uniform->setChecked(true);
    m_uniform->setToolTip(tr("Extends the removal until every block has the same widths, so that stock loaders take "
                             "the model"));
    auto *groups = new QCheckBox(tr("Whole KV groups (always)"), content);
    groups->setChecked(true);
    groups->setEnabled(false);
    groups->setToolTip(tr("A KV group is the smallest attention unit"));
    m_keepEnds = new QCheckBox(content);
    m_same = new QLabel(content);
    m_same->setWordWrap(true);
    setSecondary(m_same);
    layout->addWidget(m_uniform);
    layout->addWidget(groups);
    layout->addWidget(m_keepEnds);
    layout->addWidget(m_same);
    layout->addStretch(1);
    auto *buttons = new QHBoxLayout;
    buttons->setSpacing(8);
    m_prune = new QPushButton(tr("Score and prune"), content);
    m_prune->setProperty("primary", true);
    m_copy = new QPushButton(tr("Copy command"), content);
    m_copy->setToolTip(tr("The equal command line to the clipboard"));
    buttons->addWidget(m_prune);
    buttons->addWidget(m_copy);
    buttons->addStretch(1);
    layout->addLayout(buttons);
    connect(m_uniform, &QCheckBox::toggled, this, &PlanPage::refresh);
    connect(m_keepEnds, &QCheckBox::toggled, this, &PlanPage::refresh);
    connect(m_prune, &QPushButton::clicked, this, &PlanPage::scoreAndPrune);
    connect(m_copy, &QPushButton::clicked, this, [this] { QGuiApplication::clipboard()->setText(commandLine()); });
    return content;
}

const workflow::MethodCard *PlanPage::currentCard() const
{
    const std::string id = currentMethod().toStdString();
    const auto found
        = std::find_if(m_cards.begin(), m_cards.end(), [&](const workflow::MethodCard &card) { return card.id == id; });
    return found == m_cards.end() ? nullptr : &*found;
}

QString PlanPage::currentMethod() const
{
    const QTreeWidgetItem *item = m_methods->currentItem();
    return item ? item->data(0, Qt::UserRole).toString() : QString();
}

void PlanPage::chooseMethod(const QString &id)
{
    if (QTreeWidgetItem *item = methodItem(m_methods, id))
        m_methods->setCurrentItem(item);
}

void PlanPage::showMethod()
{
    const workflow::MethodCard *card = currentCard();
    if (!card)
        return;
    m_card->setCard(cardText(*card));
    const bool isDepth = card->paradigm == "depth";
    const bool isWidth = card->paradigm == "width";
    const int layers = m_workspace->hasModel() ? m_workspace->config().layers() : 2;
    {
        const QSignalBlocker blockAmount(m_amount);
        const QSignalBlocker blockSlider(m_slider);
        const int low = 1;
        const int high = isDepth ? qMax(1, layers - 1) : 90;
        const bool changed = m_amount->suffix().isEmpty() == isWidth || m_amount->maximum() != high;
        m_amount->setSuffix(isWidth ? u" %"_qs : QString());
        m_amount->setRange(low, high);
        m_slider->setRange(low, high);
        if (changed) {
            // A tenth of the blocks or a quarter of a width is where the study begins.
            const int start = isDepth ? qMax(1, (layers + 5) / 10) : 25;
            m_amount->setValue(start);
            m_slider->setValue(start);
        }
    }
    m_amountLabel->setText(isDepth ? tr("Blocks to remove") : tr("Ratio"));
    m_amount->setAccessibleName(m_amountLabel->text());
    m_slider->setAccessibleName(m_amountLabel->text());
    const bool byHand = !isDepth && !isWidth;
    m_amountLabel->setVisible(!byHand);
    m_slider->setVisible(!byHand);
    m_amount->setVisible(!byHand);
    const bool hasMultiple = byHand || card->unit == "FFN channel";
    m_multiple->setVisible(hasMultiple);
    m_multipleLabel->setVisible(hasMultiple);
    const auto analysis = m_workspace->analysis();
    m_calibration->setText(analysis ? qString(analysis->calibration.name) : tr("none yet"));
    m_keepEnds->setText(tr("Keep block 0 and %1 unchanged").arg(qMax(0, layers - 1)));
    refresh();
}

PlanDraft PlanPage::draft() const
{
    PlanDraft draft;
    draft.request.method = currentMethod().toStdString();
    if (const workflow::MethodCard *card = currentCard()) {
        if (card->paradigm == "depth")
            draft.request.remove = m_amount->value();
        else if (card->paradigm == "width")
            draft.request.sparsity = m_amount->value() / 100.0;
    }
    draft.request.uniformWidths = m_uniform->isChecked();
    draft.request.ffnMultiple = m_multiple->currentData().toInt();
    if (m_keepEnds->isChecked() && m_workspace->hasModel())
        draft.request.locked.blocks = {0, m_workspace->config().layers() - 1};
    const Subject current = m_workspace->subject(m_workspace->currentSubject());
    if (current.plan)
        draft.parent = qString(current.plan->id);
    draft.name = m_name->text();
    return draft;
}

void PlanPage::refresh()
{
    const Subject current = m_workspace->subject(m_workspace->currentSubject());
    m_parentName->setText(current.plan ? qString(current.plan->name) : tr("the dense model"));
    m_settle->start();
}

void PlanPage::showPreview(const PlanPreviewPtr &preview)
{
    m_preview = preview;
    m_changes->setChanges(preview->changes);
    m_table->resizeColumnsToContents();
    m_table->horizontalHeader()->setStretchLastSection(true);
    m_notice->clearButtons();
    if (!preview->isPossible()) {
        m_notice->setKind(Banner::Kind::Notice);
        m_notice->setText(preview->problem, preview->hint);
        if (!m_workspace->analysis() && currentMethod() != u"selection")
            connect(m_notice->addButton(tr("Calibrate…")), &QPushButton::clicked, this, &PlanPage::calibrateRequested);
        m_previewTitle->setText({});
    } else {
        m_notice->setKind(Banner::Kind::Warning);
        m_notice->setText(tr("Snapped."), preview->snapped);
        if (!preview->snapped.isEmpty())
            connect(m_notice->addButton(tr("What changed…")), &QPushButton::clicked, this, &PlanPage::showChangedUnits);
        m_previewTitle->setText(tr("%1 → %2 parameters (%3)")
                                    .arg(exactCount(preview->budget.parametersBefore),
                                         exactCount(preview->budget.parametersAfter),
                                         relativeChange(static_cast<double>(preview->budget.parametersBefore),
                                                        static_cast<double>(preview->budget.parametersAfter))));
    }
    m_notice->setVisible(!preview->isPossible() || !preview->snapped.isEmpty());
    const PruningPlan *same
        = preview->isPossible() ? samePlan(m_workspace->session().plans, preview->plan.removed) : nullptr;
    m_same->setText(same ? tr("Same units as “%1”.").arg(qString(same->name)) : QString());
    showButton();
    Q_EMIT previewChanged(preview);
}

void PlanPage::setPruneReason(const QString &reason)
{
    m_pruneReason = reason;
    showButton();
}

void PlanPage::showButton()
{
    QString reason = m_pruneReason;
    if (reason.isEmpty() && (!m_preview || !m_preview->isPossible()))
        reason = m_preview ? m_preview->problem + u"<br>"_qs + m_preview->hint : tr("The preview is not ready.");
    m_prune->setEnabled(reason.isEmpty());
    m_prune->setToolTip(reason.isEmpty() ? tr("Prune, check the result, and put the plan into the tree (Ctrl+Return)")
                                         : tr("<b>Score and prune is off</b><br>%1").arg(reason));
}

void PlanPage::showChangedUnits()
{
    if (m_preview)
        showRemovedUnits(this, m_preview->plan.removed);
}

void PlanPage::scoreAndPrune()
{
    if (m_prune->isEnabled())
        m_pruning->scoreAndPrune(m_preview);
}

void PlanPage::keepAsDraft()
{
    m_pruning->keepAsDraft(m_preview);
}

QString PlanPage::statusText() const
{
    return tr("Plan not applied: nothing has been computed");
}

QString PlanPage::commandLine() const
{
    const PlanDraft now = draft();
    const LoadedWeights *weights = m_workspace->weights();
    const QString model = weights ? fromPath(weights->path) : u"MODEL"_qs;
    QString line = u"secateur-cli plan '%1' --method %2"_qs.arg(model, qString(now.request.method));
    if (now.request.remove >= 0)
        line += u" --remove %1"_qs.arg(now.request.remove);
    if (now.request.sparsity >= 0)
        line += u" --sparsity %1"_qs.arg(now.request.sparsity);
    if (now.request.method == "selection" && m_preview && !m_preview->plan.removed.blocks.empty()) {
        QStringList blocks;
        for (const int block : m_preview->plan.removed.blocks)
            blocks.append(QString::number(block));
        line += u" --option blocks=%1"_qs.arg(blocks.join(u','));
    }
    return line + u" --out plan.json"_qs;
}

} // namespace secateur
