#pragma once

#include <QApplication>

namespace secateur {

/// The last net: an exception that escapes an event handler is logged instead of ending the program. Nothing is
/// supposed to throw there.
class GuardedApplication : public QApplication {
public:
    using QApplication::QApplication;
    bool notify(QObject *receiver, QEvent *event) override;
};

} // namespace secateur
