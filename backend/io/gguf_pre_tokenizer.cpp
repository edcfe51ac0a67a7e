#include "backend/io/gguf_pre_tokenizer.h"

#include <algorithm>
#include <array>

namespace secateur {

namespace {

constexpr std::string_view kLlama3Pattern
    = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern
    = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekkenPattern
    = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4oPattern
    = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::array<GgufPreTokenizer, 19> kGgufPreTokenizers{{
    {.name = "default", .pattern = {}},
    {.name = "gpt-2", .pattern = {}},
    {.name = "gpt2", .pattern = {}},
    {.name = "olmo", .pattern = {}},
    {.name = "mpt", .pattern = {}},
    {.name = "phi-2", .pattern = {}},
    {.name = "smollm", .pattern = {}, .singleDigits = true},
    {.name = "starcoder", .pattern = {}, .singleDigits = true},
    {.name = "refact", .pattern = {}, .singleDigits = true},
    {.name = "command-r", .pattern = {}, .singleDigits = true},
    {.name = "llama-bpe", .pattern = kLlama3Pattern, .ignoresMerges = true, .addsBosByDefault = true},
    {.name = "llama3", .pattern = kLlama3Pattern, .ignoresMerges = true, .addsBosByDefault = true},
    {.name = "llama-v3", .pattern = kLlama3Pattern, .ignoresMerges = true, .addsBosByDefault = true},
    {.name = "smaug-bpe", .pattern = kLlama3Pattern},
    {.name = "dbrx", .pattern = kLlama3Pattern},
    {.name = "qwen2", .pattern = kQwen2Pattern, .composes = true},
    {.name = "deepseek-r1-qwen", .pattern = kQwen2Pattern},
    {.name = "tekken", .pattern = kTekkenPattern, .ignoresMerges = true, .addsBosByDefault = true},
    {.name = "gpt-4o", .pattern = kGpt4oPattern},
}};

} // namespace

const GgufPreTokenizer *findGgufPreTokenizer(std::string_view name)
{
    const auto *found = std::ranges::find(kGgufPreTokenizers, name, &GgufPreTokenizer::name);
    return found == kGgufPreTokenizers.end() ? nullptr : found;
}

} // namespace secateur
