#pragma once

#include <QAbstractButton>

namespace secateur {

/// "CPU · 2 threads · F32 | bar 0.9 / 23.1 GiB"; amber above 85 %. A click asks for the device dialog.
class DeviceChip : public QAbstractButton {
    Q_OBJECT
public:
    explicit DeviceChip(QWidget *parent = nullptr);

    void setDevice(const QString &device);
    void setMemory(qint64 usedBytes, qint64 totalBytes);
    QString memoryText() const;
    bool isTight() const; ///< above 85 %
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return sizeHint(); }

protected:
    void paintEvent(QPaintEvent *event) override;

private:
    QString m_device;
    qint64 m_used = 0;
    qint64 m_total = 0;
};

} // namespace secateur
