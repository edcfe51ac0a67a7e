#include "app/dialogs/calibrate_dialog.h"

#include "app/dialogs/dialog_parts.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QComboBox>
#include <QFileInfo>
#include <QFormLayout>
#include <QLabel>
#include <QPushButton>
#include <QSpinBox>
#include <QVBoxLayout>

namespace secateur {

CalibrateDialog::CalibrateDialog(const workflow::CalibrationRequest &start, const QString &folder, UserPrompts &prompts,
                                 QWidget *parent)
    : QDialog(parent)
{
    setWindowTitle(tr("Calibrate"));
    setMinimumWidth(432);
    auto *outer = dialogLayout(this);
    auto *intro
        = new QLabel(tr("One sweep over a calibration set scores every block, KV group and FFN channel."), this);
    intro->setWordWrap(true);
    setSecondary(intro);
    outer->addWidget(intro);

    auto *form = dialogForm(outer);
    m_source = new QComboBox(this);
    m_source->addItem(tr("Bundled text"), u"bundled"_qs);
    const QString source = QString::fromStdString(start.source);
    if (!source.isEmpty() && source != u"bundled") {
        m_source->addItem(QFileInfo(source).fileName(), source);
        m_source->setCurrentIndex(1);
    }
    auto *choose = new QPushButton(tr("File…"), this);
    choose->setAutoDefault(false);
    choose->setToolTip(tr("Plain text, JSON lines (text, messages, prompt and response) or token ids"));
    auto *sourceRow = new QHBoxLayout;
    sourceRow->addWidget(m_source, 1);
    sourceRow->addWidget(choose);
    form->addRow(tr("Calibration text"), sourceRow);
    m_samples = dialogSpin(this, 1, 100000, static_cast<int>(start.samples), tr("Samples"));
    form->addRow(tr("Samples"), m_samples);
    m_length = dialogSpin(this, 2, 131072, static_cast<int>(start.length), tr("Tokens per sample"));
    form->addRow(tr("Tokens per sample"), m_length);
    m_seed = dialogSpin(this, 0, 1'000'000'000, static_cast<int>(start.seed), tr("Seed"));
    form->addRow(tr("Seed"), m_seed);
    m_total = new QLabel(this);
    form->addRow(tr("Tokens in all"), m_total);
    outer->addStretch(1);
    dialogButtons(this, outer, tr("Calibrate"));

    connect(choose, &QPushButton::clicked, this, [this, folder, &prompts] { chooseFile(folder, prompts); });
    connect(m_samples, &QSpinBox::valueChanged, this, &CalibrateDialog::showTotal);
    connect(m_length, &QSpinBox::valueChanged, this, &CalibrateDialog::showTotal);
    showTotal();
}

void CalibrateDialog::chooseFile(const QString &folder, UserPrompts &prompts)
{
    const QString file = prompts.openFile(tr("Choose a calibration text"), folder,
                                          tr("Text and JSON lines (*.txt *.md *.jsonl *.json);;All files (*)"));
    if (file.isEmpty())
        return;
    int index = m_source->findData(file);
    if (index < 0) {
        m_source->addItem(QFileInfo(file).fileName(), file);
        index = m_source->count() - 1;
    }
    m_source->setCurrentIndex(index);
}

void CalibrateDialog::showTotal()
{
    m_total->setText(tr("at most %1").arg(exactCount(qint64(m_samples->value()) * m_length->value())));
}

workflow::CalibrationRequest CalibrateDialog::request() const
{
    workflow::CalibrationRequest request;
    request.source = m_source->currentData().toString().toStdString();
    request.samples = m_samples->value();
    request.length = m_length->value();
    request.seed = static_cast<std::uint64_t>(m_seed->value());
    return request;
}

} // namespace secateur
