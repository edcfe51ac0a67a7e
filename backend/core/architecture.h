#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace secateur {

/// One family of Llama-like decoders as a descriptor file says it: what its config.json means where it is silent, and
/// what its tensors are called. A family needs no code, only a file.
struct Architecture {
    /// Whether a linear has a bias: always, never, or as this key of config.json says.
    using Bias = std::variant<bool, std::string>;
    enum class Window { Never, Always, IfUsed };

    std::string modelType; ///< `model_type` in config.json
    std::string className; ///< `architectures` in config.json
    int maxPositions = 0; ///< defaults of the keys of config.json
    int headDim = 0; ///< 0: hidden_size / num_attention_heads
    double rmsNormEps = 0;
    double ropeTheta = 0;
    bool tiedEmbeddings = false;
    bool kvHeadsRequired = false; ///< otherwise as many as query heads
    Bias queryKeyValueBias, outputBias, mlpBias;
    bool queryKeyNorm = false;
    Window window = Window::Never;
    std::string ggufName; ///< `general.architecture` of GGUF files; empty: none
    bool ggufPermutedHeads = false; ///< rows of q and k are [h/2, 2] per head there

    /// Names of this program ("model.layers.{}.self_attn.q_proj", without ".weight") → stored names, where they differ.
    using Names = std::map<std::string, std::string, std::less<>>;
    Names tensors;
    Names ggufTensors;

    /// This program's name of a tensor called \a stored in a model folder; \a stored itself when no pattern fits.
    std::string tensorName(std::string_view stored) const;
    /// Name in a model folder of the tensor that this program calls \a name.
    std::string storedName(std::string_view name) const;
    /// This program's name of a tensor in a GGUF file, empty when it is no weight of the model.
    std::string ggufTensorName(std::string_view stored) const;
};

/// All families: files *.json of $SECATEUR_ARCHITECTURES (a folder, may be unset) and of the program's resources; for
/// one model_type the former win. A file may start from another with "like". Any thread; read once per folder. Throws
/// Error(BadFormat) naming file and field.
const std::vector<Architecture> &architectures();

/// The family of a `model_type` or of a GGUF `general.architecture`, nullptr when there is none.
const Architecture *findArchitecture(std::string_view modelType);
const Architecture *findGgufArchitecture(std::string_view name);

/// "llama, mistral, qwen2 and qwen3"
std::string knownArchitectures();

} // namespace secateur
