#include "app/messages.h"

#include "app/error_text.h"

#include <QTime>

namespace secateur {

void Messages::log(const QString &text)
{
    Q_EMIT logged(QTime::currentTime().toString(u"HH:mm:ss"_qs) + u"  "_qs + text);
}

void Messages::reportError(const QString &step, const ErrorInfo &error, std::function<void()> retry)
{
    const QString message = QString::fromStdString(error.message);
    const QString hint = QString::fromStdString(error.hint);
    log(step.isEmpty() ? message : step + u": "_qs + message);
    if (!hint.isEmpty())
        log(hint);
    const QString details = errorTitle(error.kind) + u"\n"_qs + step + u"\n\n"_qs + message + u"\n"_qs + hint
        + u"\n\n"_qs + QString::fromStdString(error.details);
    Q_EMIT errorRaised(message, hint, details.trimmed(), std::move(retry));
}

void Messages::reportFinished(const QString &title, const QString &text, std::function<void()> show)
{
    log(text.isEmpty() ? title : title + u": "_qs + text);
    Q_EMIT finished(title, text, std::move(show));
}

} // namespace secateur
