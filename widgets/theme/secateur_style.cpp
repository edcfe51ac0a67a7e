#include "widgets/theme/secateur_style.h"

#include "widgets/theme/theme.h"

#include <QAbstractItemView>
#include <QAbstractSpinBox>
#include <QComboBox>
#include <QDockWidget>
#include <QHeaderView>
#include <QPainter>
#include <QPainterPath>
#include <QPushButton>
#include <QScrollBar>
#include <QStyleOption>
#include <QTabBar>
#include <QToolBar>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

constexpr int kFieldHeight = 24;
constexpr int kRowHeight = 24;
constexpr int kScrollBarExtent = 12;
constexpr int kToolButtonPadding = 6;
constexpr int kHeaderPadding = 4; // with the style's own margin, that of a cell

bool isPrimaryButton(const QWidget *widget)
{
    return widget && widget->property("primary").toBool();
}

QColor mixedColor(const QColor &from, const QColor &to, double share)
{
    const auto mix = [share](int a, int b) { return static_cast<int>(std::lround(a + (b - a) * share)); };
    return QColor(mix(from.red(), to.red()), mix(from.green(), to.green()), mix(from.blue(), to.blue()));
}

/// A crisp 1-px frame with 2-px corners over a fill.
void drawFlatBox(QPainter *painter, const QRect &rect, const QColor &fill, const QColor &line, double lineWidth = 1)
{
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing, true);
    painter->setBrush(fill.isValid() ? QBrush(fill) : QBrush(Qt::NoBrush));
    painter->setPen(line.isValid() ? QPen(line, lineWidth) : QPen(Qt::NoPen));
    const double inset = line.isValid() ? lineWidth / 2 : 0;
    painter->drawRoundedRect(QRectF(rect).adjusted(inset, inset, -inset, -inset), 2, 2);
    painter->restore();
}

enum class ChevronDirection { Up, Down, Left, Right };

void drawChevron(QPainter *painter, const QRect &rect, ChevronDirection direction, const QColor &color)
{
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing, true);
    painter->translate(QRectF(rect).center());
    constexpr double kTurns[] = {180, 0, 90, -90};
    painter->rotate(kTurns[static_cast<int>(direction)]);
    painter->setPen(QPen(color, 1.4, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
    painter->drawPolyline(QPolygonF{QPointF(-3, -1.5), QPointF(0, 1.5), QPointF(3, -1.5)});
    painter->restore();
}

QColor enabledTextColor(const QStyleOption *option, const ThemeColors &colors, const QColor &whenEnabled)
{
    return option->state & QStyle::State_Enabled ? whenEnabled : colors.disabledText;
}

} // namespace

SecateurStyle::SecateurStyle() : QProxyStyle(QStringLiteral("Fusion"))
{ }

void SecateurStyle::polish(QWidget *widget)
{
    QProxyStyle::polish(widget);
    if (qobject_cast<QAbstractButton *>(widget) || qobject_cast<QComboBox *>(widget)
        || qobject_cast<QAbstractSpinBox *>(widget) || qobject_cast<QScrollBar *>(widget))
        widget->setAttribute(Qt::WA_Hover, true);
}

int SecateurStyle::pixelMetric(PixelMetric metric, const QStyleOption *option, const QWidget *widget) const
{
    switch (metric) {
    case PM_DefaultFrameWidth:
        return 1;
    case PM_SmallIconSize:
        return widget && widget->inherits("QDockWidgetTitleButton") ? 12 : 16;
    case PM_ToolBarIconSize:
    case PM_ButtonIconSize:
    case PM_TabBarIconSize:
    case PM_ListViewIconSize:
        return 16;
    case PM_IndicatorWidth:
    case PM_IndicatorHeight:
    case PM_ExclusiveIndicatorWidth:
    case PM_ExclusiveIndicatorHeight:
        return 14;
    case PM_CheckBoxLabelSpacing:
    case PM_RadioButtonLabelSpacing:
        return 8;
    case PM_ScrollBarExtent:
        return kScrollBarExtent;
    case PM_ScrollView_ScrollBarSpacing:
    case PM_ButtonShiftHorizontal:
    case PM_ButtonShiftVertical:
    case PM_TabBarTabShiftHorizontal:
    case PM_TabBarTabShiftVertical:
    case PM_TabBarBaseOverlap:
        return 0;
    case PM_TabBarTabHSpace:
        return 32;
    case PM_DockWidgetTitleMargin:
        return 2;
    case PM_DockWidgetSeparatorExtent:
    case PM_SplitterWidth:
        return 5;
    case PM_ToolBarItemSpacing:
        return 4;
    case PM_ToolBarFrameWidth:
        return 0;
    case PM_ToolBarItemMargin:
        return 5;
    case PM_ToolBarSeparatorExtent:
        return 16;
    case PM_SliderLength:
        return 12;
    case PM_SliderThickness:
    case PM_SliderControlThickness:
        return 16;
    case PM_ToolTipLabelFrameWidth:
        return 6;
    case PM_FocusFrameHMargin:
        return qobject_cast<const QAbstractItemView *>(widget) ? 7 : 2; // with one more, the padding of a cell
    case PM_FocusFrameVMargin:
        return 2;
    default:
        return QProxyStyle::pixelMetric(metric, option, widget);
    }
}

