#include "widgets/theme/theme.h"

#include "widgets/theme/secateur_style.h"

#include <QApplication>
#include <QFile>
#include <QFontDatabase>
#include <QFontMetricsF>
#include <QHash>
#include <QIconEngine>
#include <QPainter>
#include <QPixmapCache>
#include <QSvgRenderer>
#include <QWidget>

namespace secateur {

namespace {

ThemeColors makeLightColors()
{
    ThemeColors c;
    c.dark = false;
    c.window = QColor(0xF1F2F4);
    c.base = QColor(0xFFFFFF);
    c.alternate = QColor(0xF7F8F9);
    c.button = QColor(0xFBFBFC);
    c.line = QColor(0xC6CBD1);
    c.lineFaint = QColor(0xE2E5E9);
    c.text = QColor(0x1B2025);
    c.secondaryText = QColor(0x55606B);
    c.disabledText = QColor(0x9AA2AB);
    c.accent = QColor(0x0B6E69);
    c.onAccent = QColor(0xFFFFFF);
    c.accentTint = QColor(0xD9EDEB);
    c.amberCell = QColor(0xFCE6AE);
    c.notice = {QColor(0xEAF3F2), c.accent, c.text};
    c.warning = {QColor(0xFFF3D1), QColor(0xA87800), QColor(0x5A4200)};
    c.error = {QColor(0xFCE9E6), QColor(0xC0392B), QColor(0x7E1D12)};
    c.instruct = QColor(0x2B6CB0);
    c.instructTint = QColor(0xE1ECF8);
    c.think = QColor(0xAA4D0C);
    c.thinkTint = QColor(0xFAE8D9);
    c.chartGrid = QColor(0xE6E9EC);
    c.hatch = QColor(0x1B2025);
    return c;
}

ThemeColors makeDarkColors()
{
    ThemeColors c;
    c.dark = true;
    c.window = QColor(0x24272B);
    c.base = QColor(0x1A1D20);
    c.alternate = QColor(0x1F2226);
    c.button = QColor(0x2E3237);
    c.line = QColor(0x454B52);
    c.lineFaint = QColor(0x33383E);
    c.text = QColor(0xE6E9EC);
    c.secondaryText = QColor(0xA7AFB8);
    c.disabledText = QColor(0x6C747D);
    c.accent = QColor(0x46B3A8);
    c.onAccent = QColor(0x0C1F1D);
    c.accentTint = QColor(0x1D3F3C);
    c.amberCell = QColor(0x5A4712);
    c.notice = {QColor(0x1E3331), c.accent, c.text};
    c.warning = {QColor(0x3D3413), QColor(0xB98F1C), QColor(0xF2D58A)};
    c.error = {QColor(0x43221E), QColor(0xE07A6B), QColor(0xF5B8AE)};
    c.instruct = QColor(0x7DB0EA);
    c.instructTint = QColor(0x20344A);
    c.think = QColor(0xF0A25E);
    c.thinkTint = QColor(0x46301C);
    c.chartGrid = QColor(0x2C3136);
    c.hatch = QColor(0xFFFFFF);
    return c;
}

QColor iconColorOf(IconColor role, const ThemeColors &colors)
{
    switch (role) {
    case IconColor::Text:
        return colors.text;
    case IconColor::Secondary:
        return colors.secondaryText;
    case IconColor::Accent:
        return colors.accent;
    case IconColor::Instruct:
        return colors.instruct;
    case IconColor::Think:
        return colors.think;
    case IconColor::Warning:
        return colors.warning.line;
    case IconColor::Error:
        return colors.error.line;
    }
    return colors.text;
}

/// Draws an SVG in a colour of the current palette; asks for the colour at paint time, so a theme change needs no
/// reload.
class ThemedIconEngine : public QIconEngine {
public:
    ThemedIconEngine(QString name, IconColor role) : m_name(std::move(name)), m_role(role) { }

    void paint(QPainter *painter, const QRect &rect, QIcon::Mode mode, QIcon::State state) override
    {
        const qreal ratio = painter->device()->devicePixelRatioF();
        painter->drawPixmap(rect, scaledPixmap(rect.size() * ratio, mode, state, 1.0));
    }

    QPixmap pixmap(const QSize &size, QIcon::Mode mode, QIcon::State state) override
    {
        return scaledPixmap(size, mode, state, 1.0);
    }

    QPixmap scaledPixmap(const QSize &size, QIcon::Mode mode, QIcon::State, qreal) override
    {
        const ThemeColors &colors = themeColors(QGuiApplication::palette());
        const QColor color = mode == QIcon::Disabled ? colors.disabledText : iconColorOf(m_role, colors);
        const QString key = QStringLiteral("secateur-icon/%1/%2/%3x%4")
                                .arg(m_name, color.name())
                                .arg(size.width())
                                .arg(size.height());
        QPixmap pixmap;
        if (QPixmapCache::find(key, &pixmap))
            return pixmap;
        pixmap = QPixmap(size);
        pixmap.fill(Qt::transparent);
        QFile file(QStringLiteral(":/icons/%1.svg").arg(m_name));
        if (file.open(QIODevice::ReadOnly)) {
            QByteArray svg = file.readAll();
            svg.replace("currentColor", color.name().toLatin1());
            QSvgRenderer renderer(svg);
            QPainter painter(&pixmap);
            renderer.render(&painter);
        }
        QPixmapCache::insert(key, pixmap);
        return pixmap;
    }

