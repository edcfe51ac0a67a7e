#pragma once

#include "backend/core/model_info.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace secateur {

/// The stored weights of a model under Hugging Face names ("model.layers.0.self_attn.q_proj.weight"), whatever the
/// container: one safetensors file, shards with an index, or GGUF. Memory-mapped; nothing is copied until asked.
class WeightFiles {
public:
    virtual ~WeightFiles() = default;

    struct Entry {
        std::string name;  ///< Hugging Face name
        std::string dtype; ///< stored type: "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", …
        std::vector<std::int64_t> shape;
        std::string file;  ///< file name, for messages
        std::span<const std::byte> bytes; ///< mapped
        int permutedHeads = 0; ///< > 0: GGUF llama Q/K rows, per head [2, h/2] → undone by readF32()
    };
    virtual const Entry *find(std::string_view name) const = 0;
    virtual const std::vector<Entry> &entries() const = 0;

    /// Converts the entry to f32 into \a out (element count must match), dequantising and un-permuting.
    /// Throws Error(Unsupported) naming file, tensor and type when the type cannot be read.
    static void readF32(const Entry &entry, std::span<float> out);
    /// true when `bytes` can be used as they are for dtype F32 / F16 / BF16 (no quantisation, no permutation)
    static bool isPlain(const Entry &entry);
    /// true when readF32() knows the type
    static bool isReadable(std::string_view dtype);
};

/// Opens a Hugging Face folder, a single .safetensors file in one, an index file in one, or a GGUF file: headers only.
/// Unknown model types give ModelInfo with `config` absent and a reason. A folder with pytorch_model.bin only, or a
/// .bin/.pt file, is refused with the reason and a conversion hint. Missing and extra shards are named.
/// Checks shapes of all expected tensors against the configuration.
ModelInfo inspectModel(const std::filesystem::path &path);

/// The weights behind \a info. Throws as inspectModel().
std::unique_ptr<WeightFiles> openWeights(const ModelInfo &info);

/// Tensor names and shapes that a model of this configuration has, biases and norms included, in layer order.
struct ExpectedTensor {
    std::string name;
    std::vector<std::int64_t> shape;
};
std::vector<ExpectedTensor> expectedTensors(const ModelConfig &config);

/// Files of the model's folder that travel with an export (tokenizer, template, generation config, licence, README),
/// existing ones only. For GGUF, synthesised files as (name, contents).
struct CompanionFile {
    std::string name;
    std::string contents;
};
std::vector<CompanionFile> companionFiles(const ModelInfo &info);

} // namespace secateur
