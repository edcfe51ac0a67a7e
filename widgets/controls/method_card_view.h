#pragma once

#include <QString>
#include <QStringList>
#include <QWidget>

#include <memory>

namespace secateur {

/// What the card of a method shows.
struct MethodCardText {
    QString title, paradigm, summary, formula, paper, sweeps, needs;
};

/// Card of a pruning method: title, badge, one sentence, paper, formula, cost and needs. Options are added below by the
/// page.
class MethodCardView : public QWidget {
    Q_OBJECT
public:
    explicit MethodCardView(QWidget *parent = nullptr);
    ~MethodCardView() override;
    void setCard(const MethodCardText &card);

private:
    struct Private;
    std::unique_ptr<Private> m_private;
};

} // namespace secateur
