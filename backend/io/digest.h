#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace secateur {

/// Streaming SHA-256 (FIPS 180-4).
class Sha256 {
public:
    Sha256();
    void update(const void *data, std::size_t size);
    void update(std::string_view text) { update(text.data(), text.size()); }
    std::string hex(); ///< finishes; 64 lower-case hex digits

private:
    void block(const std::uint8_t *data);
    std::uint32_t m_state[8];
    std::uint8_t m_buffer[64];
    std::uint64_t m_length = 0;
};

std::string sha256Hex(std::string_view bytes);

} // namespace secateur
