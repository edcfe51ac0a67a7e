#pragma once

#include "app/controllers/recovery_controller.h"

#include <QStringList>
#include <QWidget>

#include <map>
#include <vector>

class QPushButton;
class QTimer;
class QVBoxLayout;

namespace secateur {

class AppSettings;
class Banner;
class DataSetCard;
class UserPrompts;
class Workspace;

/// The data sets to train on, one card each: the bundled conversations and the files that were added. Counts arrive
/// from the controller; a set that does not fit the model says so in words.
class RecoveryDataPicker : public QWidget {
    Q_OBJECT
public:
    RecoveryDataPicker(Workspace *workspace, RecoveryController *recovery, UserPrompts *prompts, AppSettings *settings,
                       QWidget *parent = nullptr);

    QString source() const { return m_source; }
    /// Chooses a set; a file that is not in the list is added to it.
    void setSource(const QString &source);
    /// Length and splitting change what a set gives; counts again after a moment.
    void setOptions(const RecoveryOptions &options);
    TrainingDataSummaryPtr summary() const; ///< of the chosen set; null: still counting
    DataSetCard *card(const QString &source) const; ///< null: not in the list
    Banner *fitWarning() const { return m_fitWarning; }
    QPushButton *useFittingButton() const { return m_useFitting; }

public Q_SLOTS:
    void count();
    void addFile();

Q_SIGNALS:
    void changed(); ///< another set, or news of the chosen one

private:
    Workspace *m_workspace;
    RecoveryController *m_recovery;
    UserPrompts *m_prompts;
    AppSettings *m_settings;
    QString m_source = QStringLiteral("bundled");
    RecoveryOptions m_options;
    std::map<QString, DataSetCard *> m_cards;
    std::map<QString, TrainingDataSummaryPtr> m_summaries;
    QVBoxLayout *m_list;
    Banner *m_fitWarning;
    QPushButton *m_useFitting; ///< another set of the list that fits
    Banner *m_lengthWarning;
    QTimer *m_recount;

    QStringList sources() const;
    void addCard(const QString &source);
    void removeCard(const QString &source);
    void showSummary(const TrainingDataSummaryPtr &summary);
    void showCard(const QString &source);
    void showWarnings();
    QString fittingSource() const;
};

} // namespace secateur
