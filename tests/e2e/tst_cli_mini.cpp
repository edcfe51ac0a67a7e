#include "backend/core/resource_path.h"
#include "tests/e2e/cli_process.h"

#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

using namespace secateur;

namespace {

const QStringList kReasoned{"mini-chain", "mini-word", "mini-mod", "mini-vars", "mini-sort"};

} // namespace

/// The way to the mini pair in small: a few steps, two models that can be used.
class TestCliMini : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void thePairIsTrained();
    void aStoppedTrainingGoesOn();
    void dataThatAreNotThereAreNamed();
    void theExampleIsMadeByItsRecipe();

private:
    QString path(const QString &name) const { return m_folder.filePath(name); }
    QStringList training(const QString &out) const
    {
        return {"make-mini", "train",  "--data", path("data"), "--out", path(out), "--scale",
                "0.005",     "--seed", "5",      "--threads",  "1",     "--json"};
    }
    static QByteArray contentsOf(const QString &file)
    {
        QFile opened(file);
        return opened.open(QIODevice::ReadOnly) ? opened.readAll() : QByteArray();
    }

    QTemporaryDir m_folder;
};

void TestCliMini::initTestCase()
{
    const CliResult data = runCli({"make-mini", "data", "--out", path("data"), "--base-tokens", "60000",
                                   "--chat-tokens", "15000", "--seed", "5"});
    QVERIFY2(data.exitCode == 0, data.text().constData());
}

void TestCliMini::thePairIsTrained()
{
    const CliResult trained = runCli(training("pair"));

    QVERIFY2(trained.exitCode == 0, trained.text().constData());
    const QJsonObject losses = trained.json()["losses"].toObject();
    QCOMPARE(losses.keys(), (QStringList{"base", "instruct", "think"}));
    QVERIFY(losses["base"].toDouble() > 1 && losses["base"].toDouble() < 7); // ln 1024 = 6.9 knows nothing
    for (const char *sibling : {"instruct", "think"}) {
        const QString model = path(QStringLiteral("pair/") + QString::fromLatin1(sibling));
        const CliResult said
            = runCli({"generate", model, "--prompt", "What does the lion eat?", "--max-new-tokens", "4", "--json"});
        QVERIFY2(said.exitCode == 0, said.text().constData());
        QVERIFY(QFile(model + "/model.safetensors").size() < 8 << 20);
    }
}

void TestCliMini::aStoppedTrainingGoesOn()
{
    QProcess process;
    process.start(QStringLiteral(SECATEUR_CLI), training("stopped"));
    QTRY_VERIFY_WITH_TIMEOUT(QDir(path("stopped/work/base")).exists(), 100'000);
    process.terminate();
    const CliResult stopped = finishedResult(process, 100'000);
    QVERIFY2(stopped.exitCode == 3 || stopped.exitCode == 0, stopped.text().constData());

    const CliResult trained = runCli(training("stopped"));

    QVERIFY2(trained.exitCode == 0, trained.text().constData());
    QVERIFY(!trained.json()["losses"].toObject().contains("base")); // that one was over
    for (const char *sibling : {"instruct", "think"}) {
        const QString file = QStringLiteral("/%1/model.safetensors").arg(QString::fromLatin1(sibling));
        QVERIFY(!contentsOf(path("pair" + file)).isEmpty());
        QVERIFY(contentsOf(path("pair" + file)) == contentsOf(path("stopped" + file)));
    }
}

void TestCliMini::dataThatAreNotThereAreNamed()
{
    const CliResult refused = runCli({"make-mini", "train", "--data", path("nothing"), "--out", path("none")});

    QCOMPARE(refused.exitCode, 1);
    QVERIFY2(refused.error.contains("nothing"), refused.error.constData());
    QVERIFY(!QDir(path("none/instruct")).exists());
}

void TestCliMini::theExampleIsMadeByItsRecipe()
{
    const QString resources = QString::fromStdString(resourceDirectory().string());
    QJsonObject recipe = QJsonDocument::fromJson(contentsOf(resources + "/recipes/mini-think.json")).object();
    QVERIFY(!recipe.isEmpty());
    QJsonObject recovery = recipe["recover"].toObject();
    QVERIFY(recovery["steps"].toInt() > 8);
    recovery["steps"] = 8;
    recipe["recover"] = recovery;
    QJsonObject evaluation = recipe["evaluate"].toObject();
    evaluation["limit"] = 10;
    recipe["evaluate"] = evaluation;
    QFile file(path("small.json"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(QJsonDocument(recipe).toJson());
    file.close();

    const CliResult run = runCli({"run", path("small.json"), "--out", path("walk"), "--threads", "2"}, {}, 280'000);

    QVERIFY2(run.exitCode == 0, run.text().constData());
    const QJsonObject session = QJsonDocument::fromJson(contentsOf(path("walk/mini-think.json"))).object();
    QCOMPARE(session["twin_maps"].toArray().at(0)["maps"].toArray().size(), 7);
    QVERIFY(QFile::exists(path("walk/mini-think.twin.h5")));
    const QJsonArray evaluations = session["evaluations"].toArray();
    QCOMPARE(evaluations.size(), 5);
    QList<double> reasoning;
    for (const auto &evaluation : evaluations) {
        double sum = 0;
        for (const auto &task : evaluation.toObject()["tasks"].toArray())
            if (kReasoned.contains(task.toObject()["task"].toString()))
                sum += task.toObject()["accuracy"].toDouble() / static_cast<double>(kReasoned.size());
        reasoning.append(sum);
    }
    // thinking helps, three blocks less hurt, a quarter of the channels does not: all far beyond chance with 50
    // questions
    QVERIFY2(reasoning[0] >= 0.75, QByteArray::number(reasoning[0]).constData());
    QVERIFY2(reasoning[1] < reasoning[0] - 0.25, QByteArray::number(reasoning[1]).constData());
    QVERIFY2(reasoning[3] > reasoning[1] + 0.25, QByteArray::number(reasoning[3]).constData());
    QVERIFY2(reasoning[4] < 0.45, QByteArray::number(reasoning[4]).constData()); // the sibling
}

QTEST_GUILESS_MAIN(TestCliMini)
#include "tst_cli_mini.moc"