int SecateurStyle::styleHint(StyleHint hint, const QStyleOption *option, const QWidget *widget,
                             QStyleHintReturn *returnData) const
{
    switch (hint) {
    case SH_EtchDisabledText:
    case SH_DitherDisabledText:
    case SH_ComboBox_Popup:
    case SH_Widget_Animate:
    case SH_Widget_Animation_Duration:
        return 0;
    case SH_ItemView_ShowDecorationSelected:
        return 1;
    case SH_Slider_AbsoluteSetButtons:
        return Qt::LeftButton;
    default:
        return QProxyStyle::styleHint(hint, option, widget, returnData);
    }
}

QSize SecateurStyle::sizeFromContents(ContentsType type, const QStyleOption *option, const QSize &size,
                                      const QWidget *widget) const
{
    QSize result = QProxyStyle::sizeFromContents(type, option, size, widget);
    switch (type) {
    case CT_PushButton:
        result = QSize(size.width() + 24, std::max(kFieldHeight, size.height() + 6));
        if (isPrimaryButton(widget))
            result.rwidth() += 8; // the label is drawn in weight 600
        break;
    case CT_ComboBox:
        result.setWidth(std::max(result.width(), size.width() + 40));
        result.setHeight(std::max(kFieldHeight, size.height() + 4));
        break;
    case CT_LineEdit:
    case CT_SpinBox:
        result.setHeight(std::max(kFieldHeight, size.height() + 4));
        break;
    case CT_ToolButton:
        if (widget && qobject_cast<QToolBar *>(widget->parentWidget()))
            result.setHeight(std::max(28, result.height()));
        if (const auto *button = qstyleoption_cast<const QStyleOptionToolButton *>(option);
            button && button->toolButtonStyle == Qt::ToolButtonTextBesideIcon && !button->icon.isNull())
            result.rwidth() += 2 * kToolButtonPadding;
        break;
    case CT_TabBarTab:
        result.setHeight(32);
        break;
    case CT_HeaderSection:
        result.setHeight(std::max(kRowHeight, result.height()));
        if (const auto *header = qstyleoption_cast<const QStyleOptionHeader *>(option);
            header && header->orientation == Qt::Horizontal)
            result.rwidth() += 2 * kHeaderPadding;
        break;
    case CT_ItemViewItem:
        result.setHeight(std::max(kRowHeight, result.height()));
        break;
    case CT_MenuBarItem:
        result.setHeight(std::max(24, result.height()));
        break;
    default:
        break;
    }
    return result;
}

