#include "backend/engine/kernels/bf16_rows.h"
#include "backend/engine/kernels/causal_attention.h"
#include "backend/engine/kernels/dispatch.h"
#include "backend/engine/kernels/matrix_product.h"
#include "backend/engine/kernels/row_math.h"
#include "backend/engine/kernels/row_product.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using namespace secateur;

namespace {

std::vector<float> normalValues(std::int64_t count, unsigned seed)
{
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float &value : values)
        value = normal(engine);
    return values;
}

std::vector<std::uint16_t> roundedValues(const std::vector<float> &values)
{
    std::vector<std::uint16_t> rounded(values.size());
    toBf16(values.data(), static_cast<std::int64_t>(values.size()), rounded.data());
    return rounded;
}

std::vector<float> widened(const std::vector<std::uint16_t> &values)
{
    std::vector<float> wide(values.size());
    fromBf16(values.data(), static_cast<std::int64_t>(values.size()), wide.data());
    return wide;
}

const char *levelName(KernelLevel level)
{
    switch (level) {
    case KernelLevel::None:
        return "none";
    case KernelLevel::Portable:
        return "portable";
    case KernelLevel::Avx2:
        return "avx2";
    case KernelLevel::Avx512:
        return "avx512";
    case KernelLevel::Avx512Bf16:
        break;
    }
    return "avx512_bf16";
}

} // namespace

/// Every kernel at every level that this processor has, against sums in double precision.
class TestKernels : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup() { limitKernelLevel(KernelLevel::Avx512Bf16); }
    void rowProductEqualsPlainSums_data();
    void rowProductEqualsPlainSums();
    void rowResultDoesNotDependOnOtherRows_data() { addLevels(); }
    void rowResultDoesNotDependOnOtherRows();
    void matrixProductEqualsPlainSums_data();
    void matrixProductEqualsPlainSums();
    void wayBackEqualsPlainSums_data() { matrixProductEqualsPlainSums_data(); }
    void wayBackEqualsPlainSums();
    void causalAttentionEqualsItsDefinition_data();
    void causalAttentionEqualsItsDefinition();
    void bf16RoundsToTheNearestEvenValue_data() { addLevels(); }
    void bf16RoundsToTheNearestEvenValue();
    void siluProductEqualsItsDefinition_data() { addLevels(); }
    void siluProductEqualsItsDefinition();
    void headAttentionEqualsItsDefinition_data() { addLevels(); }
    void headAttentionEqualsItsDefinition();
    void logSumExpEqualsItsDefinition_data() { addLevels(); }
    void logSumExpEqualsItsDefinition();
    void nanPassesThroughTheKernels_data() { addLevels(); }
    void nanPassesThroughTheKernels();

private:
    static std::vector<KernelLevel> levels();
    static void addLevels();
};

std::vector<KernelLevel> TestKernels::levels()
{
    std::vector<KernelLevel> found;
    limitKernelLevel(KernelLevel::Avx512Bf16);
    const KernelLevel best = kernelLevel();
    for (const KernelLevel level :
         {KernelLevel::Portable, KernelLevel::Avx2, KernelLevel::Avx512, KernelLevel::Avx512Bf16}) {
        if (level <= best)
            found.push_back(level);
    }
    return found;
}

void TestKernels::addLevels()
{
    QTest::addColumn<int>("level");
    for (const KernelLevel level : levels())
        QTest::addRow("%s", levelName(level)) << static_cast<int>(level);
}

void TestKernels::init()
{
    QFETCH(int, level);
    limitKernelLevel(static_cast<KernelLevel>(level));
    QCOMPARE(static_cast<int>(kernelLevel()), level);
}

void TestKernels::rowProductEqualsPlainSums_data()
{
    QTest::addColumn<int>("level");
    QTest::addColumn<int>("in");
    QTest::addColumn<bool>("bf16");
    for (const KernelLevel level : levels())
        for (const int in : {1, 7, 8, 16, 31, 33, 61, 96, 576})
            for (const bool bf16 : {false, true})
                QTest::addRow("%s, %d inputs, %s", levelName(level), in, bf16 ? "bf16" : "f32")
                    << static_cast<int>(level) << in << bf16;
}

