#include "backend/core/error.h"
#include "widgets/heatmap/heatmap_view_private.h"
#include "widgets/theme/theme.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QPainter>
#include <QPdfWriter>
#include <QSaveFile>
#include <QSvgGenerator>

#include <charconv>
#include <cmath>

namespace secateur {

namespace {

constexpr int kPictureMargin = 10; // right of the plot, as in the layout
constexpr int kPictureBarSpace = 84;
constexpr int kPictureTitleHeight = 28;

void appendFloat(QByteArray &text, float value)
{
    if (!std::isfinite(value)) {
        text += std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
        return;
    }
    char digits[32];
    const auto result = std::to_chars(digits, digits + sizeof digits, value); // shortest that reads back equal
    text.append(digits, result.ptr - digits);
}

} // namespace

QSize HeatmapView::pictureSize() const
{
    return QSize(std::max(240, plotRect().right() + 1 + kPictureMargin + kPictureBarSpace),
                 kPictureTitleHeight + std::max(80, plotRect().bottom() + 1 + d->layout.footer));
}

void HeatmapView::paintPicture(QPainter *painter, const QRectF &target, const QString &title) const
{
    const ThemeColors &colors = lightColors();
    const QSize size = pictureSize();
    painter->save();
    painter->translate(target.topLeft());
    const double fit = std::min(target.width() / size.width(), target.height() / size.height());
    painter->scale(fit, fit);
    painter->fillRect(QRectF(QPointF(0, 0), target.size() / fit), colors.base);
    const MetricMapPtr shown = map();
    if (!shown) {
        painter->restore();
        return;
    }
    QFont bold = font();
    bold.setWeight(QFont::DemiBold);
    painter->setFont(bold);
    painter->setPen(colors.text);
    painter->drawText(QRectF(12, 6, size.width() - 24, kPictureTitleHeight - 8), Qt::AlignLeft | Qt::AlignVCenter,
                      title);

    const QRect area(0, kPictureTitleHeight, size.width() - kPictureBarSpace, size.height() - kPictureTitleHeight);
    const HeatmapLayout layout = layoutHeatmap(*shown, area, font());
    const QRectF visible = visibleCells();
    const RowRuns none(static_cast<std::size_t>(shown->rows));
    const RowRuns selected = selection() ? runsOfUnits(*shown, selection()->selected()) : none;
    const RowRuns locked = selection() ? runsOfUnits(*shown, selection()->locked()) : none;

    painter->fillRect(layout.plot, QBrush(colors.line, Qt::BDiagPattern));
    constexpr double kPictureScale = 3; // device pixels of the cell image per logical one: enough for print
    HeatmapImageRequest request{visible, layout.plot.size() * kPictureScale, ranks().median()};
    const MapPyramid pyramid(shown);
    painter->drawImage(QRectF(layout.plot),
                       composeCells(pyramid, colorScale(), request, selected, locked, colors, kPictureScale));
    paintHeatmapAxes(painter, *shown, layout, visible, colors, font());
    paintBlockStrip(painter, *shown, layout, visible, selection(), colors, font());
    if (selection())
        paintLockMarks(painter, *shown, layout, visible, *selection(), locked, colors);
    const QRectF bar(layout.plot.right() + 22, layout.plot.top(), 15, layout.plot.height());
    paintColorBar(painter, bar, colorScale(), colorScale(), metricName(*shown), std::nullopt, colors, font());
    painter->restore();
}

QByteArray HeatmapView::toCsv() const
{
    QByteArray text;
    const MetricMapPtr shown = map();
    if (!shown)
        return text;
    text.reserve(static_cast<qsizetype>(shown->values.size()) * 12);
    text += QByteArray::fromStdString(shown->rowAxis.id) + '\\' + QByteArray::fromStdString(shown->columnAxis.id);
    for (std::int64_t column = 0; column < shown->columns; ++column)
        text += ',' + QByteArray::number(static_cast<qlonglong>(column + shown->columnAxis.first));
    text += '\n';
    for (std::int64_t row = 0; row < shown->rows; ++row) {
        text += QByteArray::number(static_cast<qlonglong>(row + shown->rowAxis.first));
        for (std::int64_t column = 0; column < shown->columns; ++column) {
            text += ',';
            appendFloat(text, shown->at(row, column));
        }
        text += '\n';
    }
    return text;
}

void HeatmapView::copyValue() const
{
    if (const QString text = readOutText(); !text.isEmpty())
        QGuiApplication::clipboard()->setText(text);
}

void HeatmapView::copyPicture() const
{
    const QSize size = pictureSize();
    QImage image(size * 2, QImage::Format_RGB32);
    image.fill(Qt::white);
    QPainter painter(&image);
    paintPicture(&painter, QRectF(QPointF(0, 0), image.size()), accessibleName());
    painter.end();
    QGuiApplication::clipboard()->setImage(image);
}

void exportHeatmap(const HeatmapView &view, const QString &path, ExportKind kind, const QString &title)
{
    QSaveFile file(path);
    const auto fail = [&] {
        const QString reason = file.errorString();
        file.cancelWriting();
        throw Error(ErrorKind::Io, "'" + path.toStdString() + "' could not be written: " + reason.toStdString() + ".",
                    "Check the folder and the free space.");
    };
    if (!file.open(QIODevice::WriteOnly))
        fail();
    const QSize size = view.pictureSize();
    bool written = true;
    switch (kind) {
    case ExportKind::Png: {
        QImage image(size * 2, QImage::Format_RGB32);
        image.fill(Qt::white);
        QPainter painter(&image);
        view.paintPicture(&painter, QRectF(QPointF(0, 0), image.size()), title);
        painter.end();
        written = image.save(&file, "PNG");
        break;
    }
    case ExportKind::Svg: {
        QSvgGenerator generator;
        generator.setOutputDevice(&file);
        generator.setSize(size);
        generator.setViewBox(QRect(QPoint(0, 0), size));
        generator.setTitle(title);
        QPainter painter(&generator);
        view.paintPicture(&painter, QRectF(QPointF(0, 0), size), title);
        written = painter.end();
        break;
    }
    case ExportKind::Pdf: {
        QPdfWriter writer(&file);
        writer.setTitle(title);
        writer.setCreator(QStringLiteral("Secateur"));
        // One page as large as the picture, at 96 logical pixels per inch.
        writer.setPageSize(QPageSize(QSizeF(size) / 96.0, QPageSize::Inch, QString(), QPageSize::ExactMatch));
        writer.setPageMargins(QMarginsF(0, 0, 0, 0));
        writer.setResolution(96);
        QPainter painter(&writer);
        view.paintPicture(&painter, QRectF(QPointF(0, 0), size), title);
        written = painter.end();
        break;
    }
    case ExportKind::Csv: {
        const QByteArray text = view.toCsv();
        written = file.write(text) == text.size();
        break;
    }
    }
    if (!written || !file.commit())
        fail();
}

} // namespace secateur