QRect SecateurStyle::subControlRect(ComplexControl control, const QStyleOptionComplex *option, SubControl subControl,
                                    const QWidget *widget) const
{
    if (control == CC_ScrollBar) {
        const auto *bar = qstyleoption_cast<const QStyleOptionSlider *>(option);
        if (!bar)
            return {};
        // No arrow buttons: the groove is the whole bar.
        const bool horizontal = bar->orientation == Qt::Horizontal;
        const int length = horizontal ? bar->rect.width() : bar->rect.height();
        const qint64 range = qint64(bar->maximum) - bar->minimum;
        int handle = length;
        if (range > 0 && bar->pageStep >= 0)
            handle = static_cast<int>(qint64(bar->pageStep) * length / (range + bar->pageStep));
        handle = std::min(length, std::max(handle, 24));
        const int start = sliderPositionFromValue(bar->minimum, bar->maximum, bar->sliderPosition, length - handle,
                                                  bar->upsideDown);
        QRect rect;
        const auto span = [&](int from, int size) {
            return horizontal ? QRect(from, 0, size, bar->rect.height()) : QRect(0, from, bar->rect.width(), size);
        };
        switch (subControl) {
        case SC_ScrollBarGroove:
            rect = span(0, length);
            break;
        case SC_ScrollBarSlider:
            rect = span(start, handle);
            break;
        case SC_ScrollBarSubPage:
            rect = span(0, start);
            break;
        case SC_ScrollBarAddPage:
            rect = span(start + handle, length - start - handle);
            break;
        default:
            return {};
        }
        return visualRect(bar->direction, bar->rect, rect.translated(bar->rect.topLeft()));
    }
    if (control == CC_ComboBox && subControl == SC_ComboBoxEditField)
        return visualRect(option->direction, option->rect, option->rect.adjusted(8, 1, -22, -1));
    if (control == CC_ComboBox && subControl == SC_ComboBoxArrow)
        return visualRect(option->direction, option->rect,
                          QRect(option->rect.right() - 21, option->rect.top(), 20, option->rect.height()));
    return QProxyStyle::subControlRect(control, option, subControl, widget);
}

