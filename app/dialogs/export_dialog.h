#pragma once

#include "app/user_prompts.h"

#include <QDialog>

class QComboBox;
class QLineEdit;

namespace secateur {

/// Where to write a model and in which type; says before writing who will be able to load it.
class ExportDialog : public QDialog {
    Q_OBJECT
public:
    ExportDialog(const QString &name, const QString &folder, const QString &loaderNote, UserPrompts &prompts,
                 QWidget *parent = nullptr);
    ExportChoice choice() const;

private:
    QLineEdit *m_folder;
    QComboBox *m_dtype;
};

} // namespace secateur
