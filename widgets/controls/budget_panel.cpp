#include "widgets/controls/budget_panel.h"

#include "widgets/controls/icon_label.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QEvent>
#include <QGridLayout>
#include <QLabel>
#include <QPainter>
#include <QRegularExpression>
#include <QVBoxLayout>

#include <algorithm>
#include <vector>

namespace secateur {

namespace {

/// A cell of the table: a label with the faint line below it.
class BudgetCell : public QLabel {
public:
    explicit BudgetCell(Qt::Alignment alignment, bool header = false)
    {
        setAlignment(alignment | Qt::AlignVCenter);
        setContentsMargins(8, 3, 8, 4);
        if (header) {
            setFont(secondaryFont());
            setSecondary(this);
            setBackgroundRole(QPalette::Window);
            setAutoFillBackground(true);
        }
    }

protected:
    void paintEvent(QPaintEvent *event) override
    {
        QLabel::paintEvent(event);
        QPainter painter(this);
        painter.fillRect(QRect(0, height() - 1, width(), 1), themeColors(this).lineFaint);
    }
};

/// "1 536", or "1 152–1 536" when blocks differ.
QString budgetRange(const std::vector<int> &values)
{
    if (values.empty())
        return missingNumber();
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return *low == *high ? exactCount(*low) : exactCount(*low) + QChar(0x2013) + exactCount(*high);
}

QString budgetWidths(const ModelConfig &config)
{
    std::vector<int> widths;
    for (const BlockShape &block : config.blocks) {
        if (block.hasMlp)
            widths.push_back(block.intermediateSize);
    }
    return budgetRange(widths);
}

QString budgetHeads(const ModelConfig &config)
{
    std::vector<int> queries, groups;
    for (const BlockShape &block : config.blocks) {
        if (block.hasAttention) {
            queries.push_back(block.queryHeads);
            groups.push_back(block.kvHeads);
        }
    }
    return budgetRange(queries) + u'/' + budgetRange(groups);
}

} // namespace

struct BudgetPanel::Private {
    struct Line {
        QLabel *label = nullptr;
        QLabel *dense = nullptr;
        QLabel *selection = nullptr;
        void setVisible(bool visible)
        {
            label->setVisible(visible);
            dense->setVisible(visible);
            selection->setVisible(visible);
        }
    };
    struct Share {
        QLabel *value = nullptr;
        QLabel *name = nullptr;
    };
    struct Loader {
        IconLabel *icon = nullptr;
        QLabel *text = nullptr;
    };
    Line parameters, bytes, flops, kv, ffnWidth, heads;
    std::vector<Line *> lines{&parameters, &bytes, &flops, &kv, &ffnWidth, &heads};
    Share nominal, parameterShare, flopsShare;
    Loader transformers, llamaCpp;
    QWidget *loaders = nullptr;
    qint64 context = 512;

