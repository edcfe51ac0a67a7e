#include "backend/core/process_settings.h"
#include "tests/support/thrown_by.h"

#include <QTest>

#include <map>

using namespace secateur;

namespace {

using Variables = std::map<std::string, std::string>;

std::optional<ProcessSettings> settingsOf(const Variables &variables)
{
    return processSettings([&](const std::string &name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::string() : found->second;
    });
}

} // namespace

/// What launchers write into the environment.
class TestProcessSettings : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void aProcessWithoutALauncherIsAlone();
    void launchersAreUnderstood_data();
    void launchersAreUnderstood();
    void mpirunWinsOverTheSlurmJobAroundIt();
    void torchrunHoldsThePort();
    void badEnvironmentsAreRefused_data();
    void badEnvironmentsAreRefused();
};

void TestProcessSettings::aProcessWithoutALauncherIsAlone()
{
    QVERIFY(!settingsOf({}));
    QVERIFY(!settingsOf({{"MASTER_ADDR", "node"}}));
    QVERIFY(!settingsOf({{"RANK", "0"}, {"WORLD_SIZE", "1"}}));
    QVERIFY(!settingsOf({{"WORLD_SIZE", "1"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}));
}

void TestProcessSettings::launchersAreUnderstood_data()
{
    QTest::addColumn<QString>("rank");
    QTest::addColumn<QString>("size");
    QTest::addColumn<QString>("localRank");
    QTest::newRow("torchrun") << "RANK"
                              << "WORLD_SIZE"
                              << "LOCAL_RANK";
    QTest::newRow("Open MPI") << "OMPI_COMM_WORLD_RANK"
                              << "OMPI_COMM_WORLD_SIZE"
                              << "OMPI_COMM_WORLD_LOCAL_RANK";
    QTest::newRow("PMI") << "PMI_RANK"
                         << "PMI_SIZE"
                         << "MPI_LOCALRANKID";
    QTest::newRow("Slurm") << "SLURM_PROCID"
                           << "SLURM_NTASKS"
                           << "SLURM_LOCALID";
}

void TestProcessSettings::launchersAreUnderstood()
{
    QFETCH(QString, rank);
    QFETCH(QString, size);
    QFETCH(QString, localRank);

    const auto settings = settingsOf({{rank.toStdString(), "5"},
                                      {size.toStdString(), "8"},
                                      {localRank.toStdString(), "1"},
                                      {"MASTER_ADDR", "node7"},
                                      {"MASTER_PORT", "12345"},
                                      {"SECATEUR_PROCESS_TIMEOUT", "2.5"}});

    QVERIFY(settings);
    QCOMPARE(settings->rank, 5);
    QCOMPARE(settings->size, 8);
    QCOMPARE(settings->localRank, 1);
    QCOMPARE(settings->address, std::string("node7"));
    QCOMPARE(settings->port, 12345);
    QCOMPARE(settings->timeoutSeconds, 2.5);
    QVERIFY(!settings->launcherListens);
}

void TestProcessSettings::mpirunWinsOverTheSlurmJobAroundIt()
{
    const auto settings = settingsOf({{"OMPI_COMM_WORLD_RANK", "1"},
                                      {"OMPI_COMM_WORLD_SIZE", "2"},
                                      {"SLURM_PROCID", "0"},
                                      {"SLURM_NTASKS", "16"},
                                      {"SECATEUR_RENDEZVOUS", "/shared/meet"}});

    QVERIFY(settings);
    QCOMPARE(settings->rank, 1);
    QCOMPARE(settings->size, 2);
    QCOMPARE(settings->file.string(), std::string("/shared/meet"));
    QCOMPARE(settings->timeoutSeconds, 600.0);
}

void TestProcessSettings::torchrunHoldsThePort()
{
    const auto settings = settingsOf({{"RANK", "0"},
                                      {"WORLD_SIZE", "2"},
                                      {"LOCAL_WORLD_SIZE", "2"},
                                      {"MASTER_ADDR", "localhost"},
                                      {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                      {"TORCHELASTIC_RESTART_COUNT", "3"}});

    QVERIFY(settings && settings->launcherListens);
    QCOMPARE(settings->attempt, 3);
    QCOMPARE(settings->localSize, 2);
    QCOMPARE(settings->port, 29500);
}

void TestProcessSettings::badEnvironmentsAreRefused_data()
{
    QTest::addColumn<QString>("changed");
    QTest::addColumn<QString>("value");
    QTest::addColumn<QString>("sentence");
    QTest::newRow("rank too high") << "RANK"
                                   << "2"
                                   << "RANK is 2, but must be below WORLD_SIZE, which is 2";
    QTest::newRow("rank no number") << "RANK"
                                    << "1x"
                                    << "RANK is '1x', but must be a whole number of at least 0";
    QTest::newRow("rank negative") << "RANK"
                                   << "-1"
                                   << "RANK is '-1', but must be a whole number of at least 0";
    QTest::newRow("rank missing") << "RANK"
                                  << ""
                                  << "WORLD_SIZE is 2, but RANK is not set";
    QTest::newRow("size missing") << "WORLD_SIZE"
                                  << ""
                                  << "RANK is set, but WORLD_SIZE is not";
    QTest::newRow("size zero") << "WORLD_SIZE"
                               << "0"
                               << "WORLD_SIZE is '0', but must be a whole number of at least 1";
    QTest::newRow("nowhere to meet") << "MASTER_ADDR"
                                     << ""
                                     << "neither MASTER_ADDR nor SECATEUR_RENDEZVOUS";
    QTest::newRow("port no number") << "MASTER_PORT"
                                    << "http"
                                    << "MASTER_PORT is 'http'";
    QTest::newRow("port too high") << "MASTER_PORT"
                                   << "70000"
                                   << "MASTER_PORT is 70000, but must be at most 65535";
    QTest::newRow("time limit") << "SECATEUR_PROCESS_TIMEOUT"
                                << "soon"
                                << "SECATEUR_PROCESS_TIMEOUT is 'soon'";
    QTest::newRow("no time limit") << "SECATEUR_PROCESS_TIMEOUT"
                                   << "inf"
                                   << "SECATEUR_PROCESS_TIMEOUT is 'inf'";
}

void TestProcessSettings::badEnvironmentsAreRefused()
{
    QFETCH(QString, changed);
    QFETCH(QString, value);
    QFETCH(QString, sentence);
    Variables variables{{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "127.0.0.1"}};
    variables[changed.toStdString()] = value.toStdString();

    const ErrorInfo error = thrownBy([&] { settingsOf(variables); });

    QCOMPARE(error.kind, ErrorKind::InvalidArgument);
    QVERIFY2(says(error, sentence.toStdString()), error.message.c_str());
}

QTEST_GUILESS_MAIN(TestProcessSettings)
#include "tst_process_settings.moc"