void SecateurStyle::drawPrimitive(PrimitiveElement element, const QStyleOption *option, QPainter *painter,
                                  const QWidget *widget) const
{
    const ThemeColors &colors = themeColors(option->palette);
    const bool enabled = option->state & State_Enabled;
    const bool hovered = enabled && (option->state & State_MouseOver);
    switch (element) {
    case PE_PanelButtonCommand: {
        const auto *button = qstyleoption_cast<const QStyleOptionButton *>(option);
        if (button && (button->features & QStyleOptionButton::Flat)
            && !(option->state & (State_Sunken | State_On | State_MouseOver)))
            return;
        const bool down = option->state & (State_Sunken | State_On);
        if (isPrimaryButton(widget) && enabled) {
            const QColor fill = down ? mixedColor(colors.accent, colors.text, 0.25)
                : hovered            ? mixedColor(colors.accent, colors.text, 0.12)
                                     : colors.accent;
            drawFlatBox(painter, option->rect, fill, {});
            return;
        }
        QColor fill = enabled ? colors.button : colors.window;
        if (down)
            fill = option->state & State_On ? colors.accentTint : mixedColor(colors.button, colors.text, 0.12);
        else if (hovered)
            fill = mixedColor(colors.button, colors.text, 0.05);
        drawFlatBox(painter, option->rect, fill, enabled ? colors.line : colors.lineFaint);
        return;
    }
    case PE_PanelButtonTool: {
        if (option->state & State_On)
            drawFlatBox(painter, option->rect, colors.accentTint, {});
        else if (enabled && (option->state & State_Sunken))
            drawFlatBox(painter, option->rect, mixedColor(colors.window, colors.text, 0.14), {});
        else if (hovered)
            drawFlatBox(painter, option->rect, mixedColor(colors.window, colors.text, 0.07), {});
        return;
    }
    case PE_FrameFocusRect: {
        // Item views show the current row by its tint and bar; a frame around each cell would only repeat that.
        if (qobject_cast<const QAbstractItemView *>(widget)) {
            drawFlatBox(painter, option->rect, {}, colors.accent, 1);
            return;
        }
        const QPushButton *button = qobject_cast<const QPushButton *>(widget);
        QRect frame = option->rect;
        if (button)
            frame = button->rect();
        drawFlatBox(painter, frame, {}, isPrimaryButton(widget) ? colors.text : colors.accent, 2);
        return;
    }
    case PE_PanelLineEdit:
    case PE_FrameLineEdit: {
        const auto *frame = qstyleoption_cast<const QStyleOptionFrame *>(option);
        if (element == PE_PanelLineEdit && frame && frame->lineWidth == 0) {
            painter->fillRect(option->rect, option->palette.brush(QPalette::Base));
            return;
        }
        const bool focused = option->state & State_HasFocus;
        drawFlatBox(painter, option->rect,
                    element == PE_PanelLineEdit ? (enabled ? colors.base : colors.window) : QColor(),
                    focused ? colors.accent : colors.line, focused ? 2 : 1);
        return;
    }
    case PE_IndicatorCheckBox:
    case PE_IndicatorItemViewItemCheck: {
        const bool on = option->state & State_On;
        const bool partly = option->state & State_NoChange;
        const bool filled = on || partly;
        const QRect box = QRect(0, 0, 14, 14).translated(option->rect.center() - QPoint(6, 6));
        const QColor fill = !filled ? (enabled ? colors.base : colors.window)
            : enabled               ? colors.accent
                                    : colors.disabledText;
        drawFlatBox(painter, box, fill, filled ? fill : hovered ? colors.accent : colors.line);
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing, true);
        painter->setPen(QPen(colors.onAccent, 1.6, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
        painter->translate(box.topLeft());
        if (on)
            painter->drawPolyline(QPolygonF{QPointF(3.5, 7.5), QPointF(6, 10), QPointF(10.5, 4.5)});
        else if (partly)
            painter->drawLine(QPointF(4, 7), QPointF(10, 7));
        painter->restore();
        return;
    }
    case PE_IndicatorRadioButton: {
        const bool on = option->state & State_On;
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing, true);
        const QRectF circle = QRectF(0, 0, 13, 13).translated(QRectF(option->rect).center() - QPointF(6.5, 6.5));
        const QColor ring = !enabled ? colors.disabledText : on || hovered ? colors.accent : colors.line;
        painter->setPen(QPen(ring, on ? 4 : 1));
        painter->setBrush(colors.base);
        const double inset = on ? 2 : 0.5;
        painter->drawEllipse(circle.adjusted(inset, inset, -inset, -inset));
        painter->restore();
        return;
    }
    case PE_PanelItemViewItem: {
        const auto *item = qstyleoption_cast<const QStyleOptionViewItem *>(option);
        if (item && item->backgroundBrush.style() != Qt::NoBrush)
            painter->fillRect(item->rect, item->backgroundBrush);
        if (option->state & State_Selected) {
            painter->fillRect(option->rect, colors.accentTint);
            if (item
                && (item->viewItemPosition == QStyleOptionViewItem::Beginning
                    || item->viewItemPosition == QStyleOptionViewItem::OnlyOne))
                painter->fillRect(QRect(option->rect.left(), option->rect.top(), 3, option->rect.height()),
                                  colors.accent);
        } else if (hovered) {
            painter->fillRect(option->rect, mixedColor(colors.base, colors.text, 0.04));
        }
        return;
    }
    case PE_PanelItemViewRow:
        // Trees ask for the row's background left of its first item.
        if (option->state & State_Selected) {
            painter->fillRect(option->rect, colors.accentTint);
        } else {
            const auto *item = qstyleoption_cast<const QStyleOptionViewItem *>(option);
            if (item && (item->features & QStyleOptionViewItem::Alternate))
                painter->fillRect(option->rect, colors.alternate);
        }
        return;
    case PE_IndicatorBranch:
        if (option->state & State_Children)
            drawChevron(painter, option->rect,
                        option->state & State_Open ? ChevronDirection::Down : ChevronDirection::Right,
                        enabledTextColor(option, colors, colors.secondaryText));
        return;
    case PE_IndicatorArrowUp:
    case PE_IndicatorArrowDown:
    case PE_IndicatorArrowLeft:
    case PE_IndicatorArrowRight: {
        const ChevronDirection direction = element == PE_IndicatorArrowUp ? ChevronDirection::Up
            : element == PE_IndicatorArrowDown                            ? ChevronDirection::Down
            : element == PE_IndicatorArrowLeft                            ? ChevronDirection::Left
                                                                          : ChevronDirection::Right;
        drawChevron(painter, option->rect, direction, enabledTextColor(option, colors, colors.secondaryText));
        return;
    }
    case PE_IndicatorHeaderArrow: {
        const auto *header = qstyleoption_cast<const QStyleOptionHeader *>(option);
        if (header && header->sortIndicator != QStyleOptionHeader::None)
            drawChevron(painter, option->rect,
                        header->sortIndicator == QStyleOptionHeader::SortUp ? ChevronDirection::Down
                                                                            : ChevronDirection::Up,
                        colors.secondaryText);
        return;
    }
    case PE_Frame:
    case PE_FrameGroupBox:
        drawFlatBox(painter, option->rect, {}, colors.line);
        return;
    case PE_FrameTabWidget:
        return;
    case PE_FrameTabBarBase: {
        const auto *base = qstyleoption_cast<const QStyleOptionTabBarBase *>(option);
        painter->fillRect(QRect(option->rect.left(), option->rect.bottom(), option->rect.width(), 1), colors.line);
        if (base && base->selectedTabRect.isValid())
            painter->fillRect(
                QRect(base->selectedTabRect.left() + 1, option->rect.bottom(), base->selectedTabRect.width() - 2, 1),
                colors.base);
        return;
    }
    case PE_FrameStatusBarItem:
        return;
    case PE_PanelTipLabel:
        painter->fillRect(option->rect, colors.base);
        painter->setPen(colors.secondaryText);
        painter->drawRect(option->rect.adjusted(0, 0, -1, -1));
        return;
    case PE_IndicatorDockWidgetResizeHandle: {
        const QPoint middle = option->rect.center();
        if (option->rect.width() < option->rect.height())
            painter->fillRect(QRect(middle.x(), option->rect.top(), 1, option->rect.height()), colors.line);
        else
            painter->fillRect(QRect(option->rect.left(), middle.y(), option->rect.width(), 1), colors.line);
        return;
    }
    default:
        QProxyStyle::drawPrimitive(element, option, painter, widget);
    }
}

