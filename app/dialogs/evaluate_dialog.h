#pragma once

#include "app/user_prompts.h"

#include <QDialog>

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QListWidget;
class QPushButton;
class QSpinBox;
class QTreeWidget;

namespace secateur {

/// Which tasks, which models, under which protocol. The dense baseline is always among the models.
class EvaluateDialog : public QDialog {
    Q_OBJECT
public:
    EvaluateDialog(const EvaluationChoice &start, const std::vector<TaskChoice> &tasks,
                   const std::vector<SubjectChoice> &subjects, UserPrompts &prompts, QWidget *parent = nullptr);
    EvaluationChoice choice() const;

private:
    QTreeWidget *m_tasks;
    QListWidget *m_subjects;
    QLineEdit *m_folder;
    QSpinBox *m_limit;
    QSpinBox *m_cap;
    QSpinBox *m_seed;
    QCheckBox *m_chat;
    QLabel *m_warning;
    QPushButton *m_accept;

    void fillTasks(const EvaluationChoice &start, const std::vector<TaskChoice> &tasks);
    void check();
};

} // namespace secateur
