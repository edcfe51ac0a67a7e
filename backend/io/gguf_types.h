#pragma once

#include <cstdint>
#include <string_view>

namespace secateur {

/// One of GGML's storage types: elements come in blocks of fixed size.
struct GgufType {
    std::uint32_t id;
    std::string_view name;
    std::uint32_t blockElements;
    std::uint32_t blockBytes;
};

/// nullptr when the number is unknown.
const GgufType *ggufType(std::uint32_t id);

} // namespace secateur
