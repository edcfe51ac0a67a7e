#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace secateur {

/// Writes GGUF files for tests, right ones and wrong ones.
class GgufBuilder {
public:
    std::uint32_t version = 3;
    std::uint64_t alignment = 32;
    std::int64_t extraTensorCount = 0; ///< added to the true count
    std::int64_t extraKeyCount = 0;

    struct Tensor {
        std::string name;
        std::uint32_t type = 0;
        std::vector<std::uint64_t> dimensions; ///< fastest first, as in the file
        std::string data;
        std::int64_t shift = 0; ///< added to the true offset
    };

    GgufBuilder &integer(const std::string &key, std::uint32_t value) { return raw(key, 4, bytes(value)); }
    GgufBuilder &number(const std::string &key, float value) { return raw(key, 6, bytes(value)); }
    GgufBuilder &boolean(const std::string &key, bool value)
    {
        return raw(key, 7, std::string(1, value ? '\1' : '\0'));
    }
    GgufBuilder &text(const std::string &key, const std::string &value) { return raw(key, 8, string(value)); }
    GgufBuilder &integers(const std::string &key, const std::vector<std::int32_t> &values)
    {
        std::string data = bytes(std::uint32_t(5)) + bytes(std::uint64_t(values.size()));
        for (const std::int32_t value : values)
            data += bytes(value);
        return raw(key, 9, data);
    }
    GgufBuilder &numbers(const std::string &key, const std::vector<float> &values)
    {
        std::string data = bytes(std::uint32_t(6)) + bytes(std::uint64_t(values.size()));
        for (const float value : values)
            data += bytes(value);
        return raw(key, 9, data);
    }
    GgufBuilder &texts(const std::string &key, const std::vector<std::string> &values)
    {
        std::string data = bytes(std::uint32_t(8)) + bytes(std::uint64_t(values.size()));
        for (const std::string &value : values)
            data += string(value);
        return raw(key, 9, data);
    }
    /// \a data as it stands in the file after the value type.
    GgufBuilder &raw(const std::string &key, std::uint32_t type, const std::string &data)
    {
        m_keys.push_back(string(key) + bytes(type) + data);
        return *this;
    }
    GgufBuilder &tensor(Tensor tensor)
    {
        m_tensors.push_back(std::move(tensor));
        return *this;
    }
    /// An F32 tensor; \a shape row-major, every value \a value.
    GgufBuilder &floats(const std::string &name, std::vector<std::uint64_t> shape, float value = 0)
    {
        std::uint64_t count = 1;
        for (const std::uint64_t extent : shape)
            count *= extent;
        std::string data;
        for (std::uint64_t i = 0; i < count; ++i)
            data += bytes(value);
        return tensor({name, 0, {shape.rbegin(), shape.rend()}, data, 0});
    }

    std::string contents() const
    {
        std::string file = "GGUF" + bytes(version)
            + bytes(static_cast<std::uint64_t>(static_cast<std::int64_t>(m_tensors.size()) + extraTensorCount))
            + bytes(static_cast<std::uint64_t>(static_cast<std::int64_t>(m_keys.size()) + extraKeyCount));
        for (const std::string &key : m_keys)
            file += key;
        std::string data;
        for (const Tensor &tensor : m_tensors) {
            file += string(tensor.name) + bytes(static_cast<std::uint32_t>(tensor.dimensions.size()));
            for (const std::uint64_t extent : tensor.dimensions)
                file += bytes(extent);
            file += bytes(tensor.type)
                + bytes(static_cast<std::uint64_t>(static_cast<std::int64_t>(data.size()) + tensor.shift));
            data += tensor.data;
            data.append((alignment - data.size() % alignment) % alignment, '\0');
        }
        file.append((alignment - file.size() % alignment) % alignment, '\0');
        return file + data;
    }
    void write(const std::filesystem::path &path) const { std::ofstream(path, std::ios::binary) << contents(); }

    template <typename T> static std::string bytes(T value)
    {
        std::string result(sizeof value, '\0');
        std::memcpy(result.data(), &value, sizeof value);
        return result;
    }
    static std::string string(const std::string &text) { return bytes(std::uint64_t(text.size())) + text; }

private:
    std::vector<std::string> m_keys;
    std::vector<Tensor> m_tensors;
};

/// The keys of a small model: D 8, two layers, 2 heads and 1 KV head of 4, F 6, V 5
inline GgufBuilder tinyGgufModel(const std::string &architecture = "llama")
{
    GgufBuilder builder;
    const std::string prefix = architecture + ".";
    builder.text("general.architecture", architecture)
        .integer(prefix + "block_count", 2)
        .integer(prefix + "embedding_length", 8)
        .integer(prefix + "context_length", 64)
        .integer(prefix + "feed_forward_length", 6)
        .integer(prefix + "attention.head_count", 2)
        .integer(prefix + "attention.head_count_kv", 1)
        .number(prefix + "attention.layer_norm_rms_epsilon", 1e-5f)
        .number(prefix + "rope.freq_base", 10000);
    return builder;
}

/// The tensors of that model; \a complete false: the last one is missing.
inline GgufBuilder withTinyTensors(GgufBuilder builder, bool complete = true)
{
    builder.floats("token_embd.weight", {5, 8}, 0.5f).floats("output_norm.weight", {8});
    for (const std::string block : {"blk.0.", "blk.1."}) {
        builder.floats(block + "attn_norm.weight", {8})
            .floats(block + "attn_q.weight", {8, 8})
            .floats(block + "attn_k.weight", {4, 8})
            .floats(block + "attn_v.weight", {4, 8})
            .floats(block + "attn_output.weight", {8, 8})
            .floats(block + "ffn_norm.weight", {8})
            .floats(block + "ffn_gate.weight", {6, 8})
            .floats(block + "ffn_up.weight", {6, 8});
        if (complete || block == "blk.0.")
            builder.floats(block + "ffn_down.weight", {8, 6});
    }
    return builder;
}

} // namespace secateur
