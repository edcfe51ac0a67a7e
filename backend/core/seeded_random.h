#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace secateur {

/// SplitMix64 (Steele, Lea, Flood 2014) with unbiased ranges: the same seed draws the same windows and rows whatever
/// C++ library the program was built with.
class SeededRandom {
public:
    explicit SeededRandom(std::uint64_t seed) : m_state(seed) { }

    std::uint64_t next()
    {
        m_state += 0x9E3779B97F4A7C15ull;
        std::uint64_t z = m_state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }

    /// 0 … count − 1, each equally likely. \a count must not be 0.
    std::uint64_t below(std::uint64_t count)
    {
        const std::uint64_t rejected = (0 - count) % count; // 2^64 mod count
        std::uint64_t value = next();
        while (value < rejected)
            value = next();
        return value % count;
    }

    /// 0 … count − 1 in random order (Fisher and Yates).
    std::vector<std::size_t> permutation(std::size_t count)
    {
        std::vector<std::size_t> order(count);
        for (std::size_t i = 0; i < count; ++i)
            order[i] = i;
        for (std::size_t i = count; i > 1; --i)
            std::swap(order[i - 1], order[below(i)]);
        return order;
    }

private:
    std::uint64_t m_state;
};

} // namespace secateur
