#include "backend/io/atomic_file.h"
#include "backend/io/safetensors.h"
#include "tests/support/error_mentions.h"
#include "tests/support/test_data.h"

#include <QTemporaryDir>
#include <QTest>

#include <cstring>

using namespace secateur;
namespace fs = std::filesystem;

class TestSafetensors : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void readsNamesShapesAndData();
    void wellFormedVariantsAreRead_data();
    void wellFormedVariantsAreRead();
    void malformedFilesAreRefusedByName_data();
    void malformedFilesAreRefusedByName();
    void writerGivesTheReferenceBytes();
    void writtenFilesReadBack();
    void writerRefuses_data();
    void writerRefuses();
    void elementSizesAreThoseOfTheFormat_data();
    void elementSizesAreThoseOfTheFormat();
    void readsTheGoldenModel();

private:
    static std::string file(const std::string &header, std::size_t dataBytes);
    fs::path written(const std::string &contents) const;

    QTemporaryDir m_folder;
};

std::string TestSafetensors::file(const std::string &header, std::size_t dataBytes)
{
    std::string contents;
    for (int i = 0; i < 8; ++i)
        contents += static_cast<char>(header.size() >> (8 * i) & 0xff);
    return contents + header + std::string(dataBytes, '\1');
}

fs::path TestSafetensors::written(const std::string &contents) const
{
    const fs::path path = fs::path(m_folder.path().toStdString()) / "model.safetensors";
    writeFileAtomically(path, contents);
    return path;
}

void TestSafetensors::initTestCase()
{
    QVERIFY(m_folder.isValid());
}

void TestSafetensors::readsNamesShapesAndData()
{
    const SafetensorsFile model(written(file(R"({"__metadata__":{"format":"pt"},)"
                                             R"("b":{"dtype":"U8","shape":[3],"data_offsets":[16,19]},)"
                                             R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})",
                                             19)));

    QCOMPARE(model.tensors().size(), std::size_t(2));
    QCOMPARE(model.tensors()[0].name, std::string("a"));
    QCOMPARE(model.tensors()[0].shape, (std::vector<std::int64_t>{2, 2}));
    QCOMPARE(model.tensors()[0].file, std::string("model.safetensors"));
    QCOMPARE(model.metadata().at("format"), std::string("pt"));
    QVERIFY(model.find("b"));
    QCOMPARE(model.data(*model.find("b")).size(), std::size_t(3));
    QVERIFY(!model.find("c"));
}

void TestSafetensors::wellFormedVariantsAreRead_data()
{
    QTest::addColumn<std::string>("contents");
    QTest::addColumn<int>("tensors");
    QTest::newRow("no tensors") << file("{}", 0) << 0;
    QTest::newRow("blanks around the header") << file("  {}  ", 0) << 0;
    QTest::newRow("scalar") << file(R"({"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})", 8) << 1;
    QTest::newRow("empty tensors between others") << file(R"({"a":{"dtype":"I16","shape":[0,5],"data_offsets":[2,2]},)"
                                                          R"("b":{"dtype":"I16","shape":[1],"data_offsets":[0,2]},)"
                                                          R"("c":{"dtype":"BOOL","shape":[1],"data_offsets":[2,3]}})",
                                                          3)
                                                  << 3;
    QTest::newRow("sub-byte type") << file(R"({"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", 2) << 1;
    QTest::newRow("unknown key in an entry")
        << file(R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1],"note":1}})", 1) << 1;
}

void TestSafetensors::wellFormedVariantsAreRead()
{
    QFETCH(std::string, contents);
    QFETCH(int, tensors);
    QCOMPARE(static_cast<int>(SafetensorsFile(written(contents)).tensors().size()), tensors);
}