    QIconEngine *clone() const override { return new ThemedIconEngine(*this); }
    QString key() const override { return QStringLiteral("secateur-themed"); }
    bool isNull() override { return m_name.isEmpty(); }

private:
    QString m_name;
    IconColor m_role;
};

bool hasEqualDigits(const QFont &font)
{
    const QFontMetricsF metrics(font);
    const qreal width = metrics.horizontalAdvance(u'0');
    for (char16_t digit = u'1'; digit <= u'9'; ++digit) {
        if (qAbs(metrics.horizontalAdvance(QChar(digit)) - width) > 0.01)
            return false;
    }
    return true;
}

QFont scaledFont(QFont font, double scale)
{
    if (font.pointSizeF() > 0)
        font.setPointSizeF(font.pointSizeF() * scale);
    else
        font.setPixelSize(qRound(font.pixelSize() * scale));
    return font;
}

} // namespace

const ThemeColors &lightColors()
{
    static const ThemeColors colors = makeLightColors();
    return colors;
}

const ThemeColors &darkColors()
{
    static const ThemeColors colors = makeDarkColors();
    return colors;
}

const ThemeColors &themeColors(const QPalette &palette)
{
    return palette.color(QPalette::Active, QPalette::Window).lightness() < 128 ? darkColors() : lightColors();
}

const ThemeColors &themeColors(const QWidget *widget)
{
    return themeColors(widget ? widget->palette() : QGuiApplication::palette());
}

QPalette themePalette(const ThemeColors &c)
{
    QPalette palette;
    const auto set = [&palette](QPalette::ColorRole role, const QColor &color) { palette.setColor(role, color); };
    set(QPalette::Window, c.window);
    set(QPalette::Base, c.base);
    set(QPalette::AlternateBase, c.alternate);
    set(QPalette::Button, c.button);
    set(QPalette::Light, c.dark ? c.line : c.base);
    set(QPalette::Midlight, c.lineFaint);
    set(QPalette::Mid, c.line);
    set(QPalette::Dark, c.line.darker(c.dark ? 120 : 130));
    set(QPalette::Shadow, c.dark ? QColor(0x101214) : c.line.darker(160));
    set(QPalette::WindowText, c.text);
    set(QPalette::Text, c.text);
    set(QPalette::ButtonText, c.text);
    set(QPalette::BrightText, c.onAccent);
    set(QPalette::PlaceholderText, c.secondaryText);
    set(QPalette::ToolTipBase, c.base);
    set(QPalette::ToolTipText, c.text);
    set(QPalette::Highlight, c.accent);
    set(QPalette::HighlightedText, c.onAccent);
    set(QPalette::Link, c.accent);
    set(QPalette::LinkVisited, c.accent);
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText, QPalette::PlaceholderText})
        palette.setColor(QPalette::Disabled, role, c.disabledText);
    palette.setColor(QPalette::Disabled, QPalette::Highlight, c.lineFaint);
    palette.setColor(QPalette::Disabled, QPalette::HighlightedText, c.disabledText);
    return palette;
}

void applyTheme(QApplication &application, ThemeMode mode)
{
    // What the platform asked for must be read before the first palette of ours replaces it.
    static const bool kPlatformIsDark = QGuiApplication::palette().color(QPalette::Window).lightness() < 128;
    if (!qobject_cast<SecateurStyle *>(QApplication::style()))
        QApplication::setStyle(new SecateurStyle);
    const bool dark = mode == ThemeMode::Dark || (mode == ThemeMode::System && kPlatformIsDark);
    QApplication::setPalette(themePalette(dark ? darkColors() : lightColors()));
    QApplication::setFont(secondaryFont(), "QHeaderView");
    QApplication::setFont(scaledFont(QApplication::font(), 13.0 / 12.0), "QTabBar");
    for (QWidget *widget : QApplication::allWidgets())
        widget->update();
    Q_UNUSED(application)
}

QIcon themedIcon(const QString &name)
{
    return themedIcon(name, IconColor::Text);
}

QIcon themedIcon(const QString &name, IconColor color)
{
    return QIcon(new ThemedIconEngine(name, color));
}

QFont fixedFont()
{
    QFont font = QFontDatabase::systemFont(QFontDatabase::FixedFont);
    const QFont base = QApplication::font();
    if (base.pointSizeF() > 0)
        font.setPointSizeF(base.pointSizeF());
    else
        font.setPixelSize(base.pixelSize());
    return font;
}

QFont numberFont()
{
    const QFont base = QApplication::font();
    static QHash<QString, QFont> chosen;
    const QString key = base.key();
    if (const auto known = chosen.constFind(key); known != chosen.constEnd())
        return *known;
    QFont result = fixedFont();
    if (hasEqualDigits(base)) {
        result = base;
    } else {
        for (const QString &family : {QStringLiteral("Noto Sans"), QStringLiteral("DejaVu Sans")}) {
            QFont candidate = base;
            candidate.setFamilies({family});
            if (QFontDatabase::hasFamily(family) && hasEqualDigits(candidate)) {
                result = candidate;
                break;
            }
        }
    }
    chosen.insert(key, result);
    return result;
}

QFont secondaryFont()
{
    return scaledFont(QApplication::font(), 11.0 / 12.0);
}

QFont titleFont(double scale)
{
    QFont font = scaledFont(QApplication::font(), scale);
    font.setWeight(QFont::DemiBold);
    return font;
}

void setSecondary(QWidget *widget, bool secondary)
{
    widget->setForegroundRole(secondary ? QPalette::PlaceholderText : QPalette::WindowText);
}

} // namespace secateur
