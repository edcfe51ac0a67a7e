#include "app/guarded_application.h"

#include "backend/core/error.h"

#include <QLocale>
#include <QLoggingCategory>
#include <QTranslator>

namespace secateur {

void installTranslations(QCoreApplication &application)
{
    auto *translator = new QTranslator(&application);
    if (translator->load(QLocale(), u"app"_qs, u"_"_qs, u":/i18n"_qs) || translator->load(u":/i18n/app_en.qm"_qs))
        QCoreApplication::installTranslator(translator);
}

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
