#pragma once

#include <QApplication>

namespace secateur {

/// Texts in the user's language; where there are none, English with its plural forms.
void installTranslations(QCoreApplication &application);

/// The last net: an exception that escapes an event handler is logged instead of ending the program. Nothing is
/// supposed to throw there.
class GuardedApplication : public QApplication {
public:
    using QApplication::QApplication;
    bool notify(QObject *receiver, QEvent *event) override;
};

} // namespace secateur