void TestSafetensors::malformedFilesAreRefusedByName_data()
{
    QTest::addColumn<std::string>("contents");
    QTest::addColumn<std::string>("field");
    const auto row = [](const char *name, const std::string &contents, const char *field) {
        QTest::newRow(name) << contents << std::string(field);
    };
    const auto one = [](const std::string &entry, std::size_t bytes) { return file("{\"w\":" + entry + "}", bytes); };
    row("zero bytes", "", "header length");
    row("seven bytes", "1234567", "header length");
    row("length beyond the file", file("{}", 0).substr(0, 9), "header length");
    row("absurd length", std::string(7, '\xff') + std::string(1, '\x7f') + "{}", "header length");
    row("length above the limit", std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}", "header length");
    row("no JSON", file("{\"w\":", 0), "header");
    row("invalid UTF-8", file("{\"\xff\":1}", 0), "header");
    row("an array", file("[]", 0), "header");
    row("deep nesting", file(std::string(100000, '['), 0), "no JSON object");
    row("deep nesting of objects",
        file(
            [] {
                std::string text;
                for (int i = 0; i < 50000; ++i)
                    text += "{\"a\":";
                return text;
            }(),
            0),
        "nested");
    row("entry is a number", one("5", 0), "\"w\"");
    row("metadata is a list", file(R"({"__metadata__":[]})", 0), "__metadata__");
    row("metadata with a number", file(R"({"__metadata__":{"step":5}})", 0), "\"step\"");
    row("no dtype", one(R"({"shape":[1],"data_offsets":[0,4]})", 4), "dtype");
    row("dtype is a number", one(R"({"dtype":32,"shape":[1],"data_offsets":[0,4]})", 4), "dtype");
    row("unknown dtype", one(R"({"dtype":"F31","shape":[1],"data_offsets":[0,4]})", 4), "F31");
    row("no shape", one(R"({"dtype":"F32","data_offsets":[0,4]})", 4), "shape");
    row("negative size", one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", 4), "shape");
    row("size with a fraction", one(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,4]})", 4), "shape");
    row("size beyond 64 bits", one(R"({"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]})", 4),
        "shape");
    row("product overflows", one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0),
        "overflow");
    row("bytes overflow", one(R"({"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]})", 0), "overflow");
    row("no offsets", one(R"({"dtype":"F32","shape":[1]})", 4), "data_offsets");
    row("one offset", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})", 4), "data_offsets");
    row("negative offset", one(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})", 4), "data_offsets");
    row("end before begin", one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", 4), "data_offsets");
    row("end beyond the file", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 4), "data_offsets");
    row("wrong size for the dtype", one(R"({"dtype":"BF16","shape":[1],"data_offsets":[0,4]})", 4), "BF16");
    row("half a byte", one(R"({"dtype":"F4","shape":[3],"data_offsets":[0,1]})", 1), "inside a byte");
    row("hole at the start", one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", 8), "hole");
    row("bytes behind the last tensor", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 5),
        "after the last");
    row("overlap",
        file(R"({"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
             R"("w":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
             6),
        "overlap");
    row("duplicate name",
        file(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
             R"("w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
             2),
        "\"w\" twice");
}

void TestSafetensors::malformedFilesAreRefusedByName()
{
    QFETCH(std::string, contents);
    QFETCH(std::string, field);
    const fs::path path = written(contents);

    const auto error = errorOf([&] { SafetensorsFile model(path); });

    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::BadFormat);
    QVERIFY2(mentions(*error, "model.safetensors"), error->message.c_str());
    QVERIFY2(mentions(*error, field), error->message.c_str());
    QVERIFY2(error->message.size() < 400, error->message.c_str());
}

void TestSafetensors::writerGivesTheReferenceBytes()
{
    const std::string zeros(24, '\0');
    const auto data = [&zeros](std::size_t bytes) { return std::as_bytes(std::span(zeros.data(), bytes)); };
    const fs::path path = fs::path(m_folder.path().toStdString()) / "written.safetensors";

    writeSafetensors(path,
                     {{"b", "F32", {2}, data(8)},
                      {"a", "F16", {1, 2}, data(4)},
                      {"c", "I64", {3}, data(24)},
                      {"z", "U8", {2}, data(2)},
                      {"e", "F32", {0, 4}, data(0)}});

    // What the reference implementation writes for the same tensors.
    const std::string header
        = R"({"__metadata__":{"format":"pt"},"c":{"dtype":"I64","shape":[3],"data_offsets":[0,24]},)"
          R"("b":{"dtype":"F32","shape":[2],"data_offsets":[24,32]},"e":{"dtype":"F32","shape":[0,4],"data_offsets":[32,32]},)"
          R"("a":{"dtype":"F16","shape":[1,2],"data_offsets":[32,36]},"z":{"dtype":"U8","shape":[2],"data_offsets":[36,38]}}   )";
    QCOMPARE(readTextFile(path), std::string("8\1\0\0\0\0\0\0", 8) + header + std::string(38, '\0'));
}

