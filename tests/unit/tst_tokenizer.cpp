#include "backend/core/error.h"
#include "backend/text/byte_level.h"
#include "backend/text/normalizer.h"
#include "backend/text/pre_tokenizer.h"
#include "backend/text/text_regex.h"
#include "backend/text/tokenizer.h"
#include "backend/text/utf8.h"
#include "tests/support/error_of.h"

#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

#include <array>
#include <fstream>
#include <random>
#include <thread>

using namespace secateur;
using nlohmann::json;

Q_DECLARE_METATYPE(secateur::ErrorKind)
Q_DECLARE_METATYPE(secateur::SplitBehavior)
Q_DECLARE_METATYPE(secateur::UnicodeForm)

namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;

json addedToken(int id, const std::string &content, const json &flags = json::object())
{
    json token{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
               {"rstrip", false}, {"normalized", false}, {"special", true}};
    token.update(flags);
    return token;
}

/// A byte-level tokenizer: ids 0…255 are the bytes in order, merged tokens follow, then "<s>" and "<t>".
json byteLevelTokenizer(const Merges &merges = {})
{
    json vocabulary = json::object();
    for (int b = 0; b < 256; ++b) {
        std::string character;
        appendUtf8(character, characterOfByte(static_cast<unsigned char>(b)));
        vocabulary[character] = b;
    }
    int next = 256;
    json list = json::array();
    for (const auto &[left, right] : merges) {
        list.push_back(left + " " + right);
        if (!vocabulary.contains(left + right))
            vocabulary[left + right] = next++;
    }
    return {{"added_tokens", {addedToken(next, "<s>"), addedToken(next + 1, "<t>", {{"special", false}})}},
            {"normalizer", nullptr},
            {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
            {"post_processor", nullptr},
            {"decoder", {{"type", "ByteLevel"}}},
            {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", list}}}};
}

std::string randomText(std::mt19937 &random)
{
    constexpr std::array<std::pair<char32_t, char32_t>, 7> ranges{{{0x00, 0x7F},
                                                                   {0x20, 0x7E},
                                                                   {0xA0, 0x24F},
                                                                   {0x300, 0x36F},
                                                                   {0x4E00, 0x4FFF},
                                                                   {0xE000, 0xFFFD},
                                                                   {0x1F300, 0x1F6FF}}};
    std::string text;
    for (unsigned count = random() % 40; count > 0; --count) {
        const auto &[low, high] = ranges[random() % ranges.size()];
        appendUtf8(text, low + random() % (high - low + 1));
    }
    return text;
}

/// Merging by the book: the pair of the lowest rank, leftmost first, until none is left.
std::vector<std::string> mergedByTheBook(std::vector<std::string> symbols, const Merges &merges)
{
    for (bool merged = true; merged;) {
        merged = false;
        for (const auto &[left, right] : merges) {
            for (std::size_t i = 0; i + 1 < symbols.size() && !merged; ++i) {
                if (symbols[i] == left && symbols[i + 1] == right) {
                    symbols[i] += right;
                    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
                    merged = true;
                }
            }
            if (merged)
                break;
        }
    }
    return symbols;
}

QString joined(const TextPieces &pieces)
{
    QStringList texts;
    for (const auto &piece : pieces.pieces)
        texts << QString::fromUtf8(piece.text.data(), static_cast<qsizetype>(piece.text.size()));
    return texts.join(u'|');
}

} // namespace

class TestTokenizer : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void mergesFollowTheirRanks();
    void mergingEqualsMergingByTheBook_data();
    void mergingEqualsMergingByTheBook();
    void aPieceThatIsATokenIsTakenWhole();
    void textsComeBackUnchanged_data();
    void textsComeBackUnchanged();
    void streamedTextAddsUp_data();
    void streamedTextAddsUp();
    void streamingWaitsForWholeCodePoints();
    void brokenUtf8BecomesReplacementCharacters();
    void addedTokensAreCutOut_data();
    void addedTokensAreCutOut();
    void tokensOfTheConfigAreTakenAlong();
    void specialTokensCanBeSkipped();
    void postProcessorsAddTheirTokens_data();
    void postProcessorsAddTheirTokens();
    void splitsBehaveAsNamed_data();
    void splitsBehaveAsNamed();
    void metaspaceMarksBlanks_data();
    void metaspaceMarksBlanks();
    void unicodeFormsAreApplied_data();
    void unicodeFormsAreApplied();
    void charactersWithoutTokenFallBack_data();
    void charactersWithoutTokenFallBack();
    void expressionsReadAsInOniguruma_data();
    void expressionsReadAsInOniguruma();
    void explosiveExpressionsEndWithAnError();
    void aLongWordWithoutBlanksIsNoProblem();
    void threadsGetTheSameIds();
    void damagedFilesGiveASentence_data();
    void damagedFilesGiveASentence();
    void foreignPartsAreNamed_data();
    void foreignPartsAreNamed();
    void missingFilesAreNamed();

private:
    std::filesystem::path write(const std::string &text, const char *name = "tokenizer.json") const;
    std::shared_ptr<const Tokenizer> load(const json &definition) const
    {
        return loadTokenizer(write(definition.dump()));
    }
    QTemporaryDir m_folder;
};

std::filesystem::path TestTokenizer::write(const std::string &text, const char *name) const
{
    const std::filesystem::path path = std::filesystem::path(m_folder.path().toStdString()) / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
}

void TestTokenizer::mergesFollowTheirRanks()
{
    const auto tokenizer = load(byteLevelTokenizer({{"b", "c"}, {"a", "b"}, {"a", "bc"}}));

    QCOMPARE(tokenizer->encode("abc"), TokenIds({258}));
    QCOMPARE(tokenizer->encode("ab"), TokenIds({257}));
    QCOMPARE(tokenizer->encode("aab"), TokenIds({'a', 257}));
    QCOMPARE(tokenizer->tokenText(258), std::string("abc"));
    QCOMPARE(tokenizer->tokenId("bc"), std::optional<std::int32_t>(256));
    QCOMPARE(tokenizer->vocabularySize(), std::int64_t{261});
}

void TestTokenizer::mergingEqualsMergingByTheBook_data()
{
    QTest::addColumn<int>("length");
    for (const int length : {2, 3, 10, 47, 48, 49, 50, 100, 300})
        QTest::addRow("%d letters", length) << length;
}

void TestTokenizer::mergingEqualsMergingByTheBook()
{
    QFETCH(int, length);
    std::mt19937 random(static_cast<unsigned>(length));
    Merges merges;
    std::vector<std::string> tokens{"a", "b", "c"};
    while (merges.size() < 40) {
        const std::string left = tokens[random() % tokens.size()];
        const std::string right = tokens[random() % tokens.size()];
        if (left.size() + right.size() > 8 || std::ranges::find(merges, std::pair(left, right)) != merges.end())
            continue;
        merges.emplace_back(left, right);
        tokens.push_back(left + right);
    }
    const auto tokenizer = load(byteLevelTokenizer(merges));

    for (int round = 0; round < 20; ++round) {
        std::string word;
        std::vector<std::string> letters;
        for (int i = 0; i < length; ++i) {
            letters.emplace_back(1, static_cast<char>('a' + random() % 3));
            word += letters.back();
        }
        std::vector<std::string> actual;
        for (const std::int32_t id : tokenizer->encode(word))
            actual.push_back(tokenizer->tokenText(id));
        QCOMPARE(actual, mergedByTheBook(letters, merges));
        QCOMPARE(tokenizer->encode(word), tokenizer->encode(word)); // from the cache
    }
}

void TestTokenizer::aPieceThatIsATokenIsTakenWhole()
{
    json definition = byteLevelTokenizer({{"a", "b"}, {"b", "c"}});
    definition["model"]["vocab"]["abc"] = 300;
    QCOMPARE(load(definition)->encode("abc"), TokenIds({256, 'c'}));

    definition["model"]["ignore_merges"] = true;
    QCOMPARE(load(definition)->encode("abc"), TokenIds({300}));
}

void TestTokenizer::textsComeBackUnchanged_data()
{
    QTest::addColumn<unsigned>("seed");
    for (unsigned seed = 1; seed <= 5; ++seed)
        QTest::addRow("seed %u", seed) << seed;
}

void TestTokenizer::textsComeBackUnchanged()
{
    QFETCH(unsigned, seed);
    std::mt19937 random(seed);
    const auto tokenizer = load(byteLevelTokenizer({{"e", "r"}, {"Ġ", "t"}, {"Ã", "©"}}));

    for (int i = 0; i < 300; ++i) {
        const std::string text = randomText(random);
        QCOMPARE(tokenizer->decode(tokenizer->encode(text)), text);
    }
}

void TestTokenizer::streamedTextAddsUp_data()
{
    textsComeBackUnchanged_data();
}

void TestTokenizer::streamedTextAddsUp()
{
    QFETCH(unsigned, seed);
    std::mt19937 random(seed);
    const auto tokenizer = load(byteLevelTokenizer());

    for (int i = 0; i < 300; ++i) {
        TokenIds ids;
        for (const char byte : randomText(random)) // broken code points, too
            ids.push_back(random() % 20 == 0 ? static_cast<int>(random() % 256) : static_cast<unsigned char>(byte));
        StreamingDecoder decoder(tokenizer);
        std::string text;
        for (const std::int32_t id : ids) {
            const std::string part = decoder.push(id);
            QVERIFY(isValidUtf8(part));
            text += part;
        }
        text += decoder.flush();
        QCOMPARE(text, tokenizer->decode(ids));
    }
}

void TestTokenizer::streamingWaitsForWholeCodePoints()
{
    StreamingDecoder decoder(load(byteLevelTokenizer()));

    QCOMPARE(decoder.push(0xF0), std::string());
    QCOMPARE(decoder.push(0x9F), std::string());
    QCOMPARE(decoder.push(0x98), std::string());
    QCOMPARE(decoder.push(0x80), std::string("😀"));
    QCOMPARE(decoder.push(0xC3), std::string());
    QCOMPARE(decoder.flush(), std::string("\uFFFD"));
    QCOMPARE(decoder.flush(), std::string());
}

void TestTokenizer::brokenUtf8BecomesReplacementCharacters()
{
    const auto tokenizer = load(byteLevelTokenizer());

    QCOMPARE(tokenizer->encode("a\xC3z"), TokenIds({'a', 0xEF, 0xBF, 0xBD, 'z'}));
    QCOMPARE(tokenizer->decode(TokenIds{'a', 0xE2, 0x82, 'b', 0xFF}), std::string("a\uFFFDb\uFFFD"));
}

void TestTokenizer::addedTokensAreCutOut_data()
{
    QTest::addColumn<QByteArray>("flags");
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QByteArray>("tokens");
    const QByteArray plain = "{}";
    QTest::newRow("in the middle") << plain << QByteArray("axyb") << QByteArray("a [xy] b");
    QTest::newRow("at both ends") << plain << QByteArray("xyaxy") << QByteArray("[xy] a [xy]");
    QTest::newRow("the longest wins") << plain << QByteArray("xyz") << QByteArray("[xyz]");
    QTest::newRow("the first wins") << plain << QByteArray("xxyz") << QByteArray("x [xyz]");
    QTest::newRow("a beginning is not enough") << plain << QByteArray("x") << QByteArray("x");
    QTest::newRow("single word stands alone")
        << QByteArray(R"({"single_word": true})") << QByteArray("-xy-") << QByteArray("- [xy] -");
    QTest::newRow("single word touches a letter")
        << QByteArray(R"({"single_word": true})") << QByteArray("axy") << QByteArray("a x y");
    QTest::newRow("single word touches a digit")
        << QByteArray(R"({"single_word": true})") << QByteArray("xy1") << QByteArray("x y 1");
    QTest::newRow("takes blanks on the left")
        << QByteArray(R"({"lstrip": true})") << QByteArray("a \n xy b") << QByteArray("a [xy] Ġ b");
    QTest::newRow("takes blanks on the right")
        << QByteArray(R"({"rstrip": true})") << QByteArray("a xy \n b") << QByteArray("a Ġ [xy] b");
    QTest::newRow("found after normalisation")
        << QByteArray(R"({"normalized": true})") << QByteArray("aXYb") << QByteArray("a [xy] b");
    QTest::newRow("not found after normalisation") << plain << QByteArray("XY") << QByteArray("x y");
}

void TestTokenizer::addedTokensAreCutOut()
{
    QFETCH(QByteArray, flags);
    QFETCH(QByteArray, text);
    QFETCH(QByteArray, tokens);
    json definition = byteLevelTokenizer();
    definition["normalizer"] = {{"type", "Lowercase"}};
    definition["added_tokens"] = {addedToken(300, "xy", json::parse(flags.toStdString())), addedToken(301, "xyz")};
    const auto tokenizer = load(definition);

    QByteArrayList actual;
    for (const std::int32_t id : tokenizer->encode(text.toStdString())) {
        const QByteArray name = QByteArray::fromStdString(tokenizer->tokenText(id));
        actual << (id >= 300 ? "[" + name + "]" : name);
    }
    QCOMPARE(actual.join(' '), tokens);
}

void TestTokenizer::tokensOfTheConfigAreTakenAlong()
{
    write(byteLevelTokenizer().dump());
    const json extra{{"added_tokens_decoder",
                      {{"400", {{"content", "<extra>"}, {"special", true}}}, {"256", {{"content", "<s>"}}}}}};
    const auto config = write(extra.dump(), "tokenizer_config.json");
    const auto tokenizer = loadTokenizer(config.parent_path());
    std::filesystem::remove(config);

    QCOMPARE(tokenizer->encode("a<extra><s>"), TokenIds({'a', 400, 256}));
    QVERIFY(tokenizer->isSpecial(400));
}

void TestTokenizer::specialTokensCanBeSkipped()
{
    const auto tokenizer = load(byteLevelTokenizer());
    const TokenIds ids{256, 'a', 257, 100'000, -1};

    QCOMPARE(tokenizer->decode(ids), std::string("<s>a<t>"));
    QCOMPARE(tokenizer->decode(ids, true), std::string("a<t>"));
    QVERIFY(tokenizer->isSpecial(256) && !tokenizer->isSpecial(257) && !tokenizer->isSpecial('a'));
    QCOMPARE(tokenizer->tokenBytes(0xFF), std::string("\xFF"));
    QCOMPARE(tokenizer->tokenBytes(100'000), std::string());
    QCOMPARE(tokenizer->tokenId("nothing"), std::optional<std::int32_t>());
}

void TestTokenizer::postProcessorsAddTheirTokens_data()
{
    QTest::addColumn<QByteArray>("processor");
    QTest::addColumn<QByteArray>("ids");
    const QByteArray both = R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<t>", "type_id": 0}}], "pair": [],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}, "<t>": {"id": "<t>", "ids": [257, 97], "tokens": ["<t>"]}}})";
    QTest::newRow("none") << QByteArray("null") << QByteArray("[98]");
    QTest::newRow("byte level changes nothing") << QByteArray(R"({"type": "ByteLevel"})") << QByteArray("[98]");
    QTest::newRow("template") << both << QByteArray("[256,98,257,97]");
    QTest::newRow("sequence") << QByteArray(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, )" + both
                                            + "]}")
                              << QByteArray("[256,98,257,97]");
    QTest::newRow("classifier and separator")
        << QByteArray(R"({"type": "RobertaProcessing", "cls": ["<s>", 256], "sep": ["<t>", 257]})")
        << QByteArray("[256,98,257]");
}

void TestTokenizer::postProcessorsAddTheirTokens()
{
    QFETCH(QByteArray, processor);
    QFETCH(QByteArray, ids);
    json definition = byteLevelTokenizer();
    definition["post_processor"] = json::parse(processor.toStdString());
    const auto tokenizer = load(definition);

    QCOMPARE(tokenizer->encode("b", true), json::parse(ids.toStdString()).get<TokenIds>());
    QCOMPARE(tokenizer->encode("b"), TokenIds({'b'}));
}

void TestTokenizer::splitsBehaveAsNamed_data()
{
    QTest::addColumn<SplitBehavior>("behavior");
    QTest::addColumn<bool>("invert");
    QTest::addColumn<QString>("pieces");
    QTest::newRow("removed") << SplitBehavior::Removed << false << QStringLiteral("a|b|c");
    QTest::newRow("removed, inverted") << SplitBehavior::Removed << true << QStringLiteral("-|-|-|-");
    QTest::newRow("isolated") << SplitBehavior::Isolated << false << QStringLiteral("-|a|-|-|b|-|c");
    QTest::newRow("with previous") << SplitBehavior::MergedWithPrevious << false << QStringLiteral("-|a-|-|b-|c");
    QTest::newRow("with next") << SplitBehavior::MergedWithNext << false << QStringLiteral("-a|-|-b|-c");
    QTest::newRow("contiguous") << SplitBehavior::Contiguous << false << QStringLiteral("-|a|--|b|-|c");
}

void TestTokenizer::splitsBehaveAsNamed()
{
    QFETCH(SplitBehavior, behavior);
    QFETCH(bool, invert);
    QFETCH(QString, pieces);
    const PreTokenizer literal({SplitStep{{.literal = "-", .regex = std::nullopt}, behavior, invert}});
    const PreTokenizer regex({SplitStep{{.literal = {}, .regex = TextRegex("-", "test")}, behavior, invert}});

    QCOMPARE(joined(literal.apply("-a--b-c", true)), pieces);
    QCOMPARE(joined(regex.apply("-a--b-c", true)), pieces);
}

void TestTokenizer::metaspaceMarksBlanks_data()
{
    QTest::addColumn<int>("prepend");
    QTest::addColumn<bool>("split");
    QTest::addColumn<bool>("atStart");
    QTest::addColumn<QString>("pieces");
    const auto prepend = [](MetaspaceStep::Prepend value) { return static_cast<int>(value); };
    QTest::newRow("always") << prepend(MetaspaceStep::Prepend::Always) << true << false << QStringLiteral("▁a|▁|▁b");
    QTest::newRow("first, at the start") << prepend(MetaspaceStep::Prepend::First) << true << true
                                         << QStringLiteral("▁a|▁|▁b");
    QTest::newRow("first, later") << prepend(MetaspaceStep::Prepend::First) << true << false
                                  << QStringLiteral("a|▁|▁b");
    QTest::newRow("never") << prepend(MetaspaceStep::Prepend::Never) << true << true << QStringLiteral("a|▁|▁b");
    QTest::newRow("whole") << prepend(MetaspaceStep::Prepend::Always) << false << true << QStringLiteral("▁a▁▁b");
}

void TestTokenizer::metaspaceMarksBlanks()
{
    QFETCH(int, prepend);
    QFETCH(bool, split);
    QFETCH(bool, atStart);
    QFETCH(QString, pieces);
    MetaspaceStep step;
    step.prepend = static_cast<MetaspaceStep::Prepend>(prepend);
    step.split = split;

    QCOMPARE(joined(PreTokenizer({step}).apply("a  b", atStart)), pieces);
}

void TestTokenizer::unicodeFormsAreApplied_data()
{
    QTest::addColumn<UnicodeForm>("form");
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("expected");
    QTest::newRow("composes") << UnicodeForm::Nfc << QStringLiteral("e\u0301ﬁ") << QStringLiteral("éﬁ");
    QTest::newRow("decomposes") << UnicodeForm::Nfd << QStringLiteral("éﬁ") << QStringLiteral("e\u0301ﬁ");
    QTest::newRow("composes compatibly") << UnicodeForm::Nfkc << QStringLiteral("e\u0301ﬁ") << QStringLiteral("éfi");
    QTest::newRow("decomposes compatibly") << UnicodeForm::Nfkd << QStringLiteral("éﬁ") << QStringLiteral("e\u0301fi");
}

void TestTokenizer::unicodeFormsAreApplied()
{
    QFETCH(UnicodeForm, form);
    QFETCH(QString, text);
    QFETCH(QString, expected);

    QCOMPARE(QString::fromStdString(Normalizer({UnicodeFormStep{form}}).apply(text.toStdString())), expected);
}

void TestTokenizer::charactersWithoutTokenFallBack_data()
{
    QTest::addColumn<bool>("bytes");
    QTest::addColumn<bool>("fuse");
    QTest::addColumn<QByteArray>("ids");
    QTest::newRow("to bytes") << true << true << QByteArray("[1,2,3,2,3]");
    QTest::newRow("to one unknown") << false << true << QByteArray("[1,0]");
    QTest::newRow("to one unknown each") << false << false << QByteArray("[1,0,0]");
}

void TestTokenizer::charactersWithoutTokenFallBack()
{
    QFETCH(bool, bytes);
    QFETCH(bool, fuse);
    QFETCH(QByteArray, ids);
    const json definition{{"decoder",
                           {{"type", "Sequence"},
                            {"decoders",
                             {{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                              {{"type", "ByteFallback"}},
                              {{"type", "Fuse"}},
                              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
                          {"model",
                           {{"type", "BPE"},
                            {"vocab", {{"<unk>", 0}, {"a", 1}, {"<0xC3>", 2}, {"<0xA9>", 3}, {"▁", 4}}},
                            {"merges", json::array()},
                            {"unk_token", "<unk>"},
                            {"fuse_unk", fuse},
                            {"byte_fallback", bytes}}}};
    const auto tokenizer = load(definition);

    QCOMPARE(tokenizer->encode("aéé"), json::parse(ids.toStdString()).get<TokenIds>());
    QCOMPARE(tokenizer->decode(TokenIds{4, 1, 4, 2, 3}), std::string("a é"));
    QCOMPARE(tokenizer->decode(TokenIds{2, 2, 3}), std::string("\uFFFD\uFFFD\uFFFD"));
}

void TestTokenizer::expressionsReadAsInOniguruma_data()
{
    QTest::addColumn<QString>("pattern");
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("pieces");
    QTest::newRow("blank classes") << QStringLiteral("\\s+|[^\\s]+|\\S") << QStringLiteral("a\u00A0\u2003b\u180Ec")
                                   << QStringLiteral("a|\u00A0\u2003|b\u180Ec");
    QTest::newRow("words hold marks") << QStringLiteral("\\w+") << QStringLiteral("e\u0301_1-é")
                                      << QStringLiteral("e\u0301_1|-|é");
    QTest::newRow("numbers of all scripts")
        << QStringLiteral("\\p{N}") << QStringLiteral("1²٣Ⅷx") << QStringLiteral("1|²|٣|Ⅷ|x");
    QTest::newRow("a repeated interval is greedy")
        << QStringLiteral("\\p{N}{1,2}+x") << QStringLiteral("12345x") << QStringLiteral("12345x");
    QTest::newRow("lines") << QStringLiteral("^a|b$") << QStringLiteral("a\nab\nb") << QStringLiteral("a|\n|a|b|\n|b");
    QTest::newRow("hexadecimal digits") << QStringLiteral("\\h+") << QStringLiteral("xAf0g")
                                        << QStringLiteral("x|Af0|g");
    QTest::newRow("code points") << QStringLiteral("\\u00e9+") << QStringLiteral("aééb") << QStringLiteral("a|éé|b");
    QTest::newRow("either case") << QStringLiteral("(?i:'s|'ll)") << QStringLiteral("it'S we'll")
                                 << QStringLiteral("it|'S| we|'ll");
    QTest::newRow("empty matches cut") << QStringLiteral("x*") << QStringLiteral("axxb") << QStringLiteral("a|xx|b");
}

void TestTokenizer::expressionsReadAsInOniguruma()
{
    QFETCH(QString, pattern);
    QFETCH(QString, text);
    QFETCH(QString, pieces);
    const PreTokenizer splitter({SplitStep{
        {.literal = {}, .regex = TextRegex(pattern.toStdString(), "test")}, SplitBehavior::Isolated, false}});
    const std::string bytes = text.toStdString();

    QCOMPARE(joined(splitter.apply(bytes, true)), pieces);
}

void TestTokenizer::explosiveExpressionsEndWithAnError()
{
    json definition = byteLevelTokenizer();
    definition["pre_tokenizer"]
        = {{"type", "Split"}, {"pattern", {{"Regex", "(a|aa)+x"}}}, {"behavior", "Isolated"}, {"invert", false}};
    const auto tokenizer = load(definition);

    const auto error = errorOf([&] { tokenizer->encode(std::string(5000, 'a') + "bx"); });
    QVERIFY(error.has_value());
    QCOMPARE(error->kind, ErrorKind::Unsupported);
    QVERIFY(error->message.find("pre_tokenizer.pattern.Regex") != std::string::npos);
}

void TestTokenizer::aLongWordWithoutBlanksIsNoProblem()
{
    const auto tokenizer = load(byteLevelTokenizer({{"a", "b"}, {"ab", "ab"}, {"abab", "abab"}}));
    std::string word;
    while (word.size() < 1'000'000)
        word += "ab";

    const TokenIds ids = tokenizer->encode(word);
    QCOMPARE(ids, TokenIds(125'000, 258));
}

void TestTokenizer::threadsGetTheSameIds()
{
    const auto tokenizer = load(byteLevelTokenizer({{"Ġ", "w"}, {"o", "r"}}));
    std::string text;
    for (int i = 0; i < 3000; ++i)
        text += " wor" + std::to_string(i * 7919 % 1000);
    const TokenIds expected = load(byteLevelTokenizer({{"Ġ", "w"}, {"o", "r"}}))->encode(text);

    std::vector<TokenIds> results(4);
    {
        std::vector<std::jthread> threads;
        for (TokenIds &result : results)
            threads.emplace_back([&] { result = tokenizer->encode(text); });
    }
    QCOMPARE(results, std::vector<TokenIds>(4, expected));
}

void TestTokenizer::damagedFilesGiveASentence_data()
{
    QTest::addColumn<QByteArray>("pointer");
    QTest::addColumn<QByteArray>("value");
    QTest::addColumn<QByteArray>("fragment");
    const auto row = [](const char *name, const char *pointer, const char *value, const char *fragment) {
        QTest::newRow(name) << QByteArray(pointer) << QByteArray(value) << QByteArray(fragment);
    };
    row("a list", "", "[]", "the whole file");
    row("no model", "/model", "null", "\"model\" is missing");
    row("model is a list", "/model", "[]", "\"model\"");
    row("no vocabulary", "/model/vocab", "null", "\"model.vocab\" is missing");
    row("vocabulary is a list", "/model/vocab", "[]", "\"model.vocab\"");
    row("id is a string", "/model/vocab/a", "\"x\"", "\"model.vocab.a\"");
    row("id is negative", "/model/vocab/a", "-4", "-4");
    row("id is huge", "/model/vocab/a", "99999999999", "99999999999");
    row("id is a fraction", "/model/vocab/a", "1.5", "\"model.vocab.a\"");
    row("no merges", "/model/merges", "null", "\"model.merges\" is missing");
    row("merge of one token", "/model/merges", "[\"ab\"]", "\"model.merges[0]\"");
    row("merge of three tokens", "/model/merges", "[\"a b c\"]", "\"model.merges[0]\"");
    row("merge is a number", "/model/merges", "[1]", "\"model.merges[0]\"");
    row("merge of numbers", "/model/merges", "[[1, 2]]", "\"model.merges[0]\"");
    row("merge of unknown tokens", "/model/merges", "[[\"a\", \"zz\"]]", "\"zz\"");
    row("merge without result", "/model/merges", "[[\"a\", \"b\"]]", "\"ab\"");
    row("unknown token is unknown", "/model/unk_token", "\"nope\"", "\"nope\"");
    row("flag is a number", "/model/byte_fallback", "1", "\"model.byte_fallback\"");
    row("added tokens are an object", "/added_tokens", "{}", "\"added_tokens\"");
    row("added token is a string", "/added_tokens/0", "\"x\"", "\"added_tokens[0]");
    row("added token without content", "/added_tokens/0/content", "null", "\"added_tokens[0].content\"");
    row("added token with a huge id", "/added_tokens/0/id", "2000000000", "\"added_tokens[0].id\"");
    row("pre-tokenizer is a string", "/pre_tokenizer", "\"ByteLevel\"", "\"pre_tokenizer");
    row("pre-tokenizer without type", "/pre_tokenizer", "{}", "\"pre_tokenizer.type\"");
    row("split without pattern", "/pre_tokenizer", R"({"type": "Split"})", "\"pre_tokenizer.pattern\"");
    row("expression does not compile", "/pre_tokenizer",
        R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})", "\"(a\"");
    row("sequence without list", "/pre_tokenizer", R"({"type": "Sequence"})", "\"pre_tokenizer.pretokenizers\"");
    row("template without token", "/post_processor",
        R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "q"}}, {"Sequence": {}}], "special_tokens": {}})",
        "\"post_processor.special_tokens.q\"");
    row("strip without count", "/decoder", R"({"type": "Strip", "content": " "})", "\"decoder.start\"");
}

void TestTokenizer::damagedFilesGiveASentence()
{
    QFETCH(QByteArray, pointer);
    QFETCH(QByteArray, value);
    QFETCH(QByteArray, fragment);
    json definition = byteLevelTokenizer();
    definition[json::json_pointer(pointer.toStdString())] = json::parse(value.toStdString());
    const auto path = write(definition.dump());

    const auto error = errorOf([&] { loadTokenizer(path); });
    QVERIFY(error.has_value());
    QCOMPARE(error->kind, ErrorKind::BadFormat);
    QVERIFY2(error->message.find(path.string()) != std::string::npos, error->message.c_str());
    QVERIFY2(error->message.find(fragment.toStdString()) != std::string::npos, error->message.c_str());
}

void TestTokenizer::foreignPartsAreNamed_data()
{
    QTest::addColumn<QByteArray>("pointer");
    QTest::addColumn<QByteArray>("value");
    QTest::addColumn<QByteArray>("fragment");
    const auto row = [](const char *name, const char *pointer, const char *value, const char *fragment) {
        QTest::newRow(name) << QByteArray(pointer) << QByteArray(value) << QByteArray(fragment);
    };
    row("model", "/model/type", "\"Unigram\"", "\"model.type\" is \"Unigram\"");
    row("prefix", "/model/continuing_subword_prefix", "\"##\"", "continuing_subword_prefix");
    row("dropout", "/model/dropout", "0.1", "\"model.dropout\"");
    row("normaliser", "/normalizer", R"({"type": "Precompiled"})", "\"normalizer.type\" is \"Precompiled\"");
    row("normaliser in a sequence", "/normalizer",
        R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Nmt"}]})",
        "\"normalizer.normalizers[1].type\" is \"Nmt\"");
    row("pre-tokenizer", "/pre_tokenizer", R"({"type": "UnicodeScripts"})", "UnicodeScripts");
    row("behaviour", "/pre_tokenizer", R"({"type": "Split", "pattern": {"String": " "}, "behavior": "Swallowed"})",
        "Swallowed");
    row("nested class", "/pre_tokenizer",
        R"({"type": "Split", "pattern": {"Regex": "[a[bc]]"}, "behavior": "Isolated"})", "class");
    row("intersection", "/pre_tokenizer",
        R"({"type": "Split", "pattern": {"Regex": "[a&&b]"}, "behavior": "Isolated"})", "intersection");
    row("post-processor", "/post_processor", R"({"type": "Other"})", "\"post_processor.type\" is \"Other\"");
    row("decoder", "/decoder", R"({"type": "CTC"})", "\"decoder.type\" is \"CTC\"");
}

void TestTokenizer::foreignPartsAreNamed()
{
    QFETCH(QByteArray, pointer);
    QFETCH(QByteArray, value);
    QFETCH(QByteArray, fragment);
    json definition = byteLevelTokenizer();
    definition[json::json_pointer(pointer.toStdString())] = json::parse(value.toStdString());
    const auto path = write(definition.dump());

    const auto error = errorOf([&] { loadTokenizer(path); });
    QVERIFY(error.has_value());
    QCOMPARE(error->kind, ErrorKind::Unsupported);
    QVERIFY2(error->message.find(path.string()) != std::string::npos, error->message.c_str());
    QVERIFY2(error->message.find(fragment.toStdString()) != std::string::npos, error->message.c_str());
}

void TestTokenizer::missingFilesAreNamed()
{
    QTemporaryDir empty;
    const std::filesystem::path folder = empty.path().toStdString();
    const auto nowhere = errorOf([&] { loadTokenizer(folder / "nowhere"); });
    const auto nothing = errorOf([&] { loadTokenizer(folder); });
    std::ofstream(folder / "tokenizer.model") << "x";
    const auto sentencePiece = errorOf([&] { loadTokenizer(folder); });
    const auto broken = errorOf([&] { loadTokenizer(write("{\"model\":")); });

    QCOMPARE(nowhere.value().kind, ErrorKind::NotFound);
    QCOMPARE(nothing.value().kind, ErrorKind::NotFound);
    QCOMPARE(sentencePiece.value().kind, ErrorKind::Unsupported);
    QCOMPARE(broken.value().kind, ErrorKind::BadFormat);
    QVERIFY(nothing->message.find("tokenizer.json") != std::string::npos);
}

QTEST_GUILESS_MAIN(TestTokenizer)
#include "tst_tokenizer.moc"
