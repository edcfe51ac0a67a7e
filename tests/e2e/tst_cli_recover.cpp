#include "tests/e2e/cli_process.h"
#include "tests/support/tiny_model.h"

#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

#include <csignal>

using namespace secateur;

namespace {

QByteArray contentsOf(const QString &path)
{
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

} // namespace

/// Runs that are stopped, killed and resumed.
class TestCliRecover : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void aKilledRunEndsWithTheSameBytes_data();
    void aKilledRunEndsWithTheSameBytes();
    void aStoppedRunLeavesACheckpoint();
    void aFullDiskKeepsTheLastCheckpoint();
    void whatCannotBeResumedIsSaid();
    void aModelIsMadeFromAConfiguration();
    void aPrunedModelLearnsFromItsParent();

private:
    QString path(const QString &name) const { return m_folder.filePath(name); }
    QStringList training(const QString &kind, const QString &out, int steps) const
    {
        QStringList arguments{"recover",   path("tiny"),
                              "--data",    path("data.jsonl"),
                              "--kind",    kind,
                              "--steps",   QString::number(steps),
                              "--out",     path(out),
                              "--seed",    "7",
                              "--threads", "1",
                              "--json",    "--batch-tokens",
                              "64",        "--held-out",
                              "0.2",       "--checkpoint-steps",
                              "5",         "--learning-rate",
                              "0.001"};
        if (kind == "distill")
            arguments << "--parent" << path("parent");
        return arguments;
    }
    QStringList checkpoints(const QString &out) const
    {
        return QDir(path(out + ".checkpoints")).entryList({"step-*"}, QDir::Dirs, QDir::Name);
    }

    QTemporaryDir m_folder;
};

void TestCliRecover::initTestCase()
{
    writeTinyModel(path("tiny").toStdString());
    TinyModelOptions parent;
    parent.layers = 5;
    parent.seed = 2;
    writeTinyModel(path("parent").toStdString(), parent);
    QFile data(path("data.jsonl"));
    QVERIFY(data.open(QIODevice::WriteOnly));
    for (int i = 0; i < 20; ++i)
        data.write(QByteArray(R"({"messages":[{"role":"user","content":"Number )") + QByteArray::number(i)
                   + R"("},{"role":"assistant","content":"It is )" + QByteArray::number(i * i) + "\"}]}\n");
}

void TestCliRecover::aKilledRunEndsWithTheSameBytes_data()
{
    QTest::addColumn<QString>("kind");
    QTest::addColumn<QString>("weights");
    QTest::newRow("adapter") << QStringLiteral("lora") << QStringLiteral("adapter_model.safetensors");
    QTest::newRow("all weights") << QStringLiteral("full") << QStringLiteral("model.safetensors");
}

