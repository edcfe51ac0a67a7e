#include "backend/jobs/job_runner.h"

#include <QElapsedTimer>
#include <QScopeGuard>
#include <QSignalSpy>
#include <QTest>
#include <QThread>

#include <atomic>
#include <semaphore>
#include <stdexcept>

using namespace secateur;

namespace {

JobStatus lastStatus(const QSignalSpy &spy)
{
    return spy.last().at(0).value<JobStatus>();
}

std::vector<JobStatus::State> statesOf(const QSignalSpy &spy, int id)
{
    std::vector<JobStatus::State> states;
    for (const auto &arguments : spy) {
        const auto status = arguments.at(0).value<JobStatus>();
        if (status.id == id && (states.empty() || states.back() != status.state))
            states.push_back(status.state);
    }
    return states;
}

} // namespace

class TestJobRunner : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void resultArrivesInGuiThread();
    void failureBecomesErrorInfo_data();
    void failureBecomesErrorInfo();
    void jobsRunInTheOrderOfSubmission();
    void cancelStopsAtNextCheckpoint();
    void cancelledWaitingJobNeverRuns();
    void cancelAllEndsRunningAndWaitingJobs();
    void pausedJobWaitsUntilItMayGoOn();
    void pausedJobCanBeCancelled();
    void progressIsCoalesced();
    void noticesArriveInOrder();
    void statusTellsStatesAndElapsedTime();
    void busyChangesOnceForABatchOfJobs();
    void deadReceiverIsSkipped();
    void destructionDuringAJobJoins();
    void capturesDieOnTheComputeThread();
    void hooksRunOnTheComputeThread();
};

void TestJobRunner::resultArrivesInGuiThread()
{
    JobRunner runner;
    QThread *workThread = nullptr;
    QThread *doneThread = nullptr;
    int value = 0;

    runner.submit<int>(
        QStringLiteral("Answer"), QString(), this,
        [&workThread](const JobContext &) {
            workThread = QThread::currentThread();
            return 42;
        },
        [&](Outcome<int> outcome) {
            doneThread = QThread::currentThread();
            value = *std::get<0>(outcome);
        });

    QTRY_COMPARE(value, 42);
    QCOMPARE(doneThread, QThread::currentThread());
    QVERIFY(workThread != QThread::currentThread());
    QVERIFY(!runner.isBusy());
}

void TestJobRunner::failureBecomesErrorInfo_data()
{
    QTest::addColumn<int>("what");
    QTest::addColumn<int>("kind");
    QTest::addColumn<QString>("message");
    QTest::newRow("project error") << 0 << int(ErrorKind::NotFound) << QStringLiteral("File 'x' is missing.");
    QTest::newRow("std exception") << 1 << int(ErrorKind::Internal) << QStringLiteral("odd");
    QTest::newRow("out of memory") << 2 << int(ErrorKind::OutOfMemory) << QStringLiteral("memory");
    QTest::newRow("not an exception") << 3 << int(ErrorKind::Internal) << QStringLiteral("unknown");
}

void TestJobRunner::failureBecomesErrorInfo()
{
    QFETCH(int, what);
    QFETCH(int, kind);
    QFETCH(QString, message);
    JobRunner runner;
    QSignalSpy changed(&runner, &JobRunner::jobChanged);
    std::optional<ErrorInfo> error;

    runner.submit<int>(
        QStringLiteral("Fails"), QString(), this,
        [what](const JobContext &) -> int {
            if (what == 0)
                throw Error(ErrorKind::NotFound, "File 'x' is missing.", "Look elsewhere.");
            if (what == 1)
                throw std::runtime_error("odd");
            if (what == 2)
                throw std::bad_alloc();
            throw 7;
        },
        [&error](Outcome<int> outcome) { error = std::get<ErrorInfo>(outcome); });

    QTRY_VERIFY(error.has_value());
    QCOMPARE(int(error->kind), kind);
    QVERIFY(QString::fromStdString(error->message).contains(message));
    QCOMPARE(lastStatus(changed).state, JobStatus::State::Failed);
    QCOMPARE(lastStatus(changed).message, QString::fromStdString(error->message));
}

