#pragma once

#include "backend/core/model_config.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace secateur {

/// One stored tensor, from headers alone.
struct TensorInfo {
    std::string name;  ///< as stored in the file
    std::string dtype; ///< "F32", "BF16", "Q4_1", …
    std::vector<std::int64_t> shape; ///< row-major, [out, in] for linear weights
    std::string file;  ///< file name without folder
    std::uint64_t offset = 0; ///< byte offset of the data in the file
    std::uint64_t bytes = 0;
};

/// What can be known of a model without reading its weights.
struct ModelInfo {
    enum class Source { HuggingFaceFolder, Gguf };
    Source source = Source::HuggingFaceFolder;
    std::filesystem::path path; ///< the folder or the GGUF file
    std::string name;           ///< last path component without extension
    std::optional<ModelConfig> config; ///< absent: inspection only
    std::string modelType;      ///< also for unknown families
    std::string inspectOnlyReason; ///< why the model can only be looked at; empty when it can be loaded
    std::vector<TensorInfo> tensors;
    std::int64_t parameters = 0;
    std::uint64_t bytes = 0;    ///< of all tensor data as stored
    std::vector<std::string> dtypes; ///< distinct, most bytes first
    std::string digest;         ///< SHA-256 over config, every header, size and a sample of the data, hex
};

/// Memory that a loaded model needs, in bytes, with its parts. Same numbers in the window and on the command line.
struct MemoryEstimate {
    std::uint64_t weights = 0;
    std::uint64_t activations = 0; ///< calibration at batch tokens × hidden states
    std::uint64_t cache = 0;       ///< keys and values at the given context
    std::uint64_t total() const { return weights + activations + cache; }
};

/// \a bytesPerElement 4 for f32, 2 for bf16; \a batchTokens tokens in one forward; \a context cached positions.
MemoryEstimate estimateMemory(const ModelConfig &config, int bytesPerElement, std::int64_t batchTokens = 4096,
                              std::int64_t context = 512);

} // namespace secateur