void TestKernels::rowProductEqualsPlainSums()
{
    QFETCH(int, in);
    QFETCH(bool, bf16);
    constexpr int kOut = 37;
    std::vector<float> weight = normalValues(std::int64_t{kOut} * in, 3);
    const std::vector<std::uint16_t> narrow = roundedValues(weight);
    if (bf16)
        weight = widened(narrow);
    const WeightRows view{bf16 ? static_cast<const void *>(narrow.data()) : weight.data(), bf16, kOut, in};
    for (int rows = 1; rows <= 17; ++rows) {
        const std::vector<float> x = normalValues(std::int64_t{rows} * in, 4);
        std::vector<float> room(static_cast<std::size_t>(rowProductRoom(rows, in)));
        for (const bool rounds : {false, true}) {
            std::vector<float> y(static_cast<std::size_t>(rows * kOut), -1);
            float *given = rounds ? room.data() : nullptr;
            rowProduct(view, x.data(), rows, 0, 11, y.data(), kOut, given);
            rowProduct(view, x.data(), rows, 11, kOut, y.data(), kOut, given);
            const bool isRounded = rounds && bf16 && kernelLevel() >= KernelLevel::Avx512;
            const std::vector<float> used = isRounded ? widened(roundedValues(x)) : x;
            for (int r = 0; r < rows; ++r) {
                for (int o = 0; o < kOut; ++o) {
                    double sum = 0;
                    for (int k = 0; k < in; ++k)
                        sum += static_cast<double>(used[static_cast<std::size_t>(r * in + k)])
                            * weight[static_cast<std::size_t>(o * in + k)];
                    QVERIFY(std::abs(sum - y[static_cast<std::size_t>(r * kOut + o)]) < 1e-6 * (in + 20));
                }
            }
        }
    }
}

void TestKernels::rowResultDoesNotDependOnOtherRows()
{
    constexpr int kRows = 17;
    constexpr int kIn = 75;
    constexpr int kOut = 21;
    const std::vector<float> weight = normalValues(kOut * kIn, 5);
    const std::vector<std::uint16_t> narrow = roundedValues(weight);
    const std::vector<float> x = normalValues(kRows * kIn, 6);
    std::vector<float> room(static_cast<std::size_t>(rowProductRoom(kRows, kIn)));
    for (const bool bf16 : {false, true}) {
        const WeightRows view{bf16 ? static_cast<const void *>(narrow.data()) : weight.data(), bf16, kOut, kIn};
        std::vector<float> alone(kRows * kOut);
        for (int r = 0; r < kRows; ++r)
            rowProduct(view, x.data() + r * kIn, 1, 0, kOut, alone.data() + r * kOut, kOut, room.data());
        for (int rows = 2; rows <= kRows; ++rows) {
            std::vector<float> together(static_cast<std::size_t>(rows * kOut));
            rowProduct(view, x.data(), rows, 0, kOut, together.data(), kOut, room.data());
            QVERIFY(std::equal(together.begin(), together.end(), alone.begin())); // to the last bit
        }
        // nor on the part of the outputs that was asked for
        std::vector<float> parts(kRows * kOut);
        for (int o = 0; o < kOut; ++o)
            rowProduct(view, x.data(), kRows, o, o + 1, parts.data(), kOut, room.data());
        QVERIFY(parts == alone);
    }
}

void TestKernels::matrixProductEqualsPlainSums_data()
{
    QTest::addColumn<int>("level");
    QTest::addColumn<int>("in");
    QTest::addColumn<int>("out");
    QTest::addColumn<bool>("bf16");
    for (const KernelLevel level : levels())
        for (const int in : {2, 16, 34, 130})
            for (const int out : {1, 31, 33, 290})
                for (const bool bf16 : {false, true})
                    QTest::addRow("%s, %d inputs, %d outputs, %s", levelName(level), in, out, bf16 ? "bf16" : "f32")
                        << static_cast<int>(level) << in << out << bf16;
}