void TestJobRunner::jobsRunInTheOrderOfSubmission()
{
    JobRunner runner;
    QList<int> ran;
    QList<int> done;

    for (int number = 0; number < 5; ++number) {
        runner.submit<int>(
            QStringLiteral("Job"), QString(), this,
            [number, &ran](const JobContext &) {
                ran.append(number);
                return number;
            },
            [&done](Outcome<int> outcome) { done.append(*std::get<0>(outcome)); });
    }

    QTRY_VERIFY(!runner.isBusy());
    QCOMPARE(ran, QList<int>({0, 1, 2, 3, 4}));
    QCOMPARE(done, ran);
}

void TestJobRunner::cancelStopsAtNextCheckpoint()
{
    JobRunner runner;
    QSignalSpy changed(&runner, &JobRunner::jobChanged);
    std::binary_semaphore started{0};
    std::binary_semaphore proceed{0};
    bool cancelled = false;
    int next = 0;

    const int id = runner.submit<int>(
        QStringLiteral("Long"), QString(), this,
        [&](const JobContext &context) {
            started.release();
            proceed.acquire();
            context.checkpoint({"test.step", 1, 2});
            return 1;
        },
        [&](Outcome<int> outcome) { cancelled = std::holds_alternative<CancelledTag>(outcome); });
    started.acquire();
    runner.cancel(id);
    proceed.release();

    QTRY_VERIFY(cancelled);
    QCOMPARE(lastStatus(changed).state, JobStatus::State::Cancelled);
    const auto states = statesOf(changed, id);
    QVERIFY(std::find(states.begin(), states.end(), JobStatus::State::Stopping) != states.end());

    runner.submit<int>(
        QStringLiteral("Next"), QString(), this, [](const JobContext &) { return 5; },
        [&next](Outcome<int> outcome) { next = *std::get<0>(outcome); });
    QTRY_COMPARE(next, 5);
}

void TestJobRunner::cancelledWaitingJobNeverRuns()
{
    std::binary_semaphore proceed{0};
    JobRunner runner;
    const auto releaseAtLatest = qScopeGuard([&proceed] { proceed.release(); }); // a failed check must not hang
    QSignalSpy changed(&runner, &JobRunner::jobChanged);
    std::atomic_bool ran = false;
    bool cancelled = false;
    bool firstDone = false;

    runner.submit<int>(
        QStringLiteral("First"), QString(), this,
        [&](const JobContext &) {
            proceed.acquire();
            return 1;
        },
        [&](Outcome<int> outcome) { firstDone = outcome.index() == 0; });
    QTRY_COMPARE(lastStatus(changed).state, JobStatus::State::Running);
    const int waiting = runner.submit<int>(
        QStringLiteral("Second"), QString(), this,
        [&](const JobContext &) {
            ran = true;
            return 2;
        },
        [&](Outcome<int> outcome) { cancelled = std::holds_alternative<CancelledTag>(outcome); });
    runner.cancel(waiting);

    QTRY_VERIFY(cancelled); // while the first one still runs
    QVERIFY(!firstDone);
    QCOMPARE(lastStatus(changed).id, waiting);
    QCOMPARE(lastStatus(changed).state, JobStatus::State::Cancelled);
    QVERIFY(runner.isBusy());

    proceed.release();
    QTRY_VERIFY(firstDone);
    QVERIFY(!ran);
    QVERIFY(!runner.isBusy());
}

void TestJobRunner::cancelAllEndsRunningAndWaitingJobs()
{
    JobRunner runner;
    std::binary_semaphore started{0};
    std::binary_semaphore proceed{0};
    int cancelled = 0;
    const auto count = [&cancelled](Outcome<int> outcome) { cancelled += int(outcome.index() == 1); };

    runner.submit<int>(
        QStringLiteral("Running"), QString(), this,
        [&](const JobContext &context) {
            started.release();
            proceed.acquire();
            context.checkpoint({"test.step", 0, 0});
            return 1;
        },
        count);
    for (int number = 0; number < 3; ++number)
        runner.submit<int>(
            QStringLiteral("Waiting"), QString(), this, [](const JobContext &) { return 2; }, count);
    started.acquire();
    runner.cancelAll();
    proceed.release();

    QTRY_COMPARE(cancelled, 4);
    QVERIFY(!runner.isBusy());
}

