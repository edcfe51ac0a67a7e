#include "backend/core/calibration.h"
#include "backend/io/digest.h"

#include <QTest>

using namespace secateur;

class TestDigest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void equalsThePublishedVectors_data();
    void equalsThePublishedVectors();
    void piecesGiveTheSameAsTheWhole_data();
    void piecesGiveTheSameAsTheWhole();
    void sequencesAreSeparatedByMinusOne();
    void sequencesAreNotJustTheirTokens();
};

void TestDigest::equalsThePublishedVectors_data()
{
    QTest::addColumn<std::string>("text");
    QTest::addColumn<std::string>("expected");
    QTest::newRow("empty") << std::string()
                           << std::string("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    QTest::newRow("abc") << std::string("abc")
                         << std::string("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    QTest::newRow("two blocks") << std::string("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                                << std::string("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    QTest::newRow("a million times a") << std::string(
        1000000, 'a') << std::string("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

void TestDigest::equalsThePublishedVectors()
{
    QFETCH(std::string, text);
    QFETCH(std::string, expected);
    QCOMPARE(sha256Hex(text), expected);
}

void TestDigest::piecesGiveTheSameAsTheWhole_data()
{
    QTest::addColumn<int>("step");
    for (const int step : {1, 3, 55, 56, 63, 64, 65, 127, 128, 1000})
        QTest::addRow("%d bytes at a time", step) << step;
}

void TestDigest::piecesGiveTheSameAsTheWhole()
{
    QFETCH(int, step);
    std::string text;
    for (int i = 0; i < 1000; ++i)
        text += static_cast<char>(i * 7);

    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += static_cast<std::size_t>(step))
        hash.update(std::string_view(text).substr(at, static_cast<std::size_t>(step)));

    QCOMPARE(hash.hex(), sha256Hex(text));
}

void TestDigest::sequencesAreSeparatedByMinusOne()
{
    // SHA-256 of the little-endian int32 1, 2, 3, -1, -1, 70000
    QCOMPARE(digestOfSequences({{1, 2, 3}, {}, {70000}}),
             std::string("f2e4c3db26efca738f7d30b0bd5f25daefd53d96eb6472907c9b9b3f98f4fec6"));
}

void TestDigest::sequencesAreNotJustTheirTokens()
{
    QVERIFY(digestOfSequences({{1, 2}, {3}}) != digestOfSequences({{1}, {2, 3}}));
    QCOMPARE(digestOfSequences({}), sha256Hex({}));
}

QTEST_GUILESS_MAIN(TestDigest)
#include "tst_digest.moc"
