#include "app/pages/start_page.h"

#include "app/controllers/document_controller.h"
#include "app/pages/start_page_parts.h"
#include "app/settings/app_settings.h"
#include "backend/core/resource_path.h"
#include "widgets/theme/theme.h"

#include <QCheckBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QScrollArea>
#include <QShortcut>
#include <QVBoxLayout>

#include <utility>

namespace secateur {

namespace {

constexpr int kVisibleRecent = 7;

/// A framed card with a title, one paragraph and room for buttons.
struct ExampleCard {
    QFrame *frame;
    QLabel *text;
    QHBoxLayout *buttons;
};

ExampleCard exampleCard(const QString &title, QWidget *parent)
{
    auto *frame = new QFrame(parent);
    frame->setProperty("panel", true);
    frame->setFrameShape(QFrame::StyledPanel);
    auto *layout = new QVBoxLayout(frame);
    layout->setContentsMargins(16, 10, 16, 12);
    layout->setSpacing(4);
    auto *name = new QLabel(title, frame);
    name->setFont(titleFont());
    auto *text = new QLabel(frame);
    text->setWordWrap(true);
    setSecondary(text);
    auto *buttons = new QHBoxLayout;
    layout->addWidget(name);
    layout->addWidget(text);
    layout->addSpacing(4);
    layout->addLayout(buttons);
    return {frame, text, buttons};
}

} // namespace

StartPage::StartPage(AppSettings *settings, DocumentController *document, QWidget *parent)
    : QWidget(parent), m_settings(settings), m_document(document)
{
    setAutoFillBackground(true);
    setBackgroundRole(QPalette::Base);
    auto *whole = new QVBoxLayout(this);
    whole->setContentsMargins(0, 0, 0, 0);
    auto *area = new QScrollArea(this);
    area->setFrameShape(QFrame::NoFrame);
    area->setWidgetResizable(true);
    area->viewport()->setBackgroundRole(QPalette::Base);
    whole->addWidget(area);
    auto *page = new QWidget(area);
    page->setBackgroundRole(QPalette::Base);
    page->setAutoFillBackground(true);
    area->setWidget(page);

    auto *centred = new QHBoxLayout(page);
    centred->addStretch(1);
    auto *content = new QWidget(page);
    content->setMaximumWidth(1120);
    centred->addWidget(content, 100);
    centred->addStretch(1);
    auto *outer = new QVBoxLayout(content);
    outer->setContentsMargins(24, 48, 24, 24);
    outer->setSpacing(16);

    auto *name = new QLabel(u"Secateur"_qs, content);
    name->setFont(titleFont(26.0 / 12.0));
    auto *headline = new QHBoxLayout;
    auto *claim = new QLabel(tr("See which layers, heads and channels a model needs, remove the rest, and measure "
                                "what it costs."),
                             content);
    setSecondary(claim);
    auto *version = new QLabel(tr("%1 · offline").arg(QString::fromLatin1(versionString())), content);
    setSecondary(version);
    headline->addWidget(claim);
    headline->addStretch(1);
    headline->addWidget(version);
    auto *heading = new QVBoxLayout;
    heading->setSpacing(2);
    heading->addWidget(name);
    heading->addLayout(headline);
    outer->addLayout(heading);
    outer->addSpacing(8);
    auto *columns = new QHBoxLayout;
    columns->setSpacing(56);
    columns->addWidget(makeLeft(), 2);
    columns->addWidget(makeRight(), 3);
    outer->addLayout(columns, 1);
    m_showAtStart = new QCheckBox(tr("Show this page at start"), content);
    m_showAtStart->setChecked(m_settings->showStartPage());
    connect(m_showAtStart, &QCheckBox::toggled, this, [this](bool on) { m_settings->setShowStartPage(on); });
    outer->addWidget(m_showAtStart);
    refresh();
}

QWidget *StartPage::makeLeft()
{
    auto *left = new QWidget(this);
    auto *layout = new QVBoxLayout(left);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(8);
    auto *model = new CardButton(u"model"_qs, tr("Open model…"), tr("HF folder, safetensors index or GGUF"),
                                 u"Ctrl+O"_qs, left);
    auto *session = new CardButton(u"session"_qs, tr("Open session…"), tr("opens without the weights too"),
                                   u"Ctrl+Shift+O"_qs, left);
    connect(model, &CardButton::clicked, this, &StartPage::openModelRequested);
    connect(session, &CardButton::clicked, this, &StartPage::openSessionRequested);
    layout->addWidget(model);
    layout->addWidget(session);
    layout->addWidget(new DropHint(tr("Drop a model, adapter, plan, session\nor maps (.h5) here"), left));
    layout->addSpacing(12);
    auto *learn = new QLabel(tr("Learn"), left);
    learn->setFont(titleFont());
    layout->addWidget(learn);
    const auto addLink = [&](const QString &topic, const QString &title, const QString &text) {
        auto *link = new QLabel(left);
        link->setText(u"<a href=\"%1\" style=\"text-decoration:none\">%2</a>&nbsp;&nbsp;%3"_qs.arg(topic, title, text));
        link->setTextInteractionFlags(Qt::LinksAccessibleByMouse | Qt::LinksAccessibleByKeyboard);
        connect(link, &QLabel::linkActivated, this, &StartPage::helpRequested);
        layout->addWidget(link);
    };
    addLink(u"first-steps"_qs, tr("First steps"), tr("open, look, prune, compare in 5 minutes"));
    addLink(u"methods"_qs, tr("Method cards"), tr("formula, paper and cost of each method"));
    addLink(u"keyboard"_qs, tr("Keyboard"), tr("list of shortcuts"));
    layout->addStretch(1);
    return left;
}

QWidget *StartPage::makePairCard(QWidget *parent)
{
    const ExampleCard card = exampleCard(tr("The mini pair"), parent);
    card.text->setText(
        tr("Two siblings of 2.5 M parameters from an invented world: one answers at once, one thinks first. "
           "Their finished sessions have maps, plans, a recovery and the results of 17 tasks; every step "
           "can be repeated in seconds or minutes."));
    m_example = new QPushButton(tr("Session of the thinking one"), card.frame);
    auto *other = new QPushButton(tr("Session of the other"), card.frame);
    for (const auto &[button, model] : {std::pair{m_example, "mini-think"}, std::pair{other, "mini-instruct"}}) {
        button->setToolTip(tr("Opens a copy; saving asks where"));
        connect(button, &QPushButton::clicked, this,
                [this, name = QString::fromLatin1(model)] { Q_EMIT exampleRequested(name); });
        card.buttons->addWidget(button);
    }
    for (const char *model : {"mini-think", "mini-instruct"}) {
        auto *button = new QPushButton(tr("Open %1").arg(QString::fromLatin1(model)), card.frame);
        button->setFlat(true);
        button->setToolTip(tr("Opens the model alone"));
        connect(button, &QPushButton::clicked, this,
                [this, name = QString::fromLatin1(model)] { Q_EMIT bundledRequested(u"bundled:"_qs + name); });
        card.buttons->addWidget(button);
    }
    card.buttons->addStretch(1);
    return card.frame;
}

QWidget *StartPage::makeSmolCard(QWidget *parent)
{
    const ExampleCard card = exampleCard(u"SmolLM2-135M-Instruct"_qs, parent);
    m_smolText = card.text;
    m_smol = new QPushButton(tr("Open model"), card.frame);
    connect(m_smol, &QPushButton::clicked, this, [this] { Q_EMIT bundledRequested(u"bundled:smollm2"_qs); });
    card.buttons->addWidget(m_smol);
    card.buttons->addStretch(1);
    return card.frame;
}

QWidget *StartPage::makeRight()
{
    auto *right = new QWidget(this);
    auto *layout = new QVBoxLayout(right);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(8);
    auto *head = new QHBoxLayout;
    auto *examples = new QLabel(tr("Examples"), right);
    examples->setFont(titleFont());
    auto *nothing = new QLabel(tr("nothing is downloaded"), right);
    nothing->setFont(secondaryFont());
    setSecondary(nothing);
    head->addWidget(examples);
    head->addStretch(1);
    head->addWidget(nothing);
    layout->addLayout(head);

    layout->addWidget(makePairCard(right));
    layout->addWidget(makeSmolCard(right));
    setSmolAvailable(true);
    layout->addSpacing(12);

    auto *recentHead = new QHBoxLayout;
    auto *recentTitle = new QLabel(tr("Recent"), right);
    recentTitle->setFont(titleFont());
    m_filter = new QLineEdit(right);
    m_filter->setPlaceholderText(tr("Filter recent"));
    m_filter->setAccessibleName(tr("Filter recent"));
    m_filter->setClearButtonEnabled(true);
    m_filter->setMaximumWidth(180);
    m_filter->addAction(themedIcon(u"search"_qs), QLineEdit::LeadingPosition);
    recentHead->addWidget(recentTitle);
    recentHead->addStretch(1);
    recentHead->addWidget(m_filter);
    layout->addLayout(recentHead);
    m_recent = new QListWidget(right);
    m_recent->setAccessibleName(tr("Recent"));
    m_recent->setItemDelegate(new RecentDelegate(m_recent));
    m_recent->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    m_recent->setMouseTracking(true);
    layout->addWidget(m_recent);
    layout->addStretch(1);
    connect(m_filter, &QLineEdit::textChanged, this, &StartPage::refresh);
    connect(m_recent, &QListWidget::itemActivated, this, &StartPage::openCurrent);
    connect(m_recent, &QListWidget::itemClicked, this, &StartPage::openCurrent);
    auto *remove = new QShortcut(QKeySequence::Delete, m_recent);
    remove->setContext(Qt::WidgetShortcut);
    connect(remove, &QShortcut::activated, this, [this] {
        if (const QListWidgetItem *item = m_recent->currentItem()) {
            m_settings->removeRecent(item->data(RecentDelegate::PathRole).toString());
            refresh();
        }
    });
    return right;
}

void StartPage::setSmolAvailable(bool available)
{
    m_smol->setEnabled(available);
    m_smolText->setText(available ? tr("134.5 M parameters, 30 blocks, GGUF Q4_1. Then calibrate on the bundled text.")
                                  : tr("Not on this machine yet: packaging/start fetches it once (98 MB)."));
    m_smol->setToolTip(available ? tr("Opens the model that came with the program")
                                 : tr("<b>Open model is off</b><br>The example model is not on this machine.<br>"
                                      "Run packaging/start once."));
}

void StartPage::refresh()
{
    m_recent->clear();
    for (const RecentEntry &entry : m_settings->recent()) {
        if (!m_filter->text().isEmpty() && !entry.title.contains(m_filter->text(), Qt::CaseInsensitive)
            && !entry.path.contains(m_filter->text(), Qt::CaseInsensitive))
            continue;
        auto *item = new QListWidgetItem(entry.title, m_recent);
        item->setData(RecentDelegate::PathRole, entry.path);
        item->setData(RecentDelegate::DetailRole, entry.detail);
        item->setData(RecentDelegate::TimeRole, entry.opened);
        item->setData(RecentDelegate::ThumbnailRole, QPixmap::fromImage(QImage::fromData(entry.thumbnail)));
        const bool missing = m_document->isMissing(entry.path);
        item->setData(RecentDelegate::MissingRole, missing);
        item->setToolTip(missing ? tr("%1\nnot found; click to locate it, Delete removes the entry").arg(entry.path)
                                 : entry.path);
    }
    if (m_recent->count() == 0) {
        auto *item = new QListWidgetItem(tr("Nothing opened yet"), m_recent);
        item->setFlags(Qt::NoItemFlags);
    }
    // As high as its rows, up to what the page has room for.
    const int rows = qBound(1, m_recent->count(), kVisibleRecent);
    m_recent->setFixedHeight(rows * m_recent->sizeHintForRow(0) + 2 * m_recent->frameWidth());
}

void StartPage::openCurrent()
{
    const QListWidgetItem *item = m_recent->currentItem();
    if (!item)
        return;
    const QString path = item->data(RecentDelegate::PathRole).toString();
    if (path.isEmpty())
        return;
    if (item->data(RecentDelegate::MissingRole).toBool())
        Q_EMIT locateRequested(path);
    else
        Q_EMIT recentRequested(path);
}

} // namespace secateur