void TestSafetensors::writtenFilesReadBack()
{
    const float values[] = {1, 2, 3, 4, 5, 6};
    const fs::path path = fs::path(m_folder.path().toStdString()) / "back.safetensors";
    writeSafetensors(path, {{"quote\" and \\ and ü", "F32", {2, 3}, std::as_bytes(std::span(values))}},
                     {{"format", "np"}, {"secateur.plan", "plan-1"}});

    const SafetensorsFile back(path);
    const TensorInfo *tensor = back.find("quote\" and \\ and ü");
    QVERIFY(tensor);
    QCOMPARE(std::memcmp(back.data(*tensor).data(), values, sizeof values), 0);
    QCOMPARE(back.metadata().at("format"), std::string("np"));
    QCOMPARE(back.metadata().at("secateur.plan"), std::string("plan-1"));
    QCOMPARE(tensor->offset % 8, std::uint64_t(0));
}

void TestSafetensors::writerRefuses_data()
{
    QTest::addColumn<std::string>("dtype");
    QTest::addColumn<std::string>("secondName");
    QTest::addColumn<int>("size");
    QTest::newRow("unknown dtype") << std::string("Q4_1") << std::string("b") << 2;
    QTest::newRow("wrong size") << std::string("F32") << std::string("b") << 3;
    QTest::newRow("negative size") << std::string("F32") << std::string("b") << -2;
    QTest::newRow("same name twice") << std::string("F32") << std::string("a") << 2;
    QTest::newRow("reserved name") << std::string("F32") << std::string("__metadata__") << 2;
}

void TestSafetensors::writerRefuses()
{
    QFETCH(std::string, dtype);
    QFETCH(std::string, secondName);
    QFETCH(int, size);
    const float values[] = {1, 2};
    const auto data = std::as_bytes(std::span(values));
    const fs::path path = fs::path(m_folder.path().toStdString()) / "refused.safetensors";

    const auto error = errorOf([&] {
        writeSafetensors(path, {{"a", "F32", {2}, data}, {secondName, dtype, {size}, data}});
    });

    QVERIFY(error);
    QVERIFY(mentions(*error, "refused.safetensors"));
    QVERIFY(!fs::exists(path));
}

void TestSafetensors::elementSizesAreThoseOfTheFormat_data()
{
    QTest::addColumn<std::string>("dtype");
    QTest::addColumn<int>("bytes");
    QTest::newRow("F32") << std::string("F32") << 4;
    QTest::newRow("BF16") << std::string("BF16") << 2;
    QTest::newRow("I64") << std::string("I64") << 8;
    QTest::newRow("F8") << std::string("F8_E4M3") << 1;
    QTest::newRow("sub-byte") << std::string("F4") << 0;
    QTest::newRow("unknown") << std::string("F31") << 0;
}

void TestSafetensors::elementSizesAreThoseOfTheFormat()
{
    QFETCH(std::string, dtype);
    QFETCH(int, bytes);
    QCOMPARE(safetensorsElementSize(dtype), bytes);
}

void TestSafetensors::readsTheGoldenModel()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    const SafetensorsFile model(testData() / "golden/models/tiny-llama/model.safetensors");
    QCOMPARE(model.tensors().size(), std::size_t(56));
    const TensorInfo *embedding = model.find("model.embed_tokens.weight");
    QVERIFY(embedding);
    QCOMPARE(embedding->shape, (std::vector<std::int64_t>{400, 64}));
}

QTEST_GUILESS_MAIN(TestSafetensors)
#include "tst_safetensors.moc"