void SecateurStyle::drawControl(ControlElement element, const QStyleOption *option, QPainter *painter,
                                const QWidget *widget) const
{
    const ThemeColors &colors = themeColors(option->palette);
    switch (element) {
    case CE_PushButtonLabel: {
        const auto *button = qstyleoption_cast<const QStyleOptionButton *>(option);
        if (!button || !isPrimaryButton(widget) || !(option->state & State_Enabled))
            break;
        QStyleOptionButton copy = *button;
        copy.palette.setColor(QPalette::ButtonText, colors.onAccent);
        painter->save();
        QFont font = painter->font();
        font.setWeight(QFont::DemiBold);
        painter->setFont(font);
        QProxyStyle::drawControl(element, &copy, painter, widget);
        painter->restore();
        return;
    }
    case CE_ToolButtonLabel: {
        const auto *button = qstyleoption_cast<const QStyleOptionToolButton *>(option);
        if (!button || button->toolButtonStyle != Qt::ToolButtonTextBesideIcon || button->icon.isNull())
            break;
        QStyleOptionToolButton copy = *button;
        copy.rect.adjust(kToolButtonPadding, 0, -kToolButtonPadding / 2, 0);
        QProxyStyle::drawControl(element, &copy, painter, widget);
        return;
    }
    case CE_TabBarTabShape: {
        const auto *tab = qstyleoption_cast<const QStyleOptionTab *>(option);
        if (!tab || (tab->shape != QTabBar::RoundedNorth && tab->shape != QTabBar::TriangularNorth))
            break;
        const QRect rect = tab->rect;
        if (tab->state & State_Selected) {
            painter->fillRect(rect, colors.base);
            painter->fillRect(QRect(rect.left(), rect.top(), 1, rect.height()), colors.line);
            painter->fillRect(QRect(rect.right(), rect.top(), 1, rect.height()), colors.line);
            painter->fillRect(QRect(rect.left(), rect.top(), rect.width(), 2), colors.accent);
        } else if ((tab->state & State_MouseOver) && (tab->state & State_Enabled)) {
            painter->fillRect(rect.adjusted(0, 2, 0, -1), mixedColor(colors.window, colors.text, 0.05));
        }
        return;
    }
    case CE_TabBarTabLabel: {
        const auto *tab = qstyleoption_cast<const QStyleOptionTab *>(option);
        if (!tab)
            break;
        QStyleOptionTab copy = *tab;
        const bool selected = tab->state & State_Selected;
        if (tab->state & State_Enabled)
            copy.palette.setColor(QPalette::WindowText, selected ? colors.text : colors.secondaryText);
        copy.state &= ~State_HasFocus;
        copy.rect.adjust(-6, 0, 6, 0); // weight 600 is wider than what the tab was measured with
        painter->save();
        QFont font = painter->font();
        font.setWeight(selected ? QFont::DemiBold : QFont::Normal);
        painter->setFont(font);
        QProxyStyle::drawControl(element, &copy, painter, widget);
        painter->restore();
        if (tab->state & State_HasFocus)
            drawFlatBox(painter, tab->rect.adjusted(3, 4, -3, -3), {}, colors.accent, 2);
        return;
    }
    case CE_HeaderSection: {
        painter->fillRect(option->rect, colors.window);
        const QRect rect = option->rect;
        painter->fillRect(QRect(rect.left(), rect.bottom(), rect.width(), 1), colors.lineFaint);
        return;
    }
    case CE_HeaderEmptyArea:
        painter->fillRect(option->rect, colors.window);
        painter->fillRect(QRect(option->rect.left(), option->rect.bottom(), option->rect.width(), 1), colors.lineFaint);
        return;
    case CE_HeaderLabel: {
        const auto *header = qstyleoption_cast<const QStyleOptionHeader *>(option);
        if (!header)
            break;
        QStyleOptionHeaderV2 copy;
        if (const auto *newer = qstyleoption_cast<const QStyleOptionHeaderV2 *>(option))
            copy = *newer;
        else
            static_cast<QStyleOptionHeader &>(copy) = *header;
        copy.palette.setColor(QPalette::ButtonText, colors.secondaryText);
        if (copy.orientation == Qt::Horizontal)
            copy.rect.adjust(kHeaderPadding, 0, -kHeaderPadding, 0); // as far in as the cells below
        // Fusion makes the headers of selected columns bold; here a header says what is below, not what is chosen.
        copy.state &= ~State_On;
        QProxyStyle::drawControl(element, &copy, painter, widget);
        return;
    }
    case CE_DockWidgetTitle: {
        const auto *dock = qstyleoption_cast<const QStyleOptionDockWidget *>(option);
        if (!dock || dock->verticalTitleBar)
            break;
        painter->fillRect(option->rect, colors.window);
        painter->fillRect(QRect(option->rect.left(), option->rect.bottom(), option->rect.width(), 1), colors.lineFaint);
        const QRect text = subElementRect(SE_DockWidgetTitleBarText, option, widget).adjusted(6, 0, 0, 0);
        painter->save();
        QFont font = secondaryFont();
        font.setWeight(QFont::DemiBold);
        painter->setFont(font);
        painter->setPen(colors.secondaryText);
        painter->drawText(text, Qt::AlignVCenter | Qt::AlignLeft,
                          QFontMetrics(font).elidedText(dock->title, Qt::ElideRight, text.width()));
        painter->restore();
        return;
    }
    case CE_ToolBar: {
        painter->fillRect(option->rect, colors.window);
        painter->fillRect(QRect(option->rect.left(), option->rect.bottom(), option->rect.width(), 1), colors.line);
        return;
    }
    case CE_Splitter:
        drawPrimitive(PE_IndicatorDockWidgetResizeHandle, option, painter, widget);
        return;
    case CE_ProgressBarGroove:
        painter->fillRect(option->rect, colors.base);
        painter->setPen(colors.line);
        painter->setBrush(Qt::NoBrush);
        painter->drawRect(option->rect.adjusted(0, 0, -1, -1));
        return;
    case CE_ProgressBarContents: {
        const auto *bar = qstyleoption_cast<const QStyleOptionProgressBar *>(option);
        if (!bar)
            break;
        QRect inner = option->rect.adjusted(1, 1, -1, -1);
        if (bar->maximum <= bar->minimum) {
            painter->fillRect(inner, QBrush(colors.accent, Qt::BDiagPattern)); // busy, without an animation
            return;
        }
        const double share = double(qint64(bar->progress) - bar->minimum) / double(qint64(bar->maximum) - bar->minimum);
        inner.setWidth(static_cast<int>(std::lround(inner.width() * std::clamp(share, 0.0, 1.0))));
        painter->fillRect(inner, option->state & State_Enabled ? colors.accent : colors.disabledText);
        return;
    }
    case CE_ItemViewItem: {
        const auto *item = qstyleoption_cast<const QStyleOptionViewItem *>(option);
        if (!item)
            break;
        QStyleOptionViewItem copy = *item;
        for (const auto group : {QPalette::Active, QPalette::Inactive, QPalette::Disabled})
            copy.palette.setColor(group, QPalette::HighlightedText, item->palette.color(group, QPalette::Text));
        QProxyStyle::drawControl(element, &copy, painter, widget);
        return;
    }
    default:
        break;
    }
    QProxyStyle::drawControl(element, option, painter, widget);
}

