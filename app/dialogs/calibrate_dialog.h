#pragma once

#include "app/user_prompts.h"

#include <QDialog>

class QComboBox;
class QLabel;
class QSpinBox;

namespace secateur {

/// Which text the scores are computed on: bundled text or a file, how many samples of which length, and the seed.
class CalibrateDialog : public QDialog {
    Q_OBJECT
public:
    CalibrateDialog(const workflow::CalibrationRequest &start, const QString &folder, UserPrompts &prompts,
                    QWidget *parent = nullptr);
    workflow::CalibrationRequest request() const;

private:
    QComboBox *m_source;
    QSpinBox *m_samples;
    QSpinBox *m_length;
    QSpinBox *m_seed;
    QLabel *m_total;

    void chooseFile(const QString &folder, UserPrompts &prompts);
    void showTotal();
};

} // namespace secateur
