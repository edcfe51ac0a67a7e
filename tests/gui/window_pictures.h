#pragma once

#include "app/main_window.h"
#include "app/pages/evaluation_page.h"
#include "app/pages/importance_page.h"
#include "app/pages/recovery_page.h"
#include "widgets/charts/accuracy_chart.h"
#include "widgets/charts/loss_chart.h"
#include "widgets/charts/profile_chart.h"
#include "widgets/charts/trace_length_chart.h"
#include "widgets/heatmap/heatmap_panel.h"

#include <QComboBox>
#include <QDir>
#include <QImage>
#include <QPainter>

#include <map>
#include <string>

namespace secateur {

/// Everything the tabs draw, at one size.
inline std::map<std::string, QImage> picturesOf(MainWindow &window)
{
    constexpr QSize size(900, 600);
    std::map<std::string, QImage> pictures;
    const auto show = [&window](MainWindow::Tab tab) {
        window.showTab(tab);
        QCoreApplication::processEvents();
    };
    show(MainWindow::Importance);
    for (int i = 0; i < window.importancePage()->mapBox()->count(); ++i) {
        window.importancePage()->mapBox()->setCurrentIndex(i);
        window.importancePage()->panel()->view()->resize(600, 500); // cells are drawn as large as on screen
        QImage image(size, QImage::Format_RGB32);
        image.fill(Qt::white);
        QPainter painter(&image);
        window.importancePage()->panel()->view()->paintPicture(&painter, QRectF(QPointF(), QSizeF(size)),
                                                               QStringLiteral("map"));
        pictures["map " + window.importancePage()->mapBox()->itemText(i).toStdString()] = image;
    }
    pictures["profile"] = window.importancePage()->profile()->render(size);
    show(MainWindow::Recovery);
    pictures["loss"] = window.recoveryPage()->chart()->render(size);
    show(MainWindow::Evaluation);
    pictures["accuracy"] = window.evaluationPage()->findChild<AccuracyChart *>()->render(size);
    int number = 0;
    for (const TraceLengthChart *chart : window.evaluationPage()->findChildren<TraceLengthChart *>())
        pictures["trace length " + std::to_string(number++)] = chart->render(size);
    return pictures;
}

/// Names of the pictures of \a before that are gone or look different in \a after; both are left in the temporary
/// folder.
inline QString changedPictures(const std::map<std::string, QImage> &before, const std::map<std::string, QImage> &after)
{
    QStringList changed;
    for (const auto &[name, image] : before) {
        const auto found = after.find(name);
        if (found != after.end() && found->second == image)
            continue;
        const QString stem = QDir::temp().filePath(QStringLiteral("secateur-") + QString::fromStdString(name));
        image.save(stem + QStringLiteral("-before.png"));
        if (found != after.end())
            found->second.save(stem + QStringLiteral("-after.png"));
        changed << QString::fromStdString(name);
    }
    return changed.join(QStringLiteral(", "));
}

} // namespace secateur