    static void set(Line &line, const QString &dense, const QString &selection, bool changed)
    {
        line.dense->setText(dense);
        line.selection->setText(selection);
        QFont font = numberFont();
        font.setWeight(changed ? QFont::DemiBold : QFont::Normal);
        line.selection->setFont(font);
    }
};

BudgetPanel::BudgetPanel(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    setBackgroundRole(QPalette::Base);
    setAutoFillBackground(true);
    setAccessibleName(tr("Budget"));
    auto *grid = new QGridLayout;
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setSpacing(0);
    grid->setColumnStretch(0, 1);
    grid->addWidget(new BudgetCell(Qt::AlignLeft, true), 0, 0);
    auto *denseHead = new BudgetCell(Qt::AlignRight, true);
    denseHead->setText(tr("Dense"));
    auto *selectionHead = new BudgetCell(Qt::AlignRight, true);
    selectionHead->setText(tr("Selection"));
    grid->addWidget(denseHead, 0, 1);
    grid->addWidget(selectionHead, 0, 2);
    int row = 1;
    const auto addLine = [&](Private::Line &line, const QString &name) {
        line.label = new BudgetCell(Qt::AlignLeft);
        line.label->setText(name);
        line.dense = new BudgetCell(Qt::AlignRight);
        setSecondary(line.dense);
        line.dense->setFont(numberFont());
        line.selection = new BudgetCell(Qt::AlignRight);
        grid->addWidget(line.label, row, 0);
        grid->addWidget(line.dense, row, 1);
        grid->addWidget(line.selection, row, 2);
        ++row;
    };
    addLine(d->parameters, tr("Parameters"));
    addLine(d->bytes, tr("Bytes"));
    addLine(d->flops, tr("FLOPs/token"));
    addLine(d->kv, tr("KV bytes/token"));
    addLine(d->ffnWidth, tr("FFN width"));
    addLine(d->heads, tr("Query/KV heads"));
    d->flops.label->setTextFormat(Qt::RichText);
    d->flops.label->setTextInteractionFlags(Qt::LinksAccessibleByMouse | Qt::LinksAccessibleByKeyboard);
    d->flops.label->setToolTip(tr("Click the context length to change it"));
    connect(d->flops.label, &QLabel::linkActivated, this, [this] { Q_EMIT contextRequested(); });

    auto *shares = new QGridLayout;
    shares->setContentsMargins(8, 8, 8, 8);
    shares->setHorizontalSpacing(16);
    shares->setVerticalSpacing(0);
    auto *sparsity = new QLabel(tr("Sparsity"));
    sparsity->setFont(secondaryFont());
    setSecondary(sparsity);
    shares->addWidget(sparsity, 0, 0, 1, 3);
    int column = 0;
    const auto addShare = [&](Private::Share &share, const QString &name) {
        share.value = new QLabel;
        QFont bold = numberFont();
        bold.setWeight(QFont::DemiBold);
        share.value->setFont(bold);
        share.name = new QLabel(name);
        share.name->setFont(secondaryFont());
        setSecondary(share.name);
        shares->addWidget(share.value, 1, column);
        shares->addWidget(share.name, 2, column);
        shares->setColumnStretch(column, 1);
        ++column;
    };
    addShare(d->nominal, tr("nominal"));
    addShare(d->parameterShare, tr("parameters"));
    addShare(d->flopsShare, tr("FLOPs"));

    d->loaders = new QWidget;
    auto *loaders = new QGridLayout(d->loaders);
    loaders->setContentsMargins(8, 8, 8, 8);
    loaders->setHorizontalSpacing(8);
    loaders->setVerticalSpacing(4);
    loaders->setColumnStretch(1, 1);
    const auto addLoader = [&](Private::Loader &loader, int at) {
        loader.icon = new IconLabel;
        loader.text = new QLabel;
        loader.text->setWordWrap(true);
        loaders->addWidget(loader.icon, at, 0, Qt::AlignTop);
        loaders->addWidget(loader.text, at, 1);
    };
    addLoader(d->transformers, 0);
    addLoader(d->llamaCpp, 1);

    auto *line = new QFrame;
    line->setFrameShape(QFrame::HLine);
    line->setFrameShadow(QFrame::Plain);
    line->setForegroundRole(QPalette::Midlight);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addLayout(grid);
    layout->addLayout(shares);
    layout->addWidget(line);
    layout->addWidget(d->loaders);
    layout->addStretch(1);
    hideWidths();
    clear();
}

BudgetPanel::~BudgetPanel() = default;

void BudgetPanel::clear()
{
    for (Private::Line *line : d->lines)
        Private::set(*line, missingNumber(), missingNumber(), false);
    d->bytes.label->setText(tr("Bytes"));
    showContext(512);
    for (Private::Share *share : {&d->nominal, &d->parameterShare, &d->flopsShare})
        share->value->setText(missingNumber());
    d->loaders->hide();
}

void BudgetPanel::changeEvent(QEvent *event)
{
    if (event->type() == QEvent::PaletteChange && d->flops.label)
        showContext(d->context); // the link carries its colour in its text
    QWidget::changeEvent(event);
}

void BudgetPanel::showContext(qint64 context)
{
    d->context = context;
    const ThemeColors &colors = themeColors(this);
    d->flops.label->setText(
        tr("FLOPs/token %1")
            .arg(QStringLiteral("<a href=\"#context\" style=\"color:%1;text-decoration:none\">@%2</a>")
                     .arg(colors.accent.name())
                     .arg(context)));
}

void BudgetPanel::setBudget(const Budget &budget, const QString &dtype)
{
    const auto differs = [](auto before, auto after) { return before != after; };
    Private::set(d->parameters, exactCount(budget.parametersBefore), exactCount(budget.parametersAfter),
                 differs(budget.parametersBefore, budget.parametersAfter));
    d->bytes.label->setText(tr("Bytes, %1").arg(dtype));
    Private::set(d->bytes, fileSize(budget.bytesBefore), fileSize(budget.bytesAfter),
                 differs(budget.bytesBefore, budget.bytesAfter));
    showContext(budget.context);
    Private::set(d->flops, flops(budget.flopsBefore), flops(budget.flopsAfter),
                 differs(budget.flopsBefore, budget.flopsAfter));
    Private::set(d->kv, exactCount(budget.kvBefore), exactCount(budget.kvAfter),
                 differs(budget.kvBefore, budget.kvAfter));
    d->nominal.value->setText(percent(budget.nominalSparsity));
    d->parameterShare.value->setText(percent(budget.parameterSparsity));
    d->flopsShare.value->setText(percent(budget.flopsSparsity));

    const QString note = QString::fromStdString(budget.loaderNote);
    const auto show = [&](Private::Loader &loader, const QString &good, const QString &bad) {
        const bool loads = budget.loadsInStock;
        loader.icon->setThemedIcon(loads ? QStringLiteral("check") : QStringLiteral("warning"),
                                   loads ? IconColor::Accent : IconColor::Warning);
        loader.icon->setAccessibleName(loads ? tr("Yes") : tr("Warning"));
        loader.text->setText(loads ? good : bad);
        const QString reason = loads ? tr("All blocks have the same widths") : note;
        loader.text->setToolTip(reason);
        loader.icon->setToolTip(reason);
        loader.text->setAccessibleDescription(reason);
    };
    show(d->transformers, tr("Loads in stock transformers"), tr("Does not load in stock transformers"));
    show(d->llamaCpp, tr("Loads in llama.cpp"), tr("Does not load in llama.cpp"));
    d->loaders->show();
}

void BudgetPanel::setWidths(const ModelConfig &dense, const ModelConfig &pruned)
{
    const auto show = [](Private::Line &line, const QString &before, const QString &after) {
        Private::set(line, before, after, before != after);
        line.setVisible(true);
    };
    show(d->ffnWidth, budgetWidths(dense), budgetWidths(pruned));
    show(d->heads, budgetHeads(dense), budgetHeads(pruned));
}

void BudgetPanel::hideWidths()
{
    d->ffnWidth.setVisible(false);
    d->heads.setVisible(false);
}

QStringList BudgetPanel::rowTexts() const
{
    QStringList rows;
    for (const Private::Line *line : d->lines) {
        if (line->label->isHidden())
            continue;
        QString label = line->label->text();
        label.remove(QRegularExpression(QStringLiteral("<[^>]*>")));
        rows << label + u'\t' + line->dense->text() + u'\t' + line->selection->text();
    }
    for (const Private::Share *share : {&d->nominal, &d->parameterShare, &d->flopsShare})
        rows << share->name->text() + u'\t' + share->value->text();
    return rows;
}

QStringList BudgetPanel::loaderLines() const
{
    return d->loaders->isHidden() ? QStringList() : QStringList{d->transformers.text->text(), d->llamaCpp.text->text()};
}

} // namespace secateur
