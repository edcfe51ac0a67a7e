#pragma once

#include "backend/core/run_config.h"
#include "backend/engine/model.h"

#include <filesystem>
#include <memory>
#include <string>

namespace secateur {

/// A LoRA adapter (PEFT form): per module path "model.layers.0.self_attn.q_proj" A [r, in] and B [out, r]; effective
/// weight W + (alpha/r)·B·A, or alpha/√r with rsLoRA. Compute thread only; copies share tensors.
class Adapter {
public:
    struct Impl; ///< backend/engine/training/lora.h
    explicit Adapter(std::shared_ptr<const Impl> impl) : m_impl(std::move(impl)) {}
    const Impl &impl() const { return *m_impl; }
    std::int64_t parameters() const;

private:
    std::shared_ptr<const Impl> m_impl;
};

/// Reads adapter_config.json + adapter_model.safetensors for \a base. Throws Error(BadFormat) naming file and key when a
/// module does not exist or a shape does not fit, Error(Unsupported) for DoRA, biases and other PEFT types.
Adapter loadAdapter(const std::filesystem::path &folder, const Model &base);

/// Writes the folder whole or not at all. \a basePath goes into base_model_name_or_path.
void saveAdapter(const Adapter &adapter, const std::filesystem::path &folder, const std::string &basePath);

/// The model with the adapter running beside its weights (unmerged).
Model withAdapter(const Model &base, const Adapter &adapter);

/// The model with W + scaling·B·A in place of W.
Model mergeAdapter(const Model &base, const Adapter &adapter);

} // namespace secateur
