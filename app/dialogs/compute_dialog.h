#pragma once

#include "backend/core/run_config.h"
#include "backend/engine/compute_device.h"

#include <QDialog>

#include <vector>

class QComboBox;
class QSpinBox;

namespace secateur {

/// Device, number format, threads and kernels; used when a model is opened the next time.
class ComputeDialog : public QDialog {
    Q_OBJECT
public:
    ComputeDialog(const ComputeSettings &start, const std::vector<DeviceInfo> &devices, QWidget *parent = nullptr);
    ComputeSettings settings() const;

private:
    QComboBox *m_device;
    QComboBox *m_dtype;
    QSpinBox *m_threads;
    QComboBox *m_kernels;
};

} // namespace secateur
