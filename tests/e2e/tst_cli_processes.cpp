#include "backend/io/safetensors.h"
#include "tests/e2e/cli_process.h"
#include "tests/support/tiny_model.h"

#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QProcessEnvironment>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <csignal>
#include <cstring>
#include <memory>
#include <vector>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace secateur;

namespace {

/// What several processes and one may differ by: their sums of f32 gradients run in another order.
constexpr double kRounding = 1e-5;

QByteArray contentsOf(const QString &path)
{
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

/// A port that was free a moment ago.
int freePort()
{
    const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool isBound = ::bind(descriptor, reinterpret_cast<sockaddr *>(&address), size) == 0
        && ::getsockname(descriptor, reinterpret_cast<sockaddr *>(&address), &size) == 0;
    ::close(descriptor);
    return isBound ? ntohs(address.sin_port) : 0;
}

/// ‖a − b‖ / ‖a‖ over all tensors of two files; infinite when their tensors differ.
double relativeDistance(const QString &a, const QString &b)
{
    const SafetensorsFile first(a.toStdString());
    const SafetensorsFile second(b.toStdString());
    double square = 0;
    double distance = 0;
    for (const TensorInfo &info : first.tensors()) {
        const TensorInfo *other = second.find(info.name);
        if (!other || other->shape != info.shape || info.dtype != "F32" || other->dtype != "F32")
            return INFINITY;
        const auto left = first.data(info);
        const auto right = second.data(*other);
        for (std::size_t at = 0; at < left.size(); at += sizeof(float)) {
            float x = 0;
            float y = 0;
            std::memcpy(&x, left.data() + at, sizeof x);
            std::memcpy(&y, right.data() + at, sizeof y);
            square += static_cast<double>(x) * x;
            distance += (static_cast<double>(x) - y) * (static_cast<double>(x) - y);
        }
    }
    return square > 0 ? std::sqrt(distance / square) : INFINITY;
}

bool areClose(const QJsonArray &a, const QJsonArray &b)
{
    bool isClose = a.size() == b.size() && !a.isEmpty();
    for (qsizetype i = 0; isClose && i < a.size(); ++i) {
        const double x = a[i].isObject() ? a[i].toObject()["loss"].toDouble() : a[i].toDouble();
        const double y = b[i].isObject() ? b[i].toObject()["loss"].toDouble() : b[i].toDouble();
        isClose = std::abs(x - y) <= kRounding * std::abs(x);
    }
    return isClose;
}

using Variables = QMap<QString, QString>;

} // namespace

/// Trainings that several processes share.
class TestCliProcesses : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void severalProcessesTrainAsOne_data();
    void severalProcessesTrainAsOne();
    void processesMeetOverTcp();
    void aKilledProcessEndsTheOthers_data();
    void aKilledProcessEndsTheOthers();
    void aProcessThatHangsIsGivenUp();
    void aStopOfOneStopsAllAndTheyGoOnTogether();
    void processesThatDifferAreToldSo();
    void nobodyWaitsForever();
    void aBadEnvironmentIsSaid();
    void aJobFolderTrainsByItself();
    void aJobFolderTakesABundledModelsOwnData();
    void aJobFolderIsNotOverwritten();

private:
    using Crew = std::vector<std::unique_ptr<QProcess>>;

