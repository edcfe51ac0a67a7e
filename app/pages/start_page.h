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
    void setExampleAvailable(bool available);
    QListWidget *recentList() const { return m_recent; }
    QPushButton *exampleButton() const { return m_example; }

Q_SIGNALS:
    void openModelRequested();
    void openSessionRequested();
    void exampleRequested();
    void recentRequested(const QString &path);
    void locateRequested(const QString &path);
    void helpRequested(const QString &topic); ///< "first-steps", "methods", "keyboard"

private:
    AppSettings *m_settings;
    DocumentController *m_document;
    QPushButton *m_example;
    QLabel *m_exampleText;
    QLineEdit *m_filter;
    QListWidget *m_recent;
    QCheckBox *m_showAtStart;

    QWidget *makeLeft();
    QWidget *makeRight();
    void openCurrent();
};

} // namespace secateur
