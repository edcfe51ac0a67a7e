#include "app/pages/recovery_probe_panel.h"

#include "app/qt_paths.h"
#include "app/user_prompts.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QFontMetrics>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSlider>
#include <QStandardItemModel>
#include <QTableView>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kQuestionWidth = 210;

QString probeSize(const workflow::ProbeAnswer &answer)
{
    return answer.traceTokens > 0
        ? RecoveryProbePanel::tr("%1 + %2 tok").arg(exactCount(answer.traceTokens), exactCount(answer.answerTokens))
        : RecoveryProbePanel::tr("%1 tok").arg(exactCount(answer.answerTokens));
}

/// What fits into a cell: the answer behind the trace, on one line.
QString probeLine(const workflow::ProbeAnswer &answer)
{
    const QString said = qString(answer.answer).simplified();
    return said.isEmpty() ? RecoveryProbePanel::tr("no answer") : said;
}

QString probeEnd(const workflow::ProbeAnswer &answer)
{
    return answer.finish == "length" ? RecoveryProbePanel::tr("cut at the limit")
        : answer.finish == "loop"    ? RecoveryProbePanel::tr("went in circles")
                                     : RecoveryProbePanel::tr("ended by itself");
}

} // namespace

RecoveryProbePanel::RecoveryProbePanel(UserPrompts *prompts, QWidget *parent)
    : QWidget(parent), m_prompts(prompts), m_model(new QStandardItemModel(this))
{
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 6, 0, 0);
    layout->setSpacing(6);
    auto *head = new QHBoxLayout;
    auto *title = new QLabel(tr("Probe answers"), this);
    title->setFont(titleFont());
    m_note = new QLabel(this);
    setSecondary(m_note);
    m_slider = new QSlider(Qt::Horizontal, this);
    m_slider->setAccessibleName(tr("Checkpoint"));
    m_slider->setToolTip(tr("Walk over the checkpoints (Left, Right)"));
    m_slider->setTickPosition(QSlider::TicksBelow);
    m_slider->setTickInterval(1);
    m_slider->setPageStep(1);
    m_slider->setFixedWidth(160);
    m_edit = new QPushButton(tr("Edit questions…"), this);
    m_fork = new QPushButton(this);
    head->addWidget(title);
    head->addWidget(m_note, 1);
    head->addWidget(m_slider);
    head->addWidget(m_fork);
    head->addWidget(m_edit);
    layout->addLayout(head);
    m_table = new QTableView(this);
    m_table->setModel(m_model);
    m_table->setAccessibleName(tr("Probe answers"));
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setShowGrid(false);
    m_table->setWordWrap(false);
    m_table->setAlternatingRowColors(true);
    // Questions stay in sight while the answers scroll.
    m_table->verticalHeader()->setDefaultSectionSize(26);
    m_table->verticalHeader()->setFixedWidth(kQuestionWidth);
    m_table->verticalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    m_table->verticalHeader()->setHighlightSections(false);
    m_table->setCornerButtonEnabled(false);
    m_table->horizontalHeader()->setHighlightSections(false);
    m_table->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    layout->addWidget(m_table, 1);
    connect(m_slider, &QSlider::valueChanged, this, &RecoveryProbePanel::showCurrent);
    connect(m_edit, &QPushButton::clicked, this, &RecoveryProbePanel::editRequested);
    connect(m_fork, &QPushButton::clicked, this, [this] { Q_EMIT forkRequested(currentStep()); });
    connect(m_table, &QTableView::activated, this,
            [this](const QModelIndex &index) { readAnswer(index.row(), index.column()); });
    connect(m_table->selectionModel(), &QItemSelectionModel::currentChanged, this, [this](const QModelIndex &index) {
        if (index.isValid())
            m_slider->setValue(index.column());
    });
    setRounds({}, {}, {});
}

std::int64_t RecoveryProbePanel::currentStep() const
{
    const auto index = static_cast<std::size_t>(m_slider->value());
    return index < m_rounds.size() ? m_rounds[index].step : -1;
}

void RecoveryProbePanel::setCurrentIndex(int round)
{
    m_slider->setValue(round);
}

