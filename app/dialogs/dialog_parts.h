#pragma once

#include <QString>

class QDialog;
class QFormLayout;
class QLabel;
class QPushButton;
class QSpinBox;
class QVBoxLayout;
class QWidget;

namespace secateur {

/// Margins and spacing that all dialogs share.
QVBoxLayout *dialogLayout(QDialog *dialog);
QFormLayout *dialogForm(QVBoxLayout *outer);
QSpinBox *dialogSpin(QWidget *parent, int low, int high, int value, const QString &name);
/// Cancel and the filled \a action at the right; returns the latter.
QPushButton *dialogButtons(QDialog *dialog, QVBoxLayout *outer, const QString &action);
/// Head of a group inside a form.
QLabel *sectionLabel(const QString &text, QWidget *parent);

} // namespace secateur