void TestKernels::matrixProductEqualsPlainSums()
{
    QFETCH(int, in);
    QFETCH(int, out);
    QFETCH(bool, bf16);
    if (!canMultiplyMatrices(bf16, in))
        QSKIP("this level leaves the product to LibTorch");
    const auto stored = [bf16](std::vector<float> &values, std::vector<std::uint16_t> &narrow) {
        narrow = roundedValues(values);
        if (bf16)
            values = widened(narrow);
        return bf16 ? static_cast<const void *>(narrow.data()) : values.data();
    };
    std::vector<float> weight = normalValues(std::int64_t{out} * in, 3);
    std::vector<float> bias = normalValues(out, 5);
    std::vector<std::uint16_t> narrowWeight;
    std::vector<std::uint16_t> narrowBias;
    const WeightRows view{stored(weight, narrowWeight), bf16, out, in};
    const void *offset = stored(bias, narrowBias);
    std::vector<float> firstRow;
    for (const int rows : {1, 2, 5, 12, 25}) {
        std::vector<float> x = normalValues(std::int64_t{rows} * in, 4); // the first row is the same for every number
        std::vector<std::uint16_t> narrowX;
        const void *input = stored(x, narrowX);
        std::vector<float> y(static_cast<std::size_t>(rows * out), -1);
        std::vector<std::uint16_t> narrowY(y.size());
        void *output = bf16 ? static_cast<void *>(narrowY.data()) : y.data();
        const int middle = out / 2; // in two parts, as threads share it
        matrixProduct(view, input, 0, rows, 0, middle, offset, output);
        matrixProduct(view, input, 0, rows / 2, middle, out, offset, output);
        matrixProduct(view, input, rows / 2, rows, middle, out, offset, output);
        if (bf16)
            y = widened(narrowY);
        for (int r = 0; r < rows; ++r) {
            for (int o = 0; o < out; ++o) {
                double sum = bias[static_cast<std::size_t>(o)];
                for (int k = 0; k < in; ++k)
                    sum += static_cast<double>(x[static_cast<std::size_t>(r * in + k)])
                        * weight[static_cast<std::size_t>(o * in + k)];
                const double rounding = bf16 ? std::abs(sum) / 256 : 0; // of the result
                QVERIFY(std::abs(sum - y[static_cast<std::size_t>(r * out + o)]) <= rounding + 1e-6 * (in + 20));
            }
        }
        if (firstRow.empty())
            firstRow.assign(y.begin(), y.begin() + out);
        QVERIFY(std::equal(firstRow.begin(), firstRow.end(), y.begin())); // to the last bit
    }
}

void TestKernels::wayBackEqualsPlainSums()
{
    QFETCH(int, in);
    QFETCH(int, out);
    QFETCH(bool, bf16);
    if (!canMultiplyMatrices(bf16, out))
        QSKIP("this level leaves the product to LibTorch");
    constexpr int kRows = 13;
    std::vector<float> weight = normalValues(std::int64_t{out} * in, 3);
    std::vector<float> dy = normalValues(std::int64_t{kRows} * out, 4);
    const std::vector<std::uint16_t> narrowWeight = roundedValues(weight);
    const std::vector<std::uint16_t> narrowDy = roundedValues(dy);
    if (bf16) {
        weight = widened(narrowWeight);
        dy = widened(narrowDy);
    }
    const WeightRows view{bf16 ? static_cast<const void *>(narrowWeight.data()) : weight.data(), bf16, out, in};
    const void *input = bf16 ? static_cast<const void *>(narrowDy.data()) : dy.data();
    std::vector<float> dx(static_cast<std::size_t>(kRows * in), -1);
    std::vector<std::uint16_t> narrowDx(dx.size());
    void *output = bf16 ? static_cast<void *>(narrowDx.data()) : dx.data();
    const int middle = in / 2; // in two parts, as threads share it
    matrixProductBack(view, input, 0, kRows, 0, middle, output);
    matrixProductBack(view, input, 0, 5, middle, in, output);
    matrixProductBack(view, input, 5, kRows, middle, in, output);
    if (bf16)
        dx = widened(narrowDx);
    for (int r = 0; r < kRows; ++r) {
        for (int k = 0; k < in; ++k) {
            double sum = 0;
            for (int o = 0; o < out; ++o)
                sum += static_cast<double>(dy[static_cast<std::size_t>(r * out + o)])
                    * weight[static_cast<std::size_t>(o * in + k)];
            const double rounding = bf16 ? std::abs(sum) / 256 : 0; // of the result
            QVERIFY(std::abs(sum - dx[static_cast<std::size_t>(r * in + k)]) <= rounding + 1e-6 * (out + 20));
        }
    }
}

void TestKernels::causalAttentionEqualsItsDefinition_data()
{
    QTest::addColumn<int>("level");
    QTest::addColumn<int>("headDim");
    QTest::addColumn<int>("window");
    QTest::addColumn<int>("past");
    for (const KernelLevel level : levels())
        for (const int headDim : {12, 64, 80})
            for (const int window : {0, 1, 20})
                for (const int past : {0, 37})
                    QTest::addRow("%s, head of %d, window %d, %d before", levelName(level), headDim, window, past)
                        << static_cast<int>(level) << headDim << window << past;
}

