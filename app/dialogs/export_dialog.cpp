#include "app/dialogs/export_dialog.h"

#include "app/dialogs/dialog_parts.h"
#include "widgets/controls/banner.h"
#include "widgets/theme/theme.h"

#include <QComboBox>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QVBoxLayout>

namespace secateur {

ExportDialog::ExportDialog(const QString &name, const QString &folder, const QString &loaderNote, UserPrompts &prompts,
                           QWidget *parent)
    : QDialog(parent)
{
    setWindowTitle(tr("Export model"));
    setMinimumWidth(520);
    auto *outer = dialogLayout(this);
    outer->addWidget(sectionLabel(name, this));
    auto *intro = new QLabel(tr("Writes a Hugging Face folder: weights, configuration, tokenizer, chat template, "
                                "generation settings, licence and a model card. It is loaded again and compared "
                                "before it is put in place."),
                             this);
    intro->setWordWrap(true);
    setSecondary(intro);
    outer->addWidget(intro);

    auto *form = dialogForm(outer);
    auto *row = new QHBoxLayout;
    m_folder = new QLineEdit(folder, this);
    m_folder->setAccessibleName(tr("Folder"));
    auto *browse = new QPushButton(tr("Choose…"), this);
    browse->setAutoDefault(false);
    row->addWidget(m_folder, 1);
    row->addWidget(browse);
    form->addRow(tr("Folder"), row);
    m_dtype = new QComboBox(this);
    m_dtype->addItem(tr("As the source (F32 when it was quantised)"), u"auto"_qs);
    m_dtype->addItem(u"F32"_qs, u"F32"_qs);
    m_dtype->addItem(u"BF16"_qs, u"BF16"_qs);
    m_dtype->addItem(u"F16"_qs, u"F16"_qs);
    form->addRow(tr("Type"), m_dtype);

    auto *loader = new Banner(loaderNote.isEmpty() ? Banner::Kind::Notice : Banner::Kind::Warning, this);
    loader->setBoxed(true);
    loader->setClosable(false);
    if (loaderNote.isEmpty())
        loader->setText(tr("Loads in stock transformers."), tr("All widths are equal."));
    else
        loader->setText(tr("Stock loaders will refuse this model."), loaderNote);
    outer->addWidget(loader);
    outer->addStretch(1);
    QPushButton *accept = dialogButtons(this, outer, tr("Export"));

    connect(browse, &QPushButton::clicked, this, [this, &prompts] {
        const QString chosen = prompts.openFolder(tr("Choose a folder for the model"), m_folder->text());
        if (!chosen.isEmpty())
            m_folder->setText(chosen);
    });
    connect(m_folder, &QLineEdit::textChanged, this,
            [accept](const QString &text) { accept->setEnabled(!text.trimmed().isEmpty()); });
}

ExportChoice ExportDialog::choice() const
{
    return {.folder = m_folder->text().trimmed(), .dtype = m_dtype->currentData().toString().toStdString()};
}

} // namespace secateur
