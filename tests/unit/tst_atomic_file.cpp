#include "backend/io/atomic_file.h"
#include "backend/io/mapped_file.h"
#include "tests/support/error_mentions.h"

#include <QTemporaryDir>
#include <QTest>

#include <algorithm>
#include <csignal>
#include <sys/resource.h>

using namespace secateur;
namespace fs = std::filesystem;

class TestAtomicFile : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void commitReplacesTheOldContents();
    void withoutCommitTheOldFileStays();
    void aFullDiskLeavesTheOldFile();
    void aLinkStaysALink();
    void permissionsOfTheOldFileStay();
    void impossibleTargetsAreRefused_data();
    void impossibleTargetsAreRefused();
    void folderAppearsOnCommitOnly();
    void folderReplacesTheOldOne();
    void abandonedFolderLeavesNothing();
    void folderDoesNotReplaceAFile();
    void readingRefuses_data();
    void readingRefuses();
    void mappingGivesTheBytes();
    void mappingRefusesRangesOutside_data();
    void mappingRefusesRangesOutside();
    void mappingOfAnEmptyFileIsEmpty();

private:
    int entries() const
    {
        return static_cast<int>(std::distance(fs::directory_iterator(m_path), fs::directory_iterator()));
    }

    std::unique_ptr<QTemporaryDir> m_folder;
    fs::path m_path;
};

void TestAtomicFile::init()
{
    m_folder = std::make_unique<QTemporaryDir>();
    QVERIFY(m_folder->isValid());
    m_path = m_folder->path().toStdString();
}

void TestAtomicFile::commitReplacesTheOldContents()
{
    writeFileAtomically(m_path / "a.txt", "old");

    writeFileAtomically(m_path / "a.txt", "new");

    QCOMPARE(readTextFile(m_path / "a.txt"), std::string("new"));
    QCOMPARE(entries(), 1);
}

void TestAtomicFile::withoutCommitTheOldFileStays()
{
    writeFileAtomically(m_path / "a.txt", "old");
    {
        AtomicFile file(m_path / "a.txt");
        file.write("half of the n");
        QVERIFY(fs::exists(file.temporaryPath()));
    }
    QCOMPARE(readTextFile(m_path / "a.txt"), std::string("old"));
    QCOMPARE(entries(), 1);
}

void TestAtomicFile::aFullDiskLeavesTheOldFile()
{
    writeFileAtomically(m_path / "a.txt", "old");
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before = {};
    QCOMPARE(getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit small = before;
    small.rlim_cur = 1000;
    QCOMPARE(setrlimit(RLIMIT_FSIZE, &small), 0);

    const auto error = errorOf([this] { writeFileAtomically(m_path / "a.txt", std::string(5000, 'x')); });

    QCOMPARE(setrlimit(RLIMIT_FSIZE, &before), 0);
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::Io);
    QVERIFY(mentions(*error, "a.txt"));
    QCOMPARE(readTextFile(m_path / "a.txt"), std::string("old"));
    QCOMPARE(entries(), 1);
}

void TestAtomicFile::aLinkStaysALink()
{
    writeFileAtomically(m_path / "real.txt", "old");
    fs::create_symlink("real.txt", m_path / "link.txt");

    writeFileAtomically(m_path / "link.txt", "new");

    QVERIFY(fs::is_symlink(m_path / "link.txt"));
    QCOMPARE(readTextFile(m_path / "real.txt"), std::string("new"));
}

