#include "app/user_prompts.h"

#include "app/dialogs/calibrate_dialog.h"
#include "app/dialogs/compute_dialog.h"
#include "app/dialogs/evaluate_dialog.h"
#include "app/dialogs/export_dialog.h"
#include "app/dialogs/question_dialog.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QDialogButtonBox>
#include <QFileDialog>
#include <QInputDialog>
#include <QPlainTextEdit>
#include <QVBoxLayout>

namespace secateur {

QString DialogPrompts::openFile(const QString &title, const QString &folder, const QString &filter)
{
    return QFileDialog::getOpenFileName(m_parent, title, folder, filter);
}

QString DialogPrompts::openFolder(const QString &title, const QString &folder)
{
    return QFileDialog::getExistingDirectory(m_parent, title, folder);
}

QString DialogPrompts::saveFile(const QString &title, const QString &suggestion, const QString &filter)
{
    return QFileDialog::getSaveFileName(m_parent, title, suggestion, filter);
}

QString DialogPrompts::text(const QString &title, const QString &label, const QString &value)
{
    bool accepted = false;
    const QString text = QInputDialog::getText(m_parent, title, label, QLineEdit::Normal, value, &accepted);
    return accepted ? text : QString();
}

std::optional<QStringList> DialogPrompts::lines(const QString &title, const QString &label, const QStringList &start)
{
    bool accepted = false;
    const QString text = QInputDialog::getMultiLineText(m_parent, title, label, start.join(u'\n'), &accepted);
    if (!accepted)
        return std::nullopt;
    QStringList lines;
    for (const QString &line : text.split(u'\n')) {
        if (!line.trimmed().isEmpty())
            lines += line.trimmed();
    }
    return lines;
}

UserPrompts::Save DialogPrompts::askUnsaved(const QString &name, int steps)
{
    QuestionDialog dialog(tr("Save changes?"), m_parent);
    dialog.setText(tr("%1 has unsaved changes.").arg(name),
                   steps > 0 ? tr("%n step(s) since the last save.", nullptr, steps)
                             : tr("New maps, runs or reports are not saved."));
    dialog.addButton(tr("Cancel"), int(Save::Cancel));
    dialog.addButton(tr("Discard"), int(Save::Discard));
    dialog.addPrimary(tr("Save…"), int(Save::Save));
    return Save(dialog.ask(int(Save::Cancel)));
}

UserPrompts::Quit DialogPrompts::askQuitWithJobs(const QString &job, bool unsaved)
{
    QuestionDialog dialog(tr("Quit Secateur?"), m_parent);
    dialog.setText(job,
                   tr("Stopping takes at most one batch. A stopped recovery "
                      "keeps the weights of its last whole step.")
                       + (unsaved ? u" "_qs + tr("Unsaved steps are saved with it.") : QString()));
    dialog.addButton(tr("Cancel"), int(Quit::Cancel));
    dialog.addPrimary(tr("Stop and save"), int(Quit::StopAndSave));
    return Quit(dialog.ask(int(Quit::Cancel)));
}

UserPrompts::Memory DialogPrompts::askMemory(const QString &model, const MemoryEstimate &f32,
                                             const MemoryEstimate &bf16, std::uint64_t freeBytes)
{
    const auto size = [](std::uint64_t bytes) { return memorySize(static_cast<qint64>(bytes)); };
    QuestionDialog dialog(tr("Open %1?").arg(model), m_parent);
    dialog.setText(tr("Needs %1 in F32; %2 are free.").arg(size(f32.total()), size(freeBytes)),
                   tr("Loading may make the machine swap or stop."));
    dialog.addRow(tr("Weights, F32"), size(f32.weights));
    dialog.addRow(tr("Activations, 4 096 tokens"), size(f32.activations));
    dialog.addRow(tr("In BF16 instead"), size(bf16.total()));
    dialog.addButton(tr("Cancel"), int(Memory::Cancel));
    dialog.addButton(tr("Load anyway"), int(Memory::LoadAnyway));
    dialog.addPrimary(tr("Load in BF16"), int(Memory::LoadBf16));
    return Memory(dialog.ask(int(Memory::Cancel)));
}

bool DialogPrompts::confirm(const QString &title, const QString &text, const QString &action)
{
    QuestionDialog dialog(title, m_parent);
    dialog.setText(text, {});
    dialog.addPrimary(tr("Cancel"), 0);
    dialog.addButton(action, 1);
    return dialog.ask(0) == 1;
}

void DialogPrompts::details(const QString &title, const QString &text)
{
    QDialog dialog(m_parent);
    dialog.setWindowTitle(title);
    dialog.resize(640, 320);
    auto *layout = new QVBoxLayout(&dialog);
    auto *edit = new QPlainTextEdit(text, &dialog);
    edit->setReadOnly(true);
    edit->setFont(fixedFont());
    layout->addWidget(edit);
    auto *buttons = new QDialogButtonBox(QDialogButtonBox::Close, &dialog);
    QObject::connect(buttons, &QDialogButtonBox::rejected, &dialog, &QDialog::reject);
    layout->addWidget(buttons);
    dialog.exec();
}

std::optional<workflow::CalibrationRequest> DialogPrompts::calibration(const workflow::CalibrationRequest &start,
                                                                       const QString &folder)
{
    CalibrateDialog dialog(start, folder, *this, m_parent);
    return dialog.exec() == QDialog::Accepted ? std::optional(dialog.request()) : std::nullopt;
}

std::optional<EvaluationChoice> DialogPrompts::evaluation(const EvaluationChoice &start,
                                                          const std::vector<TaskChoice> &tasks,
                                                          const std::vector<SubjectChoice> &subjects)
{
    EvaluateDialog dialog(start, tasks, subjects, *this, m_parent);
    return dialog.exec() == QDialog::Accepted ? std::optional(dialog.choice()) : std::nullopt;
}

std::optional<ExportChoice> DialogPrompts::exportModel(const QString &name, const QString &folder,
                                                       const QString &loaderNote)
{
    ExportDialog dialog(name, folder, loaderNote, *this, m_parent);
    return dialog.exec() == QDialog::Accepted ? std::optional(dialog.choice()) : std::nullopt;
}

std::optional<ComputeSettings> DialogPrompts::compute(const ComputeSettings &start,
                                                      const std::vector<DeviceInfo> &devices)
{
    ComputeDialog dialog(start, devices, m_parent);
    return dialog.exec() == QDialog::Accepted ? std::optional(dialog.settings()) : std::nullopt;
}

} // namespace secateur