    QString path(const QString &name) const { return m_folder.filePath(name); }
    QStringList training(const QString &kind, const QString &out, int steps, const QString &dropout = "0",
                         int batchTokens = 1500) const
    {
        return {"--json",
                "recover",
                path("tiny"),
                "--data",
                path("data.jsonl"),
                "--kind",
                kind,
                "--steps",
                QString::number(steps),
                "--out",
                path(out),
                "--seed",
                "7",
                "--dtype",
                "f32",
                "--threads",
                "1",
                "--dropout",
                dropout,
                "--batch-tokens",
                QString::number(batchTokens),
                "--held-out",
                "0.2",
                "--held-out-every",
                "5",
                "--checkpoint-steps",
                "5",
                "--learning-rate",
                "0.001"};
    }
    QStringList checkpoints(const QString &out) const
    {
        return QDir(path(out + ".checkpoints")).entryList({"step-*"}, QDir::Dirs, QDir::Name);
    }
    static std::unique_ptr<QProcess> launched(const QStringList &arguments, const Variables &variables)
    {
        auto process = std::make_unique<QProcess>();
        auto environment = QProcessEnvironment::systemEnvironment();
        environment.insert("OMP_NUM_THREADS", "1");
        for (auto it = variables.begin(); it != variables.end(); ++it)
            environment.insert(it.key(), it.value());
        process->setProcessEnvironment(environment);
        process->start(QStringLiteral(SECATEUR_CLI), arguments);
        return process;
    }
    /// \a size processes that meet in a new file.
    Crew crew(int size, const QStringList &arguments, const QString &timeout = "100")
    {
        const QString meeting = path(QStringLiteral("meeting-%1").arg(m_meetings++));
        Crew processes;
        for (int rank = 0; rank < size; ++rank)
            processes.push_back(launched(arguments,
                                         {{"RANK", QString::number(rank)},
                                          {"WORLD_SIZE", QString::number(size)},
                                          {"SECATEUR_RENDEZVOUS", meeting},
                                          {"SECATEUR_PROCESS_TIMEOUT", timeout}}));
        return processes;
    }
    static std::vector<CliResult> finished(const Crew &processes)
    {
        std::vector<CliResult> results;
        for (const auto &process : processes)
            results.push_back(finishedResult(*process, 100'000));
        return results;
    }

    QTemporaryDir m_folder;
    int m_meetings = 0;
};

void TestCliProcesses::initTestCase()
{
    writeTinyModel(path("tiny").toStdString());
    QFile data(path("data.jsonl"));
    QVERIFY(data.open(QIODevice::WriteOnly));
    for (int i = 0; i < 60; ++i)
        data.write(QByteArray(R"({"messages":[{"role":"user","content":"Number )") + QByteArray::number(i)
                   + QByteArray(i % 7 * 9, 'x') + R"("},{"role":"assistant","content":"It is )"
                   + QByteArray::number(i * i) + "\"}]}\n");
}

void TestCliProcesses::severalProcessesTrainAsOne_data()
{
    QTest::addColumn<QString>("kind");
    QTest::addColumn<int>("size");
    QTest::addColumn<int>("batchTokens");
    QTest::addColumn<QStringList>("more");
    QTest::addColumn<QString>("weights");
    const QString adapter = QStringLiteral("adapter_model.safetensors");
    const QString model = QStringLiteral("model.safetensors");
    QTest::newRow("adapter, two") << "lora" << 2 << 1500 << QStringList() << adapter;
    QTest::newRow("adapter, three") << "lora" << 3 << 1500 << QStringList() << adapter;
    QTest::newRow("all weights, two") << "full" << 2 << 1500 << QStringList() << model;
    QTest::newRow("layer drop, two") << "full" << 2 << 1500 << QStringList{"--layer-drop", "0.9"} << model;
    QTest::newRow("fewer samples than processes") << "lora" << 3 << 100 << QStringList() << adapter;
}

void TestCliProcesses::severalProcessesTrainAsOne()
{
    QFETCH(QString, kind);
    QFETCH(int, size);
    QFETCH(int, batchTokens);
    QFETCH(QStringList, more);
    QFETCH(QString, weights);
    const QString tag = QString::fromUtf8(QTest::currentDataTag());
    const auto alone = runCli(training(kind, tag + " alone", 12, "0", batchTokens) + more);
    QVERIFY2(alone.exitCode == 0, alone.text().constData());

    const auto results = finished(crew(size, training(kind, tag + " shared", 12, "0", batchTokens) + more));

    for (const CliResult &result : results) {
        QVERIFY2(result.exitCode == 0, result.text().constData());
        QVERIFY2(result.error.isEmpty(), result.error.constData());
    }
    for (std::size_t rank = 1; rank < results.size(); ++rank)
        QVERIFY(results[rank].output.isEmpty()); // rank 0 speaks for all
    const QJsonObject expected = alone.json();
    const QJsonObject shared = results[0].json();
    QVERIFY2(areClose(expected["losses"].toArray(), shared["losses"].toArray()), results[0].output.constData());
    QVERIFY2(areClose(expected["held_out"].toArray(), shared["held_out"].toArray()), results[0].output.constData());
    const double distance = relativeDistance(path(tag + " alone/" + weights), path(tag + " shared/" + weights));
    QVERIFY2(distance <= kRounding, QByteArray::number(distance).constData());
    QVERIFY(!QDir(path(tag + " shared.checkpoints")).exists());
}

void TestCliProcesses::processesMeetOverTcp()
{
    const QString port = QString::number(freePort());
    Crew processes;
    for (int rank = 0; rank < 2; ++rank)
        processes.push_back(launched(training("lora", "tcp", 2),
                                     {{"OMPI_COMM_WORLD_RANK", QString::number(rank)},
                                      {"OMPI_COMM_WORLD_SIZE", "2"},
                                      {"MASTER_ADDR", "127.0.0.1"},
                                      {"MASTER_PORT", port}}));

    for (const CliResult &result : finished(processes))
        QVERIFY2(result.exitCode == 0, result.text().constData());
    QVERIFY(QFile::exists(path("tcp/adapter_model.safetensors")));
}

void TestCliProcesses::aKilledProcessEndsTheOthers_data()
{
    QTest::addColumn<int>("size");
    QTest::addColumn<int>("victim");
    QTest::newRow("the last") << 2 << 1;
    QTest::newRow("the first") << 2 << 0;
    QTest::newRow("one of three") << 3 << 1;
}

void TestCliProcesses::aKilledProcessEndsTheOthers()
{
    QFETCH(int, size);
    QFETCH(int, victim);
    const QString out = QStringLiteral("killed-%1-%2").arg(size).arg(victim);
    const Crew processes = crew(size, training("lora", out, 100'000));
    QTRY_VERIFY_WITH_TIMEOUT(!checkpoints(out).isEmpty(), 100'000);

    processes[static_cast<std::size_t>(victim)]->kill();
    const auto results = finished(processes);

    for (int rank = 0; rank < size; ++rank) {
        const CliResult &result = results[static_cast<std::size_t>(rank)];
        QCOMPARE(result.crashed, rank == victim);
        if (rank == victim)
            continue;
        QCOMPARE(result.exitCode, 1);
        QVERIFY2(result.error.contains("lost the others") && result.error.contains("The weights after step"),
                 result.text().constData());
        QCOMPARE(result.error.count('\n'), 1); // one sentence
    }
    QVERIFY(!checkpoints(out).isEmpty());
    QVERIFY(QFile::exists(path(out + ".checkpoints/" + checkpoints(out).last() + "/checkpoint.json")));
}

void TestCliProcesses::aProcessThatHangsIsGivenUp()
{
    const Crew processes = crew(2, training("lora", "hanging", 100'000), "10");
    QTRY_VERIFY_WITH_TIMEOUT(!checkpoints("hanging").isEmpty(), 100'000);

    ::kill(static_cast<pid_t>(processes[1]->processId()), SIGSTOP);
    const CliResult result = finishedResult(*processes[0], 100'000);
    processes[1]->kill();
    processes[1]->waitForFinished();

    QCOMPARE(result.exitCode, 1);
    QVERIFY2(result.error.contains("did not answer within 10 s"), result.text().constData());
    QCOMPARE(result.error.count('\n'), 1);
}

void TestCliProcesses::aStopOfOneStopsAllAndTheyGoOnTogether()
{
    constexpr int kSteps = 150;
    const QString dropout = QStringLiteral("0.1");
    for (const CliResult &result : finished(crew(2, training("lora", "unstopped", kSteps, dropout))))
        QVERIFY2(result.exitCode == 0, result.text().constData());
    const Crew processes = crew(2, training("lora", "stopped", kSteps, dropout));
    QTRY_VERIFY_WITH_TIMEOUT(!checkpoints("stopped").isEmpty(), 100'000);

    processes[1]->terminate();
    const auto results = finished(processes);

    QCOMPARE(results[0].exitCode, 3);
    QCOMPARE(results[1].exitCode, 3);
    QVERIFY(results[1].output.isEmpty() && results[1].error.isEmpty());
    const int done = results[0].json()["steps"].toInt();
    QCOMPARE(checkpoints("stopped"), QStringList{QStringLiteral("step-%1").arg(done, 6, 10, QLatin1Char('0'))});
    for (const CliResult &result : finished(crew(2, {"--json", "recover", "--resume", path("stopped")})))
        QVERIFY2(result.exitCode == 0, result.text().constData());
    QVERIFY(contentsOf(path("stopped/adapter_model.safetensors"))
            == contentsOf(path("unstopped/adapter_model.safetensors")));
}

void TestCliProcesses::processesThatDifferAreToldSo()
{
    const QString meeting = path(QStringLiteral("meeting-%1").arg(m_meetings++));
    Crew processes;
    for (int rank = 0; rank < 2; ++rank)
        processes.push_back(
            launched(training("lora", "different", rank == 0 ? 3 : 4),
                     {{"RANK", QString::number(rank)}, {"WORLD_SIZE", "2"}, {"SECATEUR_RENDEZVOUS", meeting}}));

    for (const CliResult &result : finished(processes)) {
        QCOMPARE(result.exitCode, 1);
        QVERIFY2(result.error.contains("started with different options, data or checkpoints"),
                 result.text().constData());
    }
    QVERIFY(!QDir(path("different")).exists());
}

void TestCliProcesses::nobodyWaitsForever()
{
    Crew processes;
    for (const QString rank : {"0", "1"})
        processes.push_back(launched(training("lora", "lonely", 3),
                                     {{"RANK", rank},
                                      {"WORLD_SIZE", "3"},
                                      {"MASTER_ADDR", "127.0.0.1"},
                                      {"MASTER_PORT", QString::number(freePort())},
                                      {"SECATEUR_PROCESS_TIMEOUT", "0.5"}}));

    for (const CliResult &result : finished(processes)) {
        QCOMPARE(result.exitCode, 1);
        QVERIFY2(result.error.contains("did not find the others at 127.0.0.1:"), result.text().constData());
        QCOMPARE(result.error.count('\n'), 1);
    }
    const CliResult nowhere = finishedResult(
        *launched(training("lora", "lonely", 3),
                  {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"SECATEUR_RENDEZVOUS", path("no folder/meeting")}}),
        100'000);
    QCOMPARE(nowhere.exitCode, 1);
    QVERIFY2(nowhere.error.contains("did not find the others"), nowhere.text().constData());
}

void TestCliProcesses::aBadEnvironmentIsSaid()
{
    const CliResult rank
        = finishedResult(*launched(training("lora", "bad", 3), {{"RANK", "2"}, {"WORLD_SIZE", "2"}}), 100'000);
    QCOMPARE(rank.exitCode, 1);
    QVERIFY2(rank.error.contains("RANK is 2, but must be below WORLD_SIZE"), rank.text().constData());
    const CliResult place = finishedResult(
        *launched(training("lora", "bad", 3), {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}}), 100'000);
    QCOMPARE(place.exitCode, 1);
    QVERIFY2(place.error.contains("neither MASTER_ADDR nor SECATEUR_RENDEZVOUS"), place.text().constData());
    QCOMPARE(place.error.count('\n'), 1);
}

void TestCliProcesses::aJobFolderTrainsByItself()
{
    const QString folder = path("job's folder");
    QStringList arguments = training("lora", "unused", 2) + QStringList{"--job-folder", folder};
    const CliResult written = runCli(arguments);
    QVERIFY2(written.exitCode == 0, written.text().constData());
    QCOMPARE(written.json()["out"].toString(), folder + "/out");
    QVERIFY(!QDir(path("unused")).exists());
    QCOMPARE(contentsOf(folder + "/data.jsonl"), contentsOf(path("data.jsonl")));
    for (const char *script : {"recover.sh", "job.sbatch"})
        QCOMPARE(QProcess::execute("bash", {"-n", folder + "/" + script}), 0);

    QProcess process;
    auto environment = QProcessEnvironment::systemEnvironment();
    environment.insert("PROCESSES", "2");
    process.setProcessEnvironment(environment);
    process.start(folder + "/recover.sh", QStringList());
    const CliResult trained = finishedResult(process, 100'000);

    QVERIFY2(trained.exitCode == 0, trained.text().constData());
    QVERIFY2(trained.output.contains("LoRA, 2 steps on data.jsonl"), trained.text().constData());
    const auto alone = runCli(training("lora", "without a job", 2));
    QVERIFY2(alone.exitCode == 0, alone.text().constData());
    QVERIFY(relativeDistance(path("without a job/adapter_model.safetensors"), folder + "/out/adapter_model.safetensors")
            <= kRounding);
}

void TestCliProcesses::aJobFolderTakesABundledModelsOwnData()
{
    const QString folder = path("bundled");
    const CliResult written = runCli(
        {"recover", "bundled:mini-think", "--data", "bundled", "--out", path("unused"), "--job-folder", folder});
    QVERIFY2(written.exitCode == 0, written.text().constData());
    const QByteArray own = contentsOf(qEnvironmentVariable("SECATEUR_RESOURCES") + "/calibration/mini-think.jsonl");
    QVERIFY(!own.isEmpty());
    QCOMPARE(contentsOf(folder + "/data.jsonl"), own);
}

void TestCliProcesses::aJobFolderIsNotOverwritten()
{
    const QString folder = path("twice");
    const QStringList arguments = training("lora", "unused", 2) + QStringList{"--job-folder", folder};
    QCOMPARE(runCli(arguments).exitCode, 0);
    const QByteArray before = contentsOf(folder + "/options.json");

    const CliResult again = runCli(arguments + QStringList{"--rank", "3"});

    QCOMPARE(again.exitCode, 1);
    QVERIFY2(again.error.contains("is not empty"), again.text().constData());
    QCOMPARE(contentsOf(folder + "/options.json"), before);
}

QTEST_GUILESS_MAIN(TestCliProcesses)
#include "tst_cli_processes.moc"
