#pragma once

#include <QColor>
#include <QFont>
#include <QIcon>
#include <QPalette>
#include <QString>

class QApplication;
class QWidget;

namespace secateur {

enum class ThemeMode { System, Light, Dark };

/// A banner's three colours.
struct BannerColors {
    QColor back, line, text;
};

/// Every colour role that QPalette has no name for, and those it has, for painters.
struct ThemeColors {
    bool dark = false;
    QColor window, base, alternate, button;
    QColor line, lineFaint;
    QColor text, secondaryText, disabledText;
    QColor accent, onAccent, accentTint;
    QColor amberCell;
    BannerColors notice, warning, error;
    QColor instruct, instructTint; ///< data colour of the instruct model
    QColor think, thinkTint; ///< data colour of the think model
    QColor chartGrid;
    QColor hatch; ///< 45° lines over `base` at 72 %
};

const ThemeColors &lightColors();
const ThemeColors &darkColors();

/// The colours that fit \a palette: dark when its window is darker than half.
const ThemeColors &themeColors(const QPalette &palette);
const ThemeColors &themeColors(const QWidget *widget);

/// The whole palette with the Disabled group.
QPalette themePalette(const ThemeColors &colors);

/// Installs the Fusion-based style and the palette. System: dark when the palette the platform gave at the first call
/// was. A QPushButton with the dynamic property "primary" = true is filled with the accent, a QFrame of StyledPanel
/// shape has a 1-px line.
void applyTheme(QApplication &application, ThemeMode mode);

/// Icon ":/icons/<name>.svg", drawn in the text colour of the application palette and redrawn when that changes.
QIcon themedIcon(const QString &name);
/// The same in one fixed colour role of the theme.
enum class IconColor { Text, Secondary, Accent, Instruct, Think, Warning, Error };
QIcon themedIcon(const QString &name, IconColor color);

/// The application font, or the first of Noto Sans, DejaVu Sans and the fixed font whose digits are equally wide.
QFont numberFont();
QFont fixedFont();
/// The application font at 11/12 of its size: headers, units.
QFont secondaryFont();
/// The application font in weight 600; \a scale 1.25 for page and card titles (15 of 12).
QFont titleFont(double scale = 1.0);

/// Paints the widget's text in the secondary text colour and follows theme changes (QPalette::PlaceholderText role).
void setSecondary(QWidget *widget, bool secondary = true);

} // namespace secateur
