#pragma once

#include "app/application.h"
#include "app/guarded_application.h"
#include "tests/gui/fake_prompts.h"
#include "tests/support/tiny_model.h"

#include <QElapsedTimer>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>

namespace secateur {

/// Longest time that the event loop did not come round: what a user feels as a frozen window.
class Watchdog : public QObject {
public:
    Watchdog()
    {
        m_timer.setInterval(5);
        m_timer.setTimerType(Qt::PreciseTimer);
        connect(&m_timer, &QTimer::timeout, this, [this] { m_largest = qMax(m_largest, m_clock.restart()); });
        m_clock.start();
        m_timer.start();
    }
    qint64 largestGapMs() const { return m_largest; }
    void restart()
    {
        m_largest = 0;
        m_clock.restart();
    }

private:
    QTimer m_timer;
    QElapsedTimer m_clock;
    qint64 m_largest = 0;
};

/// The real program on a tiny model in a folder of its own, with the test answering the questions.
class WindowDriver {
public:
    WindowDriver()
    {
        installTranslations(*QCoreApplication::instance());
        // A blank and a letter beyond ASCII: paths must survive both.
        folder = m_directory.path() + QStringLiteral("/Mödel files");
        QDir().mkpath(folder);
        auto fake = std::make_unique<FakePrompts>();
        prompts = fake.get();
        program = std::make_unique<Application>(std::move(fake), m_directory.filePath(QStringLiteral("settings.ini")));
        program->start();
    }

    QString path(const QString &name) const { return folder + QLatin1Char('/') + name; }

    QString writeModel(const TinyModelOptions &options = {}) const
    {
        const QString model = path(QStringLiteral("tiny-model"));
        writeTinyModel(std::filesystem::path(QFile::encodeName(model).toStdString()), options);
        return model;
    }

    /// Short chats that fit the tiny model's context.
    QString writeChats() const
    {
        const QString name = path(QStringLiteral("chats.jsonl"));
        QFile file(name);
        if (!file.open(QIODevice::WriteOnly))
            return {};
        for (int i = 0; i < 12; ++i) {
            file.write(QStringLiteral("{\"prompt\": \"Count to %1.\", \"response\": \"One, two and so on to %1.\"}\n")
                           .arg(i + 2)
                           .toUtf8());
        }
        return name;
    }

    bool isIdle() const { return !program->runner().isBusy(); }
    MainWindow &window() const { return program->window(); }
    Workspace &workspace() const { return program->workspace(); }

    QString folder;
    FakePrompts *prompts;
    std::unique_ptr<Application> program;

private:
    QTemporaryDir m_directory;
};

} // namespace secateur
