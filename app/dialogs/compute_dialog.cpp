#include "app/dialogs/compute_dialog.h"

#include "app/dialogs/dialog_parts.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QComboBox>
#include <QFormLayout>
#include <QLabel>
#include <QSpinBox>
#include <QVBoxLayout>

namespace secateur {

ComputeDialog::ComputeDialog(const ComputeSettings &start, const std::vector<DeviceInfo> &devices, QWidget *parent)
    : QDialog(parent)
{
    setWindowTitle(tr("Device"));
    setMinimumWidth(432);
    auto *outer = dialogLayout(this);
    auto *form = dialogForm(outer);
    m_device = new QComboBox(this);
    for (const DeviceInfo &device : devices) {
        QString text = QString::fromStdString(device.name);
        if (device.totalBytes > 0)
            text += u" · "_qs + memorySize(static_cast<qint64>(device.totalBytes));
        m_device->addItem(text, QString::fromStdString(device.id));
    }
    if (devices.empty())
        m_device->addItem(u"CPU"_qs, u"cpu"_qs);
    m_device->setCurrentIndex(qMax(0, m_device->findData(QString::fromStdString(start.device))));
    form->addRow(tr("Device"), m_device);
    m_dtype = new QComboBox(this);
    m_dtype->addItem(tr("Automatic (BF16 where it is faster)"), u"auto"_qs);
    m_dtype->addItem(u"F32"_qs, u"f32"_qs);
    m_dtype->addItem(u"BF16"_qs, u"bf16"_qs);
    m_dtype->setCurrentIndex(qMax(0, m_dtype->findData(QString::fromStdString(start.dtype))));
    form->addRow(tr("Compute in"), m_dtype);
    m_threads = dialogSpin(this, 0, 1024, start.threads, tr("Threads"));
    m_threads->setSpecialValueText(tr("all cores"));
    form->addRow(tr("Threads"), m_threads);
    m_kernels = new QComboBox(this);
    m_kernels->addItem(tr("Secateur's"), u"own"_qs);
    m_kernels->addItem(tr("LibTorch's (slower, step by step as transformers)"), u"libtorch"_qs);
    m_kernels->setCurrentIndex(qMax(0, m_kernels->findData(QString::fromStdString(start.kernels))));
    form->addRow(tr("Kernels on the CPU"), m_kernels);
    auto *note = new QLabel(tr("Used when a model is opened the next time. The open model keeps its settings."), this);
    note->setWordWrap(true);
    setSecondary(note);
    outer->addWidget(note);
    outer->addStretch(1);
    dialogButtons(this, outer, tr("Apply"));
}

ComputeSettings ComputeDialog::settings() const
{
    return {.device = m_device->currentData().toString().toStdString(),
            .dtype = m_dtype->currentData().toString().toStdString(),
            .threads = m_threads->value(),
            .kernels = m_kernels->currentData().toString().toStdString()};
}

} // namespace secateur