void TestJobRunner::pausedJobWaitsUntilItMayGoOn()
{
    JobRunner runner;
    QSignalSpy changes(&runner, &JobRunner::jobChanged);
    std::binary_semaphore free(0);
    std::atomic<bool> mayGoOn = false;
    bool wentOnInTime = false;
    runner.submit<int>(
        QStringLiteral("First"), QString(), this,
        [&free](const JobContext &) {
            free.acquire();
            return 0;
        },
        [](Outcome<int>) {});
    const int id = runner.submit<bool>(
        QStringLiteral("Second"), QString(), this,
        [&mayGoOn](const JobContext &context) {
            context.checkpoint({"step", 1, 2});
            return mayGoOn.load();
        },
        [&](Outcome<bool> outcome) { wentOnInTime = *std::get<0>(outcome); });
    runner.setPaused(id, true);
    QVERIFY(lastStatus(changes).isPaused);
    free.release();
    // its progress is on the way before it waits
    QTRY_VERIFY(lastStatus(changes).id == id && lastStatus(changes).progress.done == 1);
    QVERIFY(runner.isBusy());
    mayGoOn = true;
    runner.setPaused(id, false);
    QVERIFY(!lastStatus(changes).isPaused);
    QTRY_VERIFY(!runner.isBusy());
    QVERIFY(wentOnInTime);
}

void TestJobRunner::pausedJobCanBeCancelled()
{
    JobRunner runner;
    bool wasCancelled = false;
    std::binary_semaphore started(0);
    const int id = runner.submit<int>(
        QStringLiteral("Job"), QString(), this,
        [&started](const JobContext &context) {
            started.release();
            while (true)
                context.checkpoint({});
            return 0;
        },
        [&](Outcome<int> outcome) { wasCancelled = std::holds_alternative<CancelledTag>(outcome); });
    started.acquire();
    runner.setPaused(id, true);
    runner.cancel(id);
    QTRY_VERIFY(!runner.isBusy());
    QVERIFY(wasCancelled);
}

void TestJobRunner::progressIsCoalesced()
{
    JobRunner runner;
    QSignalSpy changed(&runner, &JobRunner::jobChanged);
    bool done = false;
    constexpr int kReports = 100'000;

    runner.submit<int>(
        QStringLiteral("Chatty"), QString(), this,
        [](const JobContext &context) {
            for (int step = 1; step <= kReports; ++step)
                context.checkpoint({"test.step", step, kReports});
            return 1;
        },
        [&done](Outcome<int>) { done = true; });

    QTRY_VERIFY(done);
    QVERIFY2(changed.count() < kReports / 10, qPrintable(QString::number(changed.count())));
    QCOMPARE(lastStatus(changed).progress.done, std::int64_t(kReports)); // the latest value is never lost
    QCOMPARE(lastStatus(changed).state, JobStatus::State::Done);
}

void TestJobRunner::noticesArriveInOrder()
{
    JobRunner runner;
    QSignalSpy noticed(&runner, &JobRunner::noticed);
    bool done = false;

    runner.submit<int>(
        QStringLiteral("Tells"), QString(), this,
        [](const JobContext &context) {
            context.notice("The batch was reduced.");
            context.notice("And again.");
            return 1;
        },
        [&](Outcome<int>) { done = noticed.size() == 2; });

    QTRY_COMPARE(noticed.size(), 2);
    QTRY_VERIFY(done); // before the result
    QCOMPARE(noticed[0][0].toString(), QStringLiteral("The batch was reduced."));
    QCOMPARE(noticed[1][0].toString(), QStringLiteral("And again."));
}

void TestJobRunner::statusTellsStatesAndElapsedTime()
{
    JobRunner runner;
    QSignalSpy changed(&runner, &JobRunner::jobChanged);
    std::binary_semaphore proceed{0};
    bool done = false;

    const int id = runner.submit<int>(
        QStringLiteral("Timed"), QStringLiteral("tiny-llama"), this,
        [&](const JobContext &) {
            proceed.acquire();
            return 1;
        },
        [&done](Outcome<int>) { done = true; });
    QCOMPARE(lastStatus(changed).state, JobStatus::State::Waiting);
    QTRY_COMPARE(lastStatus(changed).state, JobStatus::State::Running);
    QElapsedTimer timer;
    timer.start();
    QTRY_VERIFY(timer.elapsed() >= 20);
    proceed.release();

    QTRY_VERIFY(done);
    QCOMPARE(lastStatus(changed).id, id);
    QCOMPARE(lastStatus(changed).title, QStringLiteral("Timed"));
    QCOMPARE(lastStatus(changed).subject, QStringLiteral("tiny-llama"));
    QVERIFY(lastStatus(changed).elapsedMs >= 20);
    const std::vector<JobStatus::State> expected{JobStatus::State::Waiting, JobStatus::State::Running,
                                                 JobStatus::State::Done};
    QVERIFY(statesOf(changed, id) == expected);
}

