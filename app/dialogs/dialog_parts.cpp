#include "app/dialogs/dialog_parts.h"

#include "widgets/theme/theme.h"

#include <QCoreApplication>
#include <QDialog>
#include <QFormLayout>
#include <QLabel>
#include <QPushButton>
#include <QSpinBox>
#include <QVBoxLayout>

namespace secateur {

QVBoxLayout *dialogLayout(QDialog *dialog)
{
    auto *outer = new QVBoxLayout(dialog);
    outer->setContentsMargins(16, 16, 16, 16);
    outer->setSpacing(12);
    return outer;
}

QFormLayout *dialogForm(QVBoxLayout *outer)
{
    auto *form = new QFormLayout;
    form->setHorizontalSpacing(16);
    form->setVerticalSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    outer->addLayout(form);
    return form;
}

QSpinBox *dialogSpin(QWidget *parent, int low, int high, int value, const QString &name)
{
    auto *spin = new QSpinBox(parent);
    spin->setRange(low, high);
    spin->setValue(value);
    spin->setAccessibleName(name);
    spin->setAlignment(Qt::AlignRight);
    return spin;
}

QPushButton *dialogButtons(QDialog *dialog, QVBoxLayout *outer, const QString &action)
{
    auto *row = new QHBoxLayout;
    row->setSpacing(8);
    row->addStretch(1);
    auto *cancel = new QPushButton(QCoreApplication::translate("Dialogs", "Cancel"), dialog);
    cancel->setAutoDefault(false);
    auto *accept = new QPushButton(action, dialog);
    accept->setProperty("primary", true);
    accept->setDefault(true);
    row->addWidget(cancel);
    row->addWidget(accept);
    outer->addLayout(row);
    QObject::connect(cancel, &QPushButton::clicked, dialog, &QDialog::reject);
    QObject::connect(accept, &QPushButton::clicked, dialog, &QDialog::accept);
    return accept;
}

QLabel *sectionLabel(const QString &text, QWidget *parent)
{
    auto *label = new QLabel(text, parent);
    label->setFont(titleFont());
    return label;
}

} // namespace secateur