void RecoveryProbePanel::setRounds(const std::vector<std::string> &questions,
                                   const std::vector<workflow::ProbeRound> &rounds,
                                   const std::vector<std::int64_t> &adapters)
{
    const bool isSame = questions == m_questions && rounds == m_rounds && adapters == m_adapters;
    if (isSame && !m_note->text().isEmpty())
        return;
    // Who looks at the newest checkpoint follows the run; who has gone back stays there.
    const bool follows = m_rounds.empty() || m_slider->value() + 1 >= static_cast<int>(m_rounds.size())
        || rounds.size() < m_rounds.size();
    m_questions = questions;
    m_rounds = rounds;
    m_adapters = adapters;
    m_model->clear();
    QStringList heads;
    for (const workflow::ProbeRound &round : rounds)
        heads += tr("step %1").arg(round.step);
    m_model->setColumnCount(static_cast<int>(rounds.size()));
    m_model->setRowCount(static_cast<int>(questions.size()));
    m_model->setHorizontalHeaderLabels(heads);
    for (std::size_t row = 0; row < questions.size(); ++row) {
        const int line = static_cast<int>(row);
        const QFontMetrics metrics(m_table->verticalHeader()->font());
        auto *question = new QStandardItem(
            metrics.elidedText(qString(questions[row]).simplified(), Qt::ElideRight, kQuestionWidth - 12));
        question->setToolTip(qString(questions[row]));
        m_model->setVerticalHeaderItem(line, question);
        for (std::size_t i = 0; i < rounds.size(); ++i) {
            if (row >= rounds[i].answers.size())
                continue;
            const workflow::ProbeAnswer &answer = rounds[i].answers[row];
            auto *item = new QStandardItem(u"%1 · %2"_qs.arg(probeSize(answer), probeLine(answer)));
            item->setToolTip(u"%1, %2\n\n%3"_qs.arg(probeSize(answer), probeEnd(answer), qString(answer.text)));
            m_model->setItem(line, static_cast<int>(i), item);
        }
    }
    for (int column = 0; column < m_model->columnCount(); ++column)
        m_table->setColumnWidth(column, 190);
    {
        const QSignalBlocker quiet(m_slider);
        m_slider->setRange(0, std::max(0, static_cast<int>(rounds.size()) - 1));
        if (follows)
            m_slider->setValue(m_slider->maximum());
    }
    m_slider->setEnabled(rounds.size() > 1);
    m_note->setText(questions.empty()    ? tr("no questions: add some to watch a run by its answers")
                        : rounds.empty() ? tr("asked before the first step, at each checkpoint and at the end")
                                         : tr("tokens of trace + answer, and the answer, at each checkpoint"));
    showCurrent();
}

void RecoveryProbePanel::showCurrent()
{
    const int current = m_slider->value();
    const ThemeColors &colors = themeColors(this);
    for (int column = 0; column < m_model->columnCount(); ++column) {
        QFont font = m_table->font();
        font.setBold(column == current);
        m_model->horizontalHeaderItem(column)->setFont(font);
        for (int row = 0; row < m_model->rowCount(); ++row) {
            if (QStandardItem *item = m_model->item(row, column))
                item->setBackground(column == current ? QBrush(colors.accentTint) : QBrush());
        }
    }
    // The header has its new widths only when the events of this change are through.
    QMetaObject::invokeMethod(
        m_table,
        [this] {
            const QModelIndex shown = m_model->index(std::max(0, m_table->currentIndex().row()), m_slider->value());
            if (shown.isValid())
                m_table->scrollTo(shown);
        },
        Qt::QueuedConnection);
    const std::int64_t step = currentStep();
    const bool canFork = std::find(m_adapters.begin(), m_adapters.end(), step) != m_adapters.end();
    m_fork->setText(step < 0 ? tr("Fork…") : tr("Fork at %1").arg(step));
    m_fork->setEnabled(canFork);
    m_fork->setToolTip(canFork ? tr("A new run with the settings at the left that begins with the adapter of this step")
                               : tr("The adapter of this step is not kept: choose another checkpoint"));
    // At the newest checkpoint the chart shows what it shows by itself.
    Q_EMIT currentStepChanged(m_slider->value() == m_slider->maximum() ? -1 : step);
}

void RecoveryProbePanel::readAnswer(int question, int round)
{
    if (round < 0 || round >= static_cast<int>(m_rounds.size()))
        return;
    const workflow::ProbeRound &shown = m_rounds[static_cast<std::size_t>(round)];
    if (question < 0 || question >= static_cast<int>(shown.answers.size()))
        return;
    const workflow::ProbeAnswer &answer = shown.answers[static_cast<std::size_t>(question)];
    m_prompts->details(tr("Answer after step %1").arg(shown.step),
                       u"%1\n\n%2\n\n%3, %4"_qs.arg(qString(m_questions[static_cast<std::size_t>(question)]),
                                                    qString(answer.text), probeSize(answer), probeEnd(answer)));
}

} // namespace secateur
