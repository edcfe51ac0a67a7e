#pragma once

#include "backend/core/error.h"

#include <QObject>
#include <QString>

#include <functional>

namespace secateur {

/// What the program has to tell: errors for the banners under the toolbar, finished work for the corner notice, and
/// everything for the log. GUI thread.
class Messages : public QObject {
    Q_OBJECT
public:
    using QObject::QObject;

    void log(const QString &text);
    /// \a retry may be empty; it is offered as "Try again".
    void reportError(const QString &step, const ErrorInfo &error, std::function<void()> retry = {});
    /// \a show may be empty; it is offered as "Show".
    void reportFinished(const QString &title, const QString &text, std::function<void()> show = {});

Q_SIGNALS:
    void logged(const QString &line); ///< with the time in front
    void errorRaised(const QString &title, const QString &text, const QString &details, std::function<void()> retry);
    void finished(const QString &title, const QString &text, std::function<void()> show);
};

} // namespace secateur