void TestKernels::causalAttentionEqualsItsDefinition()
{
    QFETCH(int, headDim);
    QFETCH(int, window);
    QFETCH(int, past);
    if (!canAttendCausally())
        QSKIP("this level leaves attention to LibTorch");
    constexpr std::int64_t kQueries = 41;
    constexpr std::int64_t kHeads = 2;
    const std::int64_t keys = past + kQueries;
    const std::vector<float> q = normalValues(kQueries * kHeads * headDim, 7);
    const std::vector<float> k = normalValues(keys * headDim, 8);
    const std::vector<float> v = normalValues(keys * headDim, 9);
    std::vector<float> mixed(q.size());
    CausalGroup group{q.data(), k.data(), v.data(), mixed.data()};
    group.qStride = group.outStride = kHeads * headDim;
    group.kStride = group.vStride = headDim;
    group.queryHeads = kHeads;
    group.headDim = headDim;
    group.past = past;
    group.window = window;
    group.scale = 0.25F;
    causalAttention(group, 0, kQueries);
    for (std::int64_t i = 0; i < kQueries; ++i) {
        for (std::int64_t head = 0; head < kHeads; ++head) {
            const float *query = q.data() + (i * kHeads + head) * headDim;
            std::vector<double> sums(static_cast<std::size_t>(headDim));
            double total = 0;
            for (std::int64_t j = window > 0 ? std::max<std::int64_t>(0, past + i + 1 - window) : 0; j <= past + i;
                 ++j) {
                double dot = 0;
                for (std::int64_t c = 0; c < headDim; ++c)
                    dot += static_cast<double>(query[c]) * k[static_cast<std::size_t>(j * headDim + c)];
                const double weight = std::exp(dot / 4);
                total += weight;
                for (std::int64_t c = 0; c < headDim; ++c)
                    sums[static_cast<std::size_t>(c)] += weight * v[static_cast<std::size_t>(j * headDim + c)];
            }
            for (std::int64_t c = 0; c < headDim; ++c)
                QVERIFY(std::abs(sums[static_cast<std::size_t>(c)] / total
                                 - mixed[static_cast<std::size_t>((i * kHeads + head) * headDim + c)])
                        < 3e-6);
        }
    }
    const std::vector<float> together = mixed;
    for (std::int64_t i = 0; i < kQueries; i += 7)
        causalAttention(group, i, std::min<std::int64_t>(i + 7, kQueries));
    QVERIFY(mixed == together); // to the last bit
}

void TestKernels::bf16RoundsToTheNearestEvenValue()
{
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    std::vector<float> values = {0.0F, -0.0F, 1.0F, 1.00390625F, 1.01171875F, kInfinity, -kInfinity, 3.4e38F};
    values.resize(16, 1.5F);
    values.push_back(std::numeric_limits<float>::quiet_NaN()); // once in a whole vector, once in the rest
    values.resize(33, -2.0F);
    values.push_back(std::numeric_limits<float>::quiet_NaN());
    const std::vector<float> rounded = widened(roundedValues(values));
    QCOMPARE(rounded[0], 0.0F);
    QVERIFY(std::signbit(rounded[1]));
    QCOMPARE(rounded[2], 1.0F);
    QCOMPARE(rounded[3], 1.0F); // halfway between 1 and 1.0078125: the even one
    QCOMPARE(rounded[4], 1.015625F); // halfway: the even one is above
    QVERIFY(rounded[5] == kInfinity && rounded[6] == -kInfinity);
    QVERIFY(rounded[7] == kInfinity); // beyond the largest bf16
    QVERIFY(std::isnan(rounded[16]) && std::isnan(rounded[33]));
    QCOMPARE(rounded[32], -2.0F);
}

void TestKernels::siluProductEqualsItsDefinition()
{
    std::vector<float> gate;
    for (double value = -120; value <= 120; value += 0.37)
        gate.push_back(static_cast<float>(value));
    const std::vector<float> input = gate;
    const std::vector<float> up(gate.size(), 1.5F);
    siluProduct(gate.data(), up.data(), static_cast<std::int64_t>(gate.size()));
    for (std::size_t i = 0; i < gate.size(); ++i) {
        const double expected = 1.5 * input[i] / (1 + std::exp(-static_cast<double>(input[i])));
        QVERIFY(std::abs(gate[i] - expected) <= 1e-6 * std::abs(expected) + 1e-30);
    }
}

