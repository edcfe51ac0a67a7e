#pragma once

#include "app/app_services.h"
#include "app/subject.h"

#include <QObject>
#include <QString>

namespace secateur {

/// Writes what others read: model folders, maps, tables and pictures.
class ExportController : public QObject {
    Q_OBJECT
public:
    explicit ExportController(const AppServices &services, QObject *parent = nullptr);

    void askModel(const QString &subject);
    void exportModel(const Subject &subject, const QString &folder, const std::string &dtype);
    void askMaps();
    /// Text that a view has made already (CSV, Markdown).
    void saveText(const QString &title, const QString &suggestion, const QString &filter, const QString &text);
    /// A picture that a view has drawn already (PNG by its bytes, SVG and PDF likewise).
    void saveBytes(const QString &title, const QString &suggestion, const QString &filter, const QByteArray &bytes);

private:
    AppServices m_services;
};

} // namespace secateur
