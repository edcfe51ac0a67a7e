#pragma once

#include "app/controllers/recovery_controller.h"
#include "app/pages/recovery_data_picker.h"
#include "app/pages/recovery_form.h"

#include <QWidget>

class QAction;
class QCheckBox;
class QComboBox;
class QLabel;
class QLayout;
class QProgressBar;
class QPushButton;
class QSpinBox;
class QStackedWidget;
class QVBoxLayout;

namespace secateur {

class AccuracyChart;
class AppSettings;
class Banner;
class EmptyState;
class LossChart;
class RecoveryProbePanel;
class UserPrompts;
class Workspace;

/// How much a short training brings back: the next run at the left, the current one at the right.
class RecoveryPage : public QWidget {
    Q_OBJECT
public:
    RecoveryPage(Workspace *workspace, RecoveryController *recovery, UserPrompts *prompts, AppSettings *settings,
                 QWidget *parent = nullptr);

    RecoveryOptions options() const { return m_form->options(); }
    RecoveryForm *form() const { return m_form; }
    QString dataSource() const { return m_data->source(); }
    void setDataSource(const QString &source) { m_data->setSource(source); }
    RecoveryDataPicker *dataPicker() const { return m_data; }
    QPushButton *queueButton() const { return m_queue; }
    QPushButton *stopButton() const { return m_stop; }
    QPushButton *pauseButton() const { return m_pause; }
    RecoveryProbePanel *probePanel() const { return m_probes; }
    Banner *unfinishedBanner() const { return m_unfinished; }
    QPushButton *resumeButton() const { return m_resume; }
    QPushButton *discardButton() const { return m_discard; }
    QCheckBox *equalTokensBox() const { return m_equalTokens; }
    QAction *denseControlAction() const { return m_denseControl; }
    QAction *newWeightsControlAction() const { return m_newWeightsControl; }
    QSpinBox *stepsBox() const { return m_form->stepsBox(); }
    LossChart *chart() const { return m_chart; }
    void setQueueReason(const QString &reason);
    QString statusText() const;
    QString commandLine() const;

public Q_SLOTS:
    void queueRun();

Q_SIGNALS:
    void evaluateRequested();

private:
    Workspace *m_workspace;
    RecoveryController *m_recovery;
    UserPrompts *m_prompts;
    AppSettings *m_settings;
    QString m_reason;

    QLabel *m_subject;
    RecoveryDataPicker *m_data;
    RecoveryForm *m_form;
    QLabel *m_estimateWeights;
    QLabel *m_estimateTrainedName;
    QLabel *m_estimateTrained;
    QLabel *m_estimateActivations;
    QLabel *m_estimateTotal;
    QLabel *m_estimateTime;
    Banner *m_memoryWarning;
    QPushButton *m_queue;

    QStackedWidget *m_stack;
    EmptyState *m_empty;
    QLabel *m_runTitle;
    QLabel *m_runSubtitle;
    QLabel *m_numbers[7];
    QProgressBar *m_progress;
    QPushButton *m_pause;
    QPushButton *m_stop;
    QPushButton *m_evaluate;
    LossChart *m_chart;
    AccuracyChart *m_bars;
    RecoveryProbePanel *m_probes;
    Banner *m_unfinished;
    QPushButton *m_resume;
    QPushButton *m_discard;
    QCheckBox *m_equalTokens;
    QComboBox *m_equalTo; ///< runs of the session
    QAction *m_denseControl;
    QAction *m_newWeightsControl;
    QString m_shownRun; ///< whose history is shown or on its way
    workflow::RunHistory m_history; ///< of m_shownRun

    QWidget *makeForm();
    void makeEstimate(QVBoxLayout *layout);
    QWidget *makeRun();
    QLayout *makeRunHead(QWidget *run);
    void makeQueueRow(QVBoxLayout *layout, QWidget *parent);
    void dataChanged();
    void showEstimate();
    void showRun();
    void showLive();
    void showCurve(const workflow::RunHistory &history, const std::vector<std::int64_t> &memory, int planned);
    void showNumbers(const workflow::RunHistory &history, const std::vector<std::int64_t> &memory, int planned);
    void showUnfinished();
    void showEqualRuns();
    void matchTokens();
    void editProbes();
    void fork(qint64 step);
    void queueControl(bool newWeights);
    RecoveryOrder nextOrder() const;
    void showButton();
};

} // namespace secateur
