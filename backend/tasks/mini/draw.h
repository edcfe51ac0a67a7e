#pragma once

#include "backend/core/seeded_random.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Draws for the mini world. Two draws never stand in one expression where C++ leaves their order open: the same seed
// must give the same bytes with every compiler.

namespace secateur::mini {

using Words = std::span<const std::string_view>;

/// low … high, each equally likely
inline int between(SeededRandom &random, int low, int high)
{
    const int count = high - low + 1;
    return low + static_cast<int>(random.below(static_cast<std::uint64_t>(count)));
}

inline bool chance(SeededRandom &random, int percent)
{
    return between(random, 0, 99) < percent;
}

inline int indexOf(SeededRandom &random, std::size_t count)
{
    return static_cast<int>(random.below(count));
}

inline std::string pick(SeededRandom &random, Words words)
{
    return std::string(words[random.below(words.size())]);
}

/// \a wanted different numbers of 0 … count − 1, in random order
inline std::vector<int> distinct(SeededRandom &random, std::size_t count, std::size_t wanted)
{
    const auto order = random.permutation(count);
    return {order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted)};
}

/// Index of one weight, drawn in proportion
int weighted(SeededRandom &random, std::span<const int> weights);

/// A generator of its own for each use of one seed, so that more of one thing does not change another.
SeededRandom stream(std::uint64_t seed, std::string_view name);

} // namespace secateur::mini
