#pragma once

#include "app/controllers/recovery_controller.h"
#include "app/pages/recovery_data_picker.h"

#include <QWidget>

class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QProgressBar;
class QPushButton;
class QSpinBox;
class QStackedWidget;
class QVBoxLayout;

namespace secateur {

class AccuracyChart;
class AppSettings;
class EmptyState;
class LossChart;
class UserPrompts;
class Workspace;

/// How much a short training brings back: the next run at the left, the current one at the right.
class RecoveryPage : public QWidget {
    Q_OBJECT
public:
    RecoveryPage(Workspace *workspace, RecoveryController *recovery, UserPrompts *prompts, AppSettings *settings,
                 QWidget *parent = nullptr);

    RecoveryOptions options() const;
    QString dataSource() const { return m_data->source(); }
    void setDataSource(const QString &source) { m_data->setSource(source); }
    RecoveryDataPicker *dataPicker() const { return m_data; }
    QPushButton *queueButton() const { return m_queue; }
    QPushButton *stopButton() const { return m_stop; }
    QSpinBox *stepsBox() const { return m_steps; }
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
    QComboBox *m_preset;
    QSpinBox *m_rank;
    QDoubleSpinBox *m_alpha;
    QComboBox *m_layers;
    QSpinBox *m_steps;
    QSpinBox *m_batchTokens;
    QSpinBox *m_maxLength;
    QDoubleSpinBox *m_rate;
    QSpinBox *m_seed;
    QLabel *m_estimateWeights;
    QLabel *m_estimateAdapter;
    QLabel *m_estimateActivations;
    QLabel *m_estimateTotal;
    QLabel *m_estimateTime;
    QPushButton *m_queue;

    QStackedWidget *m_stack;
    EmptyState *m_empty;
    QLabel *m_runTitle;
    QLabel *m_runSubtitle;
    QLabel *m_numbers[5];
    QProgressBar *m_progress;
    QPushButton *m_stop;
    QPushButton *m_evaluate;
    LossChart *m_chart;
    AccuracyChart *m_bars;

    QWidget *makeForm();
    void makeMethodForm(QVBoxLayout *layout);
    void makeEstimate(QVBoxLayout *layout);
    QWidget *makeRun();
    void applyPreset();
    void showEstimate();
    void showRun();
    void showNumbers(const std::vector<TrainingPoint> &points, int planned);
    void showButton();
};

} // namespace secateur