void TestCliRecover::aKilledRunEndsWithTheSameBytes()
{
    QFETCH(QString, kind);
    QFETCH(QString, weights);
    constexpr int kSteps = 150;
    const QString whole = kind + "-whole";
    const QString broken = kind + "-broken";
    const CliResult uninterrupted = runCli(training(kind, whole, kSteps));
    QVERIFY2(uninterrupted.exitCode == 0, uninterrupted.text().constData());

    QProcess process;
    process.start(QStringLiteral(SECATEUR_CLI), training(kind, broken, kSteps));
    QTRY_VERIFY_WITH_TIMEOUT(!checkpoints(broken).isEmpty(), 100'000);
    process.kill();
    QVERIFY(process.waitForFinished());
    QCOMPARE(process.exitStatus(), QProcess::CrashExit);
    QVERIFY(!QDir(path(broken)).exists());
    const CliResult resumed = runCli({"--json", "recover", "--resume", path(broken)});

    QVERIFY2(resumed.exitCode == 0, resumed.text().constData());
    QCOMPARE(resumed.json()["losses"].toArray(), uninterrupted.json()["losses"].toArray());
    QCOMPARE(resumed.json()["held_out"].toArray(), uninterrupted.json()["held_out"].toArray());
    const QByteArray expected = contentsOf(path(whole + "/" + weights));
    QVERIFY(!expected.isEmpty());
    QVERIFY(contentsOf(path(broken + "/" + weights)) == expected);
    QVERIFY(!QDir(path(broken + ".checkpoints")).exists()); // nothing is left to resume
}

void TestCliRecover::aStoppedRunLeavesACheckpoint()
{
    QProcess process;
    process.start(QStringLiteral(SECATEUR_CLI), training("lora", "stopped", 150));
    QTRY_VERIFY_WITH_TIMEOUT(!checkpoints("stopped").isEmpty(), 100'000);
    process.terminate();
    const CliResult stopped = finishedResult(process, 100'000);

    QCOMPARE(stopped.exitCode, 3);
    const int done = stopped.json()["steps"].toInt();
    QCOMPARE(checkpoints("stopped"), QStringList{QStringLiteral("step-%1").arg(done, 6, 10, QLatin1Char('0'))});
    QVERIFY(QFile::exists(path("stopped/adapter_model.safetensors")));
    const CliResult resumed = runCli({"--json", "recover", "--resume", path("stopped")});
    QCOMPARE(resumed.json()["steps"].toInt(), 150);
    QVERIFY(runCli(training("lora", "unstopped", 150)).exitCode == 0);
    QVERIFY(contentsOf(path("stopped/adapter_model.safetensors"))
            == contentsOf(path("unstopped/adapter_model.safetensors")));
}

void TestCliRecover::aFullDiskKeepsTheLastCheckpoint()
{
    QProcess process;
    process.start(QStringLiteral(SECATEUR_CLI), training("lora", "full disk", 150));
    QTRY_VERIFY_WITH_TIMEOUT(!checkpoints("full disk").isEmpty(), 100'000);
    process.kill();
    QVERIFY(process.waitForFinished());
    const QStringList before = checkpoints("full disk");

    const CliResult failed = runCli({"recover", "--resume", path("full disk")}, "ulimit -f 8");

    QVERIFY(!failed.crashed);
    QCOMPARE(failed.exitCode, 1);
    QVERIFY2(failed.error.contains("File too large") && failed.error.contains("The weights after step"),
             failed.text().constData());
    QVERIFY(checkpoints("full disk").contains(before.last())); // an older one may have been there, too
    const CliResult resumed = runCli({"--json", "recover", "--resume", path("full disk")});
    QCOMPARE(resumed.json()["steps"].toInt(), 150);
}

void TestCliRecover::whatCannotBeResumedIsSaid()
{
    const CliResult nothing = runCli({"recover", "--resume", path("nowhere")});
    QCOMPARE(nothing.exitCode, 1);
    QVERIFY2(nothing.error.contains("There is no checkpoint in"), nothing.text().constData());

    QProcess process;
    process.start(QStringLiteral(SECATEUR_CLI), training("lora", "other", 150));
    QTRY_VERIFY_WITH_TIMEOUT(!checkpoints("other").isEmpty(), 100'000);
    process.kill();
    QVERIFY(process.waitForFinished());
    const CliResult model = runCli({"recover", path("parent"), "--resume", path("other")});
    QCOMPARE(model.exitCode, 1);
    QVERIFY2(model.error.contains("a run with other model"), model.text().constData());
}

void TestCliRecover::aModelIsMadeFromAConfiguration()
{
    QDir().mkpath(path("new"));
    for (const char *name : {"config.json", "tokenizer.json", "tokenizer_config.json"})
        QVERIFY(QFile::copy(path("tiny/") + name, path("new/") + name));

    const CliResult made = runCli({"--json",
                                   "recover",
                                   path("new"),
                                   "--data",
                                   path("data.jsonl"),
                                   "--kind",
                                   "scratch",
                                   "--steps",
                                   "30",
                                   "--out",
                                   path("made"),
                                   "--prompt-weight",
                                   "0.2",
                                   "--schedule",
                                   "flat",
                                   "--optimizer",
                                   "muon",
                                   "--init-embedding",
                                   "0.1",
                                   "--init-gain",
                                   "0.8",
                                   "--init-zero-outputs",
                                   "--learning-rate",
                                   "0.003"});

    QVERIFY2(made.exitCode == 0, made.text().constData());
    const QJsonArray losses = made.json()["losses"].toArray();
    QVERIFY(losses.last().toDouble() < 0.8 * losses.first().toDouble());
    const CliResult inspected = runCli({"--json", "inspect", path("made")});
    QCOMPARE(inspected.json()["layers"].toInt(), 4);
}

void TestCliRecover::aPrunedModelLearnsFromItsParent()
{
    const CliResult adapter = runCli(training("distill", "distilled", 20));
    QVERIFY2(adapter.exitCode == 0, adapter.text().constData());
    QVERIFY(QFile::exists(path("distilled/adapter_config.json")));

    const CliResult all = runCli(training("distill", "distilled all", 5) + QStringList{"--rank", "0"});
    QVERIFY2(all.exitCode == 0, all.text().constData());
    QVERIFY(QFile::exists(path("distilled all/model.safetensors")));
}

QTEST_GUILESS_MAIN(TestCliRecover)
#include "tst_cli_recover.moc"