void TestAtomicFile::permissionsOfTheOldFileStay()
{
    writeFileAtomically(m_path / "a.txt", "old");
    fs::permissions(m_path / "a.txt", fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);

    writeFileAtomically(m_path / "a.txt", "new");

    QCOMPARE(fs::status(m_path / "a.txt").permissions(),
             fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
}

void TestAtomicFile::impossibleTargetsAreRefused_data()
{
    QTest::addColumn<QString>("target");
    QTest::newRow("a folder") << QStringLiteral(".");
    QTest::newRow("in no folder") << QStringLiteral("missing/a.txt");
    QTest::newRow("nameless") << QStringLiteral("folder/");
}

void TestAtomicFile::impossibleTargetsAreRefused()
{
    QFETCH(QString, target);
    const auto error = errorOf([&] { AtomicFile file(m_path / target.toStdString()); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::Io);
    QCOMPARE(entries(), 0);
}

void TestAtomicFile::folderAppearsOnCommitOnly()
{
    AtomicFolder folder(m_path / "deep" / "model");
    writeFileAtomically(folder.path() / "config.json", "{}");
    QVERIFY(!fs::exists(m_path / "deep" / "model"));

    folder.commit();

    QCOMPARE(readTextFile(m_path / "deep" / "model" / "config.json"), std::string("{}"));
}

void TestAtomicFile::folderReplacesTheOldOne()
{
    fs::create_directory(m_path / "model");
    writeFileAtomically(m_path / "model" / "old.txt", "old");

    AtomicFolder folder(m_path / "model");
    writeFileAtomically(folder.path() / "new.txt", "new");
    QVERIFY(fs::exists(m_path / "model" / "old.txt"));
    folder.commit();

    QVERIFY(!fs::exists(m_path / "model" / "old.txt"));
    QCOMPARE(readTextFile(m_path / "model" / "new.txt"), std::string("new"));
    QCOMPARE(entries(), 1);
}

void TestAtomicFile::abandonedFolderLeavesNothing()
{
    {
        AtomicFolder folder(m_path / "model");
        writeFileAtomically(folder.path() / "half.txt", "half");
    }
    QCOMPARE(entries(), 0);
}

void TestAtomicFile::folderDoesNotReplaceAFile()
{
    writeFileAtomically(m_path / "model", "a file");
    const auto error = errorOf([this] { AtomicFolder folder(m_path / "model"); });
    QVERIFY(error);
    QVERIFY(mentions(*error, "model"));
    QCOMPARE(readTextFile(m_path / "model"), std::string("a file"));
}

void TestAtomicFile::readingRefuses_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<int>("kind");
    QTest::newRow("missing file") << QStringLiteral("missing.txt") << int(ErrorKind::NotFound);
    QTest::newRow("folder") << QStringLiteral(".") << int(ErrorKind::Io);
    QTest::newRow("beyond the limit") << QStringLiteral("big.txt") << int(ErrorKind::BadFormat);
}

void TestAtomicFile::readingRefuses()
{
    QFETCH(QString, name);
    QFETCH(int, kind);
    writeFileAtomically(m_path / "big.txt", std::string(101, 'x'));

    const auto error = errorOf([&] { readTextFile(m_path / name.toStdString(), 100); });

    QVERIFY(error);
    QCOMPARE(int(error->kind), kind);
    QVERIFY(mentions(*error, name.toStdString()));
}

void TestAtomicFile::mappingGivesTheBytes()
{
    writeFileAtomically(m_path / "a.bin", std::string(10000, 'x') + "tail");
    const MappedFile file(m_path / "a.bin");
    QCOMPARE(file.size(), std::uint64_t(10004));

    const MappedFile copy = file;
    const auto tail = copy.bytes(10000, 4);
    QCOMPARE(std::string(reinterpret_cast<const char *>(tail.data()), tail.size()), std::string("tail"));

    file.release(0, 10004);
    QCOMPARE(std::to_integer<char>(file.bytes(5000, 1)[0]), 'x');
}

void TestAtomicFile::mappingRefusesRangesOutside_data()
{
    QTest::addColumn<quint64>("offset");
    QTest::addColumn<quint64>("count");
    QTest::newRow("one too many") << quint64(0) << quint64(11);
    QTest::newRow("begins behind the end") << quint64(11) << quint64(0);
    QTest::newRow("overflow") << quint64(5) << ~quint64(0);
}

void TestAtomicFile::mappingRefusesRangesOutside()
{
    QFETCH(quint64, offset);
    QFETCH(quint64, count);
    writeFileAtomically(m_path / "a.bin", "0123456789");
    const MappedFile file(m_path / "a.bin");
    const auto error = errorOf([&] { file.bytes(offset, count); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::BadFormat);
    QVERIFY(mentions(*error, "a.bin"));
}

void TestAtomicFile::mappingOfAnEmptyFileIsEmpty()
{
    writeFileAtomically(m_path / "empty.bin", "");
    QVERIFY(MappedFile(m_path / "empty.bin").all().empty());
    const auto error = errorOf([this] { MappedFile file(m_path / "missing.bin"); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::NotFound);
}

QTEST_GUILESS_MAIN(TestAtomicFile)
#include "tst_atomic_file.moc"
