#include "app/pages/recovery_data_picker.h"

#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "app/workspace.h"
#include "widgets/controls/banner.h"
#include "widgets/controls/data_set_card.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QTimer>
#include <QVBoxLayout>

namespace secateur {

namespace {

using workflow::TrainingDataCard;

QString dataTitle(const QString &source)
{
    return source == u"bundled" ? RecoveryDataPicker::tr("Bundled conversations") : QFileInfo(source).fileName();
}

QString dataForm(const TrainingDataCard &card)
{
    return card.form == "chat"           ? RecoveryDataPicker::tr("chat")
        : card.form == "prompt-response" ? RecoveryDataPicker::tr("prompt and response")
        : card.form == "jsonl-text"      ? RecoveryDataPicker::tr("texts")
                                         : RecoveryDataPicker::tr("one text");
}

DataSetText dataText(const TrainingDataSummary &summary)
{
    const TrainingDataCard &card = summary.card;
    DataSetText text;
    text.title = dataTitle(qString(card.source));
    if (!summary.problem.message.empty()) {
        text.isProblem = true;
        text.badge = RecoveryDataPicker::tr("not usable");
        text.lines = {qString(summary.problem.message)};
        if (!summary.problem.hint.empty())
            text.lines += qString(summary.problem.hint);
        return text;
    }
    using Kind = DataSetText::Kind;
    text.kind = card.kind == "think" ? Kind::Think
        : card.kind == "instruct"    ? Kind::Instruct
        : card.kind == "mixed"       ? Kind::Mixed
                                     : Kind::Text;
    text.badge = text.kind == Kind::Think ? RecoveryDataPicker::tr("think")
        : text.kind == Kind::Instruct     ? RecoveryDataPicker::tr("instruct")
        : text.kind == Kind::Mixed        ? RecoveryDataPicker::tr("mixed")
                                          : RecoveryDataPicker::tr("text");
    text.lines += card.samples == 1
        ? RecoveryDataPicker::tr("1 sample · %1 tokens").arg(exactCount(card.tokens))
        : RecoveryDataPicker::tr("%1 samples · %2 tokens").arg(exactCount(card.samples), exactCount(card.tokens));
    text.lines += RecoveryDataPicker::tr("%1 scored (%2) · longest %3")
                      .arg(exactCount(card.scoredTokens),
                           percent(card.tokens > 0 ? double(card.scoredTokens) / double(card.tokens) : 0, 0),
                           exactCount(card.longest));
    QStringList less;
    if (card.dropped > 0)
        less += RecoveryDataPicker::tr("%1 too long").arg(exactCount(card.dropped));
    if (card.split > 0)
        less += RecoveryDataPicker::tr("%1 split").arg(exactCount(card.split));
    if (card.skipped > 0)
        less += RecoveryDataPicker::tr("%1 without an answer").arg(exactCount(card.skipped));
    text.lines += less.isEmpty() ? RecoveryDataPicker::tr("nothing left out") : less.join(u" · "_qs);
    text.lines += RecoveryDataPicker::tr("%1 · sha256 %2…").arg(dataForm(card), qString(card.sha256).left(8));
    return text;
}

} // namespace

RecoveryDataPicker::RecoveryDataPicker(Workspace *workspace, RecoveryController *recovery, UserPrompts *prompts,
                                       AppSettings *settings, QWidget *parent)
    : QWidget(parent),
      m_workspace(workspace),
      m_recovery(recovery),
      m_prompts(prompts),
      m_settings(settings),
      m_recount(new QTimer(this))
{
    m_recount->setSingleShot(true);
    m_recount->setInterval(300);
    connect(m_recount, &QTimer::timeout, this, &RecoveryDataPicker::count);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    auto *head = new QHBoxLayout;
    auto *title = new QLabel(tr("Data"), this);
    title->setFont(titleFont());
    auto *add = new QPushButton(themedIcon(u"plus"_qs), tr("Add file…"), this);
    add->setToolTip(tr("Add conversations or texts to train on (.jsonl, .json, .txt)"));
    connect(add, &QPushButton::clicked, this, &RecoveryDataPicker::addFile);
    head->addWidget(title, 1);
    head->addWidget(add);
    layout->addLayout(head);
    m_list = new QVBoxLayout;
    m_list->setSpacing(4);
    layout->addLayout(m_list);
    m_fitWarning = new Banner(Banner::Kind::Warning, this);
    m_lengthWarning = new Banner(Banner::Kind::Warning, this);
    for (Banner *banner : {m_fitWarning, m_lengthWarning}) {
        banner->setBoxed(true);
        banner->setClosable(false);
        banner->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Maximum);
        banner->hide();
        layout->addWidget(banner);
    }
    m_useFitting = new QPushButton(this);
    m_useFitting->hide();
    layout->insertWidget(layout->indexOf(m_lengthWarning), m_useFitting, 0, Qt::AlignLeft);
    connect(m_useFitting, &QPushButton::clicked, this, [this] {
        if (DataSetCard *better = card(fittingSource()))
            better->setChecked(true);
    });
    for (const QString &source : sources())
        addCard(source);
    m_cards.at(m_source)->setChecked(true);
    connect(m_recovery, &RecoveryController::dataDescribed, this, &RecoveryDataPicker::showSummary);
}

QStringList RecoveryDataPicker::sources() const
{
    return QStringList{u"bundled"_qs} + m_settings->trainingData();
}

DataSetCard *RecoveryDataPicker::card(const QString &source) const
{
    const auto found = m_cards.find(source);
    return found == m_cards.end() ? nullptr : found->second;
}

