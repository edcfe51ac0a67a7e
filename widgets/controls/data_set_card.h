#pragma once

#include <QAbstractButton>
#include <QStringList>

namespace secateur {

/// What the card of a data set shows; all of it translated.
struct DataSetText {
    enum class Kind { None, Text, Instruct, Think, Mixed };
    QString title;
    Kind kind = Kind::None; ///< colour of the badge
    QString badge; ///< empty: no badge
    QStringList lines; ///< the first is always shown, the others while the card is chosen
    bool isProblem = false; ///< the lines are an error
};

/// One data set to choose: name, badge, numbers. Space chooses, arrows walk to the neighbours, Delete asks to remove.
class DataSetCard : public QAbstractButton {
    Q_OBJECT
public:
    explicit DataSetCard(QWidget *parent = nullptr);

    void setContent(const DataSetText &content);
    const DataSetText &content() const { return m_content; }
    void setRemovable(bool removable) { m_isRemovable = removable; }

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return {120, sizeHint().height()}; }
    bool hasHeightForWidth() const override { return true; }
    int heightForWidth(int width) const override;

Q_SIGNALS:
    void removeRequested();

protected:
    void paintEvent(QPaintEvent *event) override;
    void keyPressEvent(QKeyEvent *event) override;
    void contextMenuEvent(QContextMenuEvent *event) override;
    void changeEvent(QEvent *event) override;

private:
    DataSetText m_content;
    bool m_isRemovable = false;

    QString shownLines() const;
};

} // namespace secateur