void TestJobRunner::busyChangesOnceForABatchOfJobs()
{
    JobRunner runner;
    QSignalSpy busy(&runner, &JobRunner::busyChanged);

    for (int number = 0; number < 3; ++number)
        runner.submit<int>(
            QStringLiteral("Job"), QString(), this, [](const JobContext &) { return 1; }, [](Outcome<int>) {});

    QTRY_COMPARE(busy.count(), 2);
    QCOMPARE(busy.at(0).at(0).toBool(), true);
    QCOMPARE(busy.at(1).at(0).toBool(), false);
}

void TestJobRunner::deadReceiverIsSkipped()
{
    JobRunner runner;
    std::binary_semaphore proceed{0};
    auto receiver = std::make_unique<QObject>();
    bool called = false;

    runner.submit<int>(
        QStringLiteral("Orphan"), QString(), receiver.get(),
        [&](const JobContext &) {
            proceed.acquire();
            return 1;
        },
        [&called](Outcome<int>) { called = true; });
    receiver.reset();
    proceed.release();

    QTRY_VERIFY(!runner.isBusy());
    QVERIFY(!called);
}

void TestJobRunner::destructionDuringAJobJoins()
{
    std::binary_semaphore started{0};
    std::atomic_bool left = false;
    bool called = false;
    auto runner = std::make_unique<JobRunner>();

    runner->submit<int>(
        QStringLiteral("Endless"), QString(), this,
        [&](const JobContext &context) {
            started.release();
            try {
                while (true)
                    context.checkpoint({"test.spin", 0, 0});
            } catch (const Cancelled &) {
                left = true;
                throw;
            }
            return 1;
        },
        [&called](Outcome<int>) { called = true; });
    runner->submit<int>(
        QStringLiteral("Queued"), QString(), this, [](const JobContext &) { return 2; },
        [&called](Outcome<int>) { called = true; });
    started.acquire();
    runner.reset();

    QVERIFY(left);
    QCoreApplication::processEvents();
    QVERIFY(!called);
}

void TestJobRunner::capturesDieOnTheComputeThread()
{
    struct Probe {
        std::atomic<QThread *> *died;
        ~Probe() { *died = QThread::currentThread(); }
    };
    JobRunner runner;
    std::atomic<QThread *> died = nullptr;
    std::binary_semaphore proceed{0};
    bool cancelled = false;

    runner.submit<int>(
        QStringLiteral("First"), QString(), this,
        [&](const JobContext &) {
            proceed.acquire();
            return 1;
        },
        [](Outcome<int>) {});
    auto probe = std::make_shared<Probe>(Probe{&died});
    died = nullptr; // the temporary above has died, too
    const int id = runner.submit<int>(
        QStringLiteral("Dropped"), QString(), this, [probe](const JobContext &) { return int(probe.use_count()); },
        [&cancelled](Outcome<int> outcome) { cancelled = outcome.index() == 1; });
    probe.reset();
    runner.cancel(id);
    proceed.release();

    QTRY_VERIFY(cancelled);
    QTRY_VERIFY(died.load() != nullptr);
    QVERIFY(died.load() != QThread::currentThread());
}

void TestJobRunner::hooksRunOnTheComputeThread()
{
    QThread *started = nullptr;
    QThread *stopping = nullptr;
    QThread *worked = nullptr;
    bool done = false;
    {
        JobRunner runner(
            {[&started] { started = QThread::currentThread(); }, [&stopping] { stopping = QThread::currentThread(); }});
        runner.submit<int>(
            QStringLiteral("Job"), QString(), this,
            [&worked](const JobContext &) {
                worked = QThread::currentThread();
                return 1;
            },
            [&done](Outcome<int>) { done = true; });
        QTRY_VERIFY(done);
        QVERIFY(stopping == nullptr);
    }

    QVERIFY(worked != nullptr);
    QVERIFY(worked != QThread::currentThread());
    QCOMPARE(started, worked);
    QCOMPARE(stopping, worked);
}

QTEST_GUILESS_MAIN(TestJobRunner)
#include "tst_job_runner.moc"
