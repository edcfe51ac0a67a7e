#pragma once

#include "app/messages.h"
#include "backend/jobs/job_runner.h"
#include "backend/workflow/workbench.h"

#include <QCoreApplication>
#include <QStringList>

#include <functional>
#include <memory>
#include <utility>

namespace secateur {

class AppSettings;
class UserPrompts;
class Workspace;

/// What every controller works with. The application owns all of it and outlives the controllers.
struct AppServices {
    Workspace &workspace;
    JobRunner &runner;
    /// Content belongs to the compute thread: dereferenced inside a job's `work` only.
    std::unique_ptr<workflow::Workbench> &bench;
    Messages &messages;
    UserPrompts &prompts;
    AppSettings &settings;
};

/// Submits \a work; \a done gets the value, errors go to the messages with \a retry as "Try again", a cancelled job is
/// a line in the log. \a ended, when given, runs in every case first. A job without a title is not shown in the dock.
template <typename T, typename Work, typename Done>
int startJob(AppServices &services, QObject *receiver, const QString &title, const QString &subject, Work work,
             Done done, std::function<void()> retry = {}, std::function<void()> ended = {})
{
    Messages *messages = &services.messages;
    return services.runner.submit<T>(
        title, subject, receiver, std::move(work),
        [messages, title, subject, done = std::move(done), retry = std::move(retry),
         ended = std::move(ended)](Outcome<T> outcome) mutable {
            if (ended)
                ended();
            if (auto *value = std::get_if<std::shared_ptr<const T>>(&outcome))
                done(std::move(*value));
            else if (const auto *error = std::get_if<ErrorInfo>(&outcome))
                messages->reportError(QStringList{title, subject}.join(
                                          title.isEmpty() || subject.isEmpty() ? QString() : QStringLiteral(", ")),
                                      *error, retry);
            else if (!title.isEmpty())
                messages->log(QCoreApplication::translate("Jobs", "%1 was cancelled; nothing was changed").arg(title));
        });
}

} // namespace secateur
