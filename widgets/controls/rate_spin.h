#pragma once

#include <QDoubleSpinBox>

namespace secateur {

/// A learning rate: shown as 2e-4, typed in any form of a number (0.0002, 2e-4). A step changes its second digit.
class RateSpin : public QDoubleSpinBox {
    Q_OBJECT
public:
    explicit RateSpin(QWidget *parent = nullptr);

    QString textFromValue(double value) const override;
    double valueFromText(const QString &text) const override;
    QValidator::State validate(QString &text, int &position) const override;
    void stepBy(int steps) override;
};

} // namespace secateur
