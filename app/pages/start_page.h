#pragma once

#include <QWidget>

class QCheckBox;
class QLabel;
class QLineEdit;
class QListWidget;
class QPushButton;

namespace secateur {

class AppSettings;
class DocumentController;

/// What the program opens with: open a model or a session, drop a file, take the example, or go on with recent work.
class StartPage : public QWidget {
    Q_OBJECT
public:
    StartPage(AppSettings *settings, DocumentController *document, QWidget *parent = nullptr);

    void refresh(); ///< the Recent list
    void setSmolAvailable(bool available); ///< SmolLM2 is fetched, the rest comes with the program
    QListWidget *recentList() const { return m_recent; }
    QPushButton *exampleButton() const { return m_example; }
    QPushButton *smolButton() const { return m_smol; }

Q_SIGNALS:
    void openModelRequested();
    void openSessionRequested();
    void exampleRequested(const QString &model); ///< the finished session of a bundled model
    void bundledRequested(const QString &argument); ///< "bundled:mini-think"
    void recentRequested(const QString &path);
    void locateRequested(const QString &path);
    void helpRequested(const QString &topic); ///< "first-steps", "methods", "keyboard"

private:
    AppSettings *m_settings;
    DocumentController *m_document;
    QPushButton *m_example;
    QPushButton *m_smol;
    QLabel *m_smolText;
    QLineEdit *m_filter;
    QListWidget *m_recent;
    QCheckBox *m_showAtStart;

    QWidget *makeLeft();
    QWidget *makeRight();
    QWidget *makePairCard(QWidget *parent);
    QWidget *makeSmolCard(QWidget *parent);
    void openCurrent();
};

} // namespace secateur
