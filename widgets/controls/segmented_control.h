#pragma once

#include <QWidget>

#include <memory>

namespace secateur {

/// A row of joined buttons of which one is chosen; arrows walk over the enabled ones.
class SegmentedControl : public QWidget {
    Q_OBJECT
public:
    explicit SegmentedControl(QWidget *parent = nullptr);
    ~SegmentedControl() override;

    void addSegment(const QString &id, const QString &text);
    void clear();
    QString currentId() const;
    void setCurrentId(const QString &id);
    /// \a reason becomes the tooltip of a segment that is off.
    void setSegmentEnabled(const QString &id, bool enabled, const QString &reason = {});
    QStringList ids() const;

Q_SIGNALS:
    void currentChanged(const QString &id);

protected:
    void keyPressEvent(QKeyEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

} // namespace secateur
