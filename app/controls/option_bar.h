#pragma once

#include <QList>
#include <QWidget>

class QHBoxLayout;
class QLabel;
class QToolButton;

namespace secateur {

/// The 40-pixel bar under the tabs: labelled fields at the left, buttons at the right, help at the end. When narrow the
/// labels go, but those that stay, and the fields keep them as tooltips.
class OptionBar : public QWidget {
    Q_OBJECT
public:
    explicit OptionBar(QWidget *parent = nullptr);

    /// \a staysLabelled: its values alone would say nothing.
    void addField(const QString &label, QWidget *field, bool staysLabelled = false);
    /// From here on at the right.
    void addStretch();
    void addWidget(QWidget *widget);
    /// "?" at the right end.
    QToolButton *addHelp();
    /// Small: a bar with many fields must not hold the window open.
    QSize minimumSizeHint() const override { return {320, 40}; }

protected:
    void resizeEvent(QResizeEvent *event) override;
    void paintEvent(QPaintEvent *event) override;

private:
    QHBoxLayout *m_layout;
    QList<QLabel *> m_labels;
};

} // namespace secateur