void SecateurStyle::drawComplexControl(ComplexControl control, const QStyleOptionComplex *option, QPainter *painter,
                                       const QWidget *widget) const
{
    const ThemeColors &colors = themeColors(option->palette);
    const bool enabled = option->state & State_Enabled;
    const bool focused = option->state & State_HasFocus;
    const bool hovered = enabled && (option->state & State_MouseOver);
    switch (control) {
    case CC_ComboBox: {
        const auto *combo = qstyleoption_cast<const QStyleOptionComboBox *>(option);
        if (!combo)
            break;
        QColor fill = !enabled ? colors.window : combo->editable ? colors.base : colors.button;
        if (hovered && !combo->editable)
            fill = mixedColor(fill, colors.text, 0.05);
        drawFlatBox(painter, option->rect, fill,
                    focused       ? colors.accent
                        : enabled ? colors.line
                                  : colors.lineFaint,
                    focused ? 2 : 1);
        drawChevron(painter, subControlRect(CC_ComboBox, option, SC_ComboBoxArrow, widget), ChevronDirection::Down,
                    enabledTextColor(option, colors, colors.secondaryText));
        return;
    }
    case CC_SpinBox: {
        const auto *spin = qstyleoption_cast<const QStyleOptionSpinBox *>(option);
        if (!spin)
            break;
        if (spin->frame)
            drawFlatBox(painter, option->rect, enabled ? colors.base : colors.window,
                        focused ? colors.accent : colors.line, focused ? 2 : 1);
        if (spin->buttonSymbols == QAbstractSpinBox::NoButtons)
            return;
        const auto arrow = [&](SubControl part, ChevronDirection direction, QAbstractSpinBox::StepEnabledFlag flag) {
            const bool can = enabled && (spin->stepEnabled & flag);
            drawChevron(painter, subControlRect(CC_SpinBox, option, part, widget), direction,
                        can ? colors.secondaryText : colors.disabledText);
        };
        arrow(SC_SpinBoxUp, ChevronDirection::Up, QAbstractSpinBox::StepUpEnabled);
        arrow(SC_SpinBoxDown, ChevronDirection::Down, QAbstractSpinBox::StepDownEnabled);
        return;
    }
    case CC_Slider: {
        const auto *slider = qstyleoption_cast<const QStyleOptionSlider *>(option);
        if (!slider || slider->orientation != Qt::Horizontal)
            break;
        const QRect handle = subControlRect(CC_Slider, option, SC_SliderHandle, widget);
        QRect groove(option->rect.left(), option->rect.center().y() - 1, option->rect.width(), 3);
        painter->fillRect(groove, colors.line);
        groove.setRight(handle.center().x());
        painter->fillRect(groove, enabled ? colors.accent : colors.disabledText);
        const QRect knob(handle.center().x() - 5, option->rect.center().y() - 7, 11, 15);
        drawFlatBox(painter, knob, enabled ? colors.button : colors.window,
                    focused       ? colors.accent
                        : hovered ? colors.accent
                        : enabled ? colors.secondaryText
                                  : colors.disabledText,
                    focused ? 2 : 1);
        return;
    }
    case CC_ScrollBar: {
        const auto *bar = qstyleoption_cast<const QStyleOptionSlider *>(option);
        if (!bar)
            break;
        painter->fillRect(option->rect, colors.alternate);
        QRect handle = subControlRect(CC_ScrollBar, option, SC_ScrollBarSlider, widget);
        handle = bar->orientation == Qt::Horizontal ? handle.adjusted(2, 3, -2, -3) : handle.adjusted(3, 2, -3, -2);
        const bool active = hovered || (option->state & State_Sunken);
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing, true);
        painter->setPen(Qt::NoPen);
        painter->setBrush(active ? colors.secondaryText : mixedColor(colors.line, colors.secondaryText, 0.35));
        painter->drawRoundedRect(handle, 2, 2);
        painter->restore();
        return;
    }
    default:
        break;
    }
    QProxyStyle::drawComplexControl(control, option, painter, widget);
}

QIcon SecateurStyle::standardIcon(StandardPixmap icon, const QStyleOption *option, const QWidget *widget) const
{
    switch (icon) {
    case SP_TitleBarCloseButton:
    case SP_DockWidgetCloseButton:
    case SP_TabCloseButton:
    case SP_LineEditClearButton:
        return themedIcon(QStringLiteral("close"), IconColor::Secondary);
    case SP_TitleBarNormalButton:
        return themedIcon(QStringLiteral("float"), IconColor::Secondary);
    default:
        return QProxyStyle::standardIcon(icon, option, widget);
    }
}

} // namespace secateur
