#include "app/controllers/eval_controller.h"

#include "app/output_folders.h"
#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/workspace.h"
#include "backend/tasks/task.h"
#include "backend/workflow/evaluate.h"
#include "widgets/theme/number_text.h"

#include <QTimer>

#include <algorithm>
#include <mutex>

namespace secateur {

/// The growing report on its way from the compute thread; the newest state counts.
struct EvalController::Live {
    std::mutex mutex;
    EvaluationReport report;
    quint64 version = 0;
};

namespace {

constexpr int kEvalPollMs = 200;

QString kindText(const TaskSpec &task)
{
    return task.kind == "loglikelihood" ? EvalController::tr("log-likelihood") : EvalController::tr("generation");
}

} // namespace

EvalController::EvalController(const AppServices &services, QObject *parent)
    : QObject(parent), m_services(services), m_poll(new QTimer(this))
{
    m_poll->setInterval(kEvalPollMs);
    connect(m_poll, &QTimer::timeout, this, &EvalController::drain);
    m_last.options.limit = 40;
}

EvalController::~EvalController() = default;

void EvalController::ask(const QString &subject)
{
    if (m_last.dataFolder.isEmpty())
        m_last.dataFolder = m_services.settings.dataFolder();
    using Choices = std::vector<TaskChoice>;
    startJob<Choices>(
        m_services, this, QString(), QString(),
        [folder = toPath(m_last.dataFolder),
         isMini = m_services.workspace.session().model.alias.starts_with("mini-")](const JobContext &) {
            Choices choices;
            for (const TaskSpec &task : taskCatalogue()) {
                TaskChoice choice{.id = task.id,
                                  .title = qString(task.title),
                                  .family = qString(task.family),
                                  .kind = kindText(task),
                                  .missing = {},
                                  .suggested = false};
                std::string missing;
                if (taskRows(task, folder, &missing).empty())
                    choice.missing = qString(missing);
                // The mini tasks ask about an invented world that only the models made for it know, and these know
                // nothing else.
                choice.suggested = choice.missing.isEmpty() && task.id.starts_with("mini-") == isMini;
                choices.push_back(choice);
            }
            return choices;
        },
        [this, subject](std::shared_ptr<const Choices> tasks) {
            std::vector<SubjectChoice> subjects;
            const Subject current = m_services.workspace.subject(subject);
            for (const QString &id : m_services.workspace.subjectIds()) {
                // A recovered model is looked at beside the pruned one that it came from.
                const bool isBase = current.plan && current.plan->id == id.toStdString();
                subjects.push_back({.id = id,
                                    .name = m_services.workspace.subjectName(id),
                                    .checked = id == subject || isBase || id == u"dense"});
            }
            const auto choice = m_services.prompts.evaluation(m_last, *tasks, subjects);
            if (!choice)
                return;
            m_last = *choice;
            m_services.settings.setDataFolder(choice->dataFolder);
            start(*choice);
        });
}

void EvalController::start(const EvaluationChoice &choice)
{
    // The dense baseline under the same protocol first; finished samples are read back, so this costs nothing when it
    // is there already.
    startOne(m_services.workspace.subject(u"dense"_qs), choice);
    for (const QString &id : choice.subjects) {
        if (id != u"dense")
            startOne(m_services.workspace.subject(id), choice);
    }
}

void EvalController::startOne(const Subject &subject, const EvaluationChoice &choice)
{
    Workspace &workspace = m_services.workspace;
    workflow::EvaluateRequest request;
    request.options = choice.options;
    request.dataFolder = toPath(choice.dataFolder);
    request.outputFolder = resultsFolderFor(workspace, subject.id);
    request.modelName = subject.name;
    request.subject = subject.id;
    request.state = subject.state;
    auto live = std::make_shared<Live>();
    live->report.id = "running";
    live->report.modelName = subject.name;
    live->report.subject = subject.id;
    live->report.state = subject.state;
    const std::string digest = workspace.session().model.digest;
    ++m_waiting;
    m_runningOptions = choice.options;
    startJob<EvaluationReport>(
        m_services, this, tr("Evaluate, %n task(s)", nullptr, static_cast<int>(choice.options.tasks.size())),
        qString(subject.name),
        [&bench = m_services.bench, subject, request, live](const JobContext &context) {
            const auto onTask = [live](const TaskReport &task) {
                const std::lock_guard lock(live->mutex);
                auto &tasks = live->report.tasks;
                const auto same = std::find_if(tasks.begin(), tasks.end(),
                                               [&](const TaskReport &other) { return other.task == task.task; });
                if (same == tasks.end())
                    tasks.push_back(task);
                else
                    *same = task;
                ++live->version;
            };
            return workflow::evaluate(bench->dense(), modelOf(*bench, subject), request, context, onTask);
        },
        [this, digest](std::shared_ptr<const EvaluationReport> finished) {
            Workspace &open = m_services.workspace;
            EvaluationReport report = *finished;
            if (open.session().model.digest != digest || !open.subjectIds().contains(qString(report.subject))) {
                m_services.messages.log(
                    tr("%1 is not in the session any more; its report was dropped").arg(qString(report.modelName)));
                return;
            }
            report.id = open.reserveId("report");
            open.addReport(report);
            double seconds = 0;
            for (const TaskReport &task : report.tasks)
                seconds += task.seconds;
            m_services.messages.reportFinished(
                tr("Evaluation finished in %1").arg(duration(static_cast<qint64>(seconds + 0.5))),
                tr("%1, %n task(s)", nullptr, static_cast<int>(report.tasks.size())).arg(qString(report.modelName)));
            Q_EMIT reportReady(qString(report.subject));
        },
        {},
        [this, live] {
            --m_waiting;
            m_running.reset();
            m_lives.erase(std::remove(m_lives.begin(), m_lives.end(), live), m_lives.end());
            m_seenVersion = 0;
            if (m_waiting == 0)
                m_poll->stop();
            Q_EMIT runningChanged();
        });
    m_lives.push_back(std::move(live));
    m_poll->start();
    Q_EMIT runningChanged();
}

void EvalController::drain()
{
    if (m_lives.empty())
        return;
    Live &live = *m_lives.front(); // jobs run in the order they were queued
    {
        const std::lock_guard lock(live.mutex);
        if (live.version == m_seenVersion)
            return;
        m_seenVersion = live.version;
        m_running = std::make_shared<const EvaluationReport>(live.report);
    }
    Q_EMIT runningChanged();
}

} // namespace secateur