void RecoveryDataPicker::addCard(const QString &source)
{
    auto *card = new DataSetCard(this);
    card->setObjectName(u"data:"_qs + source);
    card->setToolTip(source == u"bundled" ? tr("Short conversations that come with the program") : source);
    card->setRemovable(source != u"bundled");
    m_cards[source] = card;
    m_list->addWidget(card);
    showCard(source);
    connect(card, &DataSetCard::removeRequested, this, [this, source] { removeCard(source); });
    connect(card, &QAbstractButton::toggled, this, [this, source](bool chosen) {
        if (!chosen || m_source == source)
            return;
        m_source = source;
        showWarnings();
        Q_EMIT changed();
    });
}

void RecoveryDataPicker::removeCard(const QString &source)
{
    QStringList files = m_settings->trainingData();
    files.removeAll(source);
    m_settings->setTrainingData(files);
    if (m_source == source)
        m_cards.at(u"bundled"_qs)->setChecked(true);
    m_cards.at(m_source)->setFocus();
    m_cards.at(source)->deleteLater();
    m_cards.erase(source);
    m_summaries.erase(source);
}

void RecoveryDataPicker::setSource(const QString &source)
{
    if (!card(source)) {
        m_settings->setTrainingData(m_settings->trainingData() + QStringList{source});
        addCard(source);
    }
    card(source)->setChecked(true);
    count();
}

void RecoveryDataPicker::addFile()
{
    const QString file = m_prompts->openFile(tr("Choose training data"), m_settings->lastFolder(),
                                             tr("Chats and text (*.jsonl *.json *.txt *.md);;All files (*)"));
    if (file.isEmpty())
        return;
    m_settings->setLastFolder(QFileInfo(file).absolutePath());
    setSource(file);
}

void RecoveryDataPicker::setOptions(const RecoveryOptions &options)
{
    const bool matters = options.maxLength != m_options.maxLength || options.splitLong != m_options.splitLong
        || options.promptWeight != m_options.promptWeight;
    m_options = options;
    if (matters)
        m_recount->start();
}

TrainingDataSummaryPtr RecoveryDataPicker::summary() const
{
    const auto found = m_summaries.find(m_source);
    return found == m_summaries.end() ? nullptr : found->second;
}

void RecoveryDataPicker::count()
{
    m_recount->stop();
    m_summaries.clear();
    for (const auto &[source, card] : m_cards)
        showCard(source);
    showWarnings();
    Q_EMIT changed();
    QStringList wanted = sources();
    wanted.removeAll(m_source);
    wanted.prepend(m_source); // the chosen one is what somebody waits for
    m_recovery->describeData(wanted, m_options);
}

void RecoveryDataPicker::showSummary(const TrainingDataSummaryPtr &summary)
{
    const QString source = qString(summary->card.source);
    if (!card(source))
        return; // removed in the meantime
    m_summaries[source] = summary;
    showCard(source);
    showWarnings();
    if (source == m_source)
        Q_EMIT changed();
}

void RecoveryDataPicker::showCard(const QString &source)
{
    const auto found = m_summaries.find(source);
    if (found != m_summaries.end()) {
        m_cards.at(source)->setContent(dataText(*found->second));
        return;
    }
    DataSetText text;
    text.title = dataTitle(source);
    text.lines = {m_workspace->hasWeights() ? tr("counting…") : tr("counted when the weights are there")};
    m_cards.at(source)->setContent(text);
}

QString RecoveryDataPicker::fittingSource() const
{
    for (const QString &source : sources()) {
        const auto found = m_summaries.find(source);
        if (found != m_summaries.end() && found->second->isUsable()
            && found->second->card.fit == TrainingDataCard::Fit::Good && found->second->card.kind != "text")
            return source;
    }
    return {};
}

void RecoveryDataPicker::showWarnings()
{
    const TrainingDataSummaryPtr chosen = summary();
    const bool isUsable = chosen && chosen->isUsable();
    const auto fit = isUsable ? chosen->card.fit : TrainingDataCard::Fit::Good;
    m_fitWarning->setVisible(fit != TrainingDataCard::Fit::Good);
    m_lengthWarning->setVisible(isUsable && chosen->card.dropped > 0);
    const QString better = fit == TrainingDataCard::Fit::Good ? QString() : fittingSource();
    m_useFitting->setVisible(!better.isEmpty());
    m_useFitting->setText(tr("Use %1").arg(dataTitle(better)));
    if (!isUsable)
        return;
    const TrainingDataCard &card = chosen->card;
    const QString model = qString(m_workspace->session().model.alias);
    if (fit == TrainingDataCard::Fit::NoTemplate) {
        m_fitWarning->setText(tr("The model has no chat template."),
                              tr("Texts can be learned, with every token scored; conversations cannot."));
    } else if (fit == TrainingDataCard::Fit::TracesMissing) {
        m_fitWarning->setText(tr("Written for an instruct model."),
                              tr("%1 thinks before it answers; %2 of %3 answers here do. Training on them would teach "
                                 "it to skip its trace.")
                                  .arg(model, exactCount(card.traces), exactCount(card.answers)));
    } else if (fit == TrainingDataCard::Fit::TracesUnwanted) {
        m_fitWarning->setText(tr("Written for a think model."),
                              tr("%1 of %2 answers begin with a trace, which %3 does not write. Training on them would "
                                 "teach it to think aloud.")
                                  .arg(exactCount(card.traces), exactCount(card.answers), model));
    }
    m_lengthWarning->setText(
        tr("%1 of %2 samples are too long.").arg(exactCount(card.dropped), exactCount(card.dropped + card.samples)),
        tr("They are left out, never cut: raise “Longest sample” to keep them."));
}

} // namespace secateur
