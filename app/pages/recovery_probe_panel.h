#pragma once

#include "backend/workflow/recovery_history.h"

#include <QWidget>

class QLabel;
class QPushButton;
class QSlider;
class QStandardItemModel;
class QTableView;

namespace secateur {

class UserPrompts;

/// The answers to the probe questions: one row per question, one column per checkpoint, a slider that walks over the
/// checkpoints. Left and Right on the table do the same; Enter reads a whole answer.
class RecoveryProbePanel : public QWidget {
    Q_OBJECT
public:
    explicit RecoveryProbePanel(UserPrompts *prompts, QWidget *parent = nullptr);

    /// \a adapters: steps that a new run can begin at.
    void setRounds(const std::vector<std::string> &questions, const std::vector<workflow::ProbeRound> &rounds,
                   const std::vector<std::int64_t> &adapters);
    std::int64_t currentStep() const; ///< of the slider; −1: there is no checkpoint
    void setCurrentIndex(int round);

    QSlider *slider() const { return m_slider; }
    QTableView *table() const { return m_table; }
    QPushButton *editButton() const { return m_edit; }
    QPushButton *forkButton() const { return m_fork; }

Q_SIGNALS:
    void currentStepChanged(qint64 step); ///< −1: the newest
    void editRequested();
    void forkRequested(qint64 step);

private:
    UserPrompts *m_prompts;
    std::vector<std::string> m_questions;
    std::vector<workflow::ProbeRound> m_rounds;
    std::vector<std::int64_t> m_adapters;
    QLabel *m_note;
    QSlider *m_slider;
    QPushButton *m_edit;
    QPushButton *m_fork;
    QTableView *m_table;
    QStandardItemModel *m_model;

    void showCurrent();
    void readAnswer(int question, int round);
};

} // namespace secateur
