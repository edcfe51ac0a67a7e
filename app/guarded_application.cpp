#include "app/guarded_application.h"

#include "backend/core/error.h"

#include <QLoggingCategory>

namespace secateur {

bool GuardedApplication::notify(QObject *receiver, QEvent *event)
{
    try {
        return QApplication::notify(receiver, event);
    } catch (...) {
        qCritical("Unexpected: %s", describeCurrentException().message.c_str());
        return false;
    }
}

} // namespace secateur