void TestKernels::logSumExpEqualsItsDefinition()
{
    std::int64_t largestAt = -1;
    for (const std::int64_t size : {1, 7, 8, 100, 4096, 5001, 49152}) {
        for (const float factor : {0.1F, 3.0F, 200.0F}) { // the last would overflow without a shift
            std::vector<float> values = normalValues(size, 11);
            for (float &value : values)
                value *= factor;
            const auto largest = std::max_element(values.begin(), values.end());
            double sum = 0;
            for (const float value : values)
                sum += std::exp(static_cast<double>(value) - *largest);
            const double result = logSumExp(values.data(), size, &largestAt);
            QVERIFY(std::abs(result - (*largest + std::log(sum))) <= 1e-6 * std::max(1.0, std::abs(result)));
            QCOMPARE(largestAt, static_cast<std::int64_t>(largest - values.begin()));
            values.back() = *largest; // of equal ones the first
            logSumExp(values.data(), size, &largestAt);
            QCOMPARE(largestAt, static_cast<std::int64_t>(largest - values.begin()));
        }
    }
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const float bad : {kNan, kInfinity}) {
        for (const std::size_t at : {0, 9, 18}) {
            std::vector<float> values = normalValues(19, 12);
            values[at] = bad;
            QVERIFY(!std::isfinite(logSumExp(values.data(), 19, &largestAt)));
        }
    }
    const std::vector<float> none(9, kNan);
    QVERIFY(!std::isfinite(logSumExp(none.data(), 9, &largestAt)));
    std::vector<float> hidden = normalValues(19, 13); // as masked tokens are
    hidden[3] = -kInfinity;
    QVERIFY(std::isfinite(logSumExp(hidden.data(), 19, &largestAt)));
}

void TestKernels::headAttentionEqualsItsDefinition()
{
    constexpr std::int64_t kQueries = 3;
    for (const std::int64_t headDim : {12, 16, 64}) {
        for (const std::int64_t length : {1, 7, 33}) {
            const std::vector<float> q = normalValues(kQueries * headDim, 7);
            for (const bool bf16 : {false, true}) {
                const std::vector<std::uint16_t> narrowKeys = roundedValues(normalValues(length * headDim, 8));
                const std::vector<std::uint16_t> narrowValues = roundedValues(normalValues(length * headDim, 9));
                const std::vector<float> keys = widened(narrowKeys);
                const std::vector<float> values = widened(narrowValues);
                std::vector<float> scores(static_cast<std::size_t>(kQueries * length));
                std::vector<float> mixed(q.size());
                attendHead(q.data(), kQueries, bf16 ? static_cast<const void *>(narrowKeys.data()) : keys.data(),
                           bf16 ? static_cast<const void *>(narrowValues.data()) : values.data(), bf16, length, headDim,
                           0.25F, scores.data(), mixed.data());
                for (std::int64_t r = 0; r < kQueries; ++r) {
                    std::vector<double> weights;
                    double total = 0;
                    for (std::int64_t j = 0; j < length; ++j) {
                        double dot = 0;
                        for (std::int64_t c = 0; c < headDim; ++c)
                            dot += static_cast<double>(q[static_cast<std::size_t>(r * headDim + c)])
                                * keys[static_cast<std::size_t>(j * headDim + c)];
                        weights.push_back(std::exp(dot / 4));
                        total += weights.back();
                    }
                    for (std::int64_t c = 0; c < headDim; ++c) {
                        double sum = 0;
                        for (std::int64_t j = 0; j < length; ++j)
                            sum += weights[static_cast<std::size_t>(j)] / total
                                * values[static_cast<std::size_t>(j * headDim + c)];
                        QVERIFY(std::abs(sum - mixed[static_cast<std::size_t>(r * headDim + c)]) < 2e-6);
                    }
                }
            }
        }
    }
}

void TestKernels::nanPassesThroughTheKernels()
{
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> gate(16, kNan);
    const std::vector<float> ones(16, 1.0F);
    siluProduct(gate.data(), ones.data(), 16);
    QVERIFY(std::isnan(gate[0]) && std::isnan(gate[15]));
    std::vector<float> query(16, 1.0F);
    std::vector<float> keys(16 * 16, 1.0F);
    keys[16 * 3] = kNan;
    const std::vector<float> values(16 * 16, 1.0F);
    std::vector<float> scores(16);
    std::vector<float> mixed(16);
    attendHead(query.data(), 1, keys.data(), values.data(), false, 16, 16, 1.0F, scores.data(), mixed.data());
    QVERIFY(std::isnan(mixed[0]));
    std::vector<float> x(16, 1.0F);
    x[5] = kNan;
    std::vector<float> room(static_cast<std::size_t>(rowProductRoom(1, 16)));
    const std::vector<std::uint16_t> weight(16, 0x3F80);
    float y = 0;
    rowProduct({weight.data(), true, 1, 16}, x.data(), 1, 0, 1, &y, 1, room.data());
    QVERIFY(std::isnan(y));
}

QTEST_GUILESS_MAIN(TestKernels)
#include "tst_kernels.moc"
