#include "backend/engine/training/checkpoint.h"

#include "backend/core/error.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/transforms.h"
#include "backend/io/atomic_file.h"
#include "backend/io/record_json.h"
#include "backend/io/safetensors.h"

#include <nlohmann/json.hpp>

#include <ATen/ops/empty.h>

#include <charconv>
#include <cstring>
#include <limits>
#include <system_error>

namespace secateur {

namespace {

constexpr const char *kCheckpointPrefix = "step-";
constexpr const char *kCheckpointFile = "checkpoint.json";
constexpr const char *kOptimizerFile = "optimizer.safetensors";
constexpr const char *kRandomKey = "random";

std::string checkpointName(std::int64_t step)
{
    const std::string digits = std::to_string(step);
    return kCheckpointPrefix + std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

/// The step in a folder's name; -1 for other folders.
std::int64_t checkpointStep(const std::filesystem::path &folder)
{
    const std::string name = folder.filename().string();
    const std::string_view digits
        = std::string_view(name).substr(std::min(name.size(), std::strlen(kCheckpointPrefix)));
    std::int64_t step = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
    const bool isWhole = error == std::errc{} && end == digits.data() + digits.size();
    return name.starts_with(kCheckpointPrefix) && isWhole ? step : -1;
}

/// Older checkpoints, and what a killed process left half written.
void checkpointClean(const std::filesystem::path &root, const std::string &kept)
{
    std::error_code ignored;
    std::vector<std::filesystem::path> old;
    for (std::filesystem::directory_iterator it(root, ignored), end; it != end; it.increment(ignored)) {
        const std::string name = it->path().filename().string();
        if (name != kept && (checkpointStep(it->path()) >= 0 || name.starts_with("." + std::string(kCheckpointPrefix))))
            old.push_back(it->path());
    }
    for (const std::filesystem::path &path : old)
        std::filesystem::remove_all(path, ignored);
}

nlohmann::json checkpointJson(const CheckpointRecord &record)
{
    auto points = nlohmann::json::array();
    for (const TrainingPoint &point : record.points)
        points.push_back({point.step, numberToJson(point.loss), numberToJson(point.learningRate),
                          numberToJson(point.tokensPerSecond), numberToJson(point.gradientNorm)});
    auto heldOut = nlohmann::json::array();
    for (const HeldOutPoint &point : record.heldOut)
        heldOut.push_back({point.step, numberToJson(point.loss)});
    return {{"format", "secateur checkpoint"},
            {"version", 1},
            {"options", toJson(record.options)},
            {"step", record.step},
            {"tokens", record.tokens},
            {"samples", record.samples},
            {"points", points},
            {"held_out", heldOut},
            {"origin", record.origin}};
}

std::vector<JsonNode> checkpointRow(const JsonNode &node, std::size_t size)
{
    std::vector<JsonNode> row = node.items();
    if (row.size() != size)
        node.fail("is not a list of " + std::to_string(size) + " numbers");
    return row;
}

CheckpointRecord checkpointRead(const std::filesystem::path &folder)
{
    const std::string file = (folder / kCheckpointFile).string();
    const nlohmann::json json = parseJsonText(readTextFile(file), file);
    const JsonNode root(json, file);
    if (root.at("format").string() != "secateur checkpoint")
        root.at("format").fail("is not that of a checkpoint");
    if (root.at("version").integer(1) > 1)
        throw Error(ErrorKind::UnsupportedVersion, file + " was written by a newer version of this program.",
                    "Use the version that wrote it.");
    CheckpointRecord record;
    record.folder = folder;
    record.options = recoveryOptionsFromJson(root.at("options"));
    record.step = root.at("step").integer(0);
    record.tokens = root.at("tokens").integer(0);
    record.samples = root.at("samples").integer(0);
    for (const JsonNode &node : root.at("points").items()) {
        const auto row = checkpointRow(node, 5);
        record.points.push_back(
            {row[0].integer(1), row[1].number(), row[2].number(), row[3].number(), row[4].number()});
    }
    if (static_cast<std::int64_t>(record.points.size()) != record.step)
        root.at("points").fail("does not have one row per step");
    for (const JsonNode &node : root.at("held_out").items()) {
        const auto row = checkpointRow(node, 2);
        record.heldOut.push_back({row[0].integer(0), row[1].number()});
    }
    root.at("origin").forEachMember(
        [&](const std::string &key, const JsonNode &value) { record.origin[key] = value.string(); });
    return record;
}

/// Fills \a target with the bytes that \a file has under \a key.
void checkpointFill(const SafetensorsFile &file, const std::string &key, Tensor target)
{
    const TensorInfo *info = file.find(key);
    const std::vector<std::int64_t> shape(target.sizes().begin(), target.sizes().end());
    if (!info || info->shape != shape || info->dtype != "F32")
        throw Error(ErrorKind::BadFormat,
                    "The checkpoint " + file.file().path().string() + " has no F32 tensor \"" + key
                        + "\" of the shape that this model needs.",
                    "Use the model that the run was started with.");
    const std::span<const std::byte> bytes = file.data(*info);
    const Tensor read = at::empty(shape, at::kFloat);
    std::memcpy(read.mutable_data_ptr(), bytes.data(), bytes.size());
    target.copy_(read);
}

} // namespace

CheckpointRecord latestCheckpoint(const std::filesystem::path &folder)
{
    std::error_code error;
    if (std::filesystem::exists(folder / kCheckpointFile, error))
        return checkpointRead(folder);
    std::filesystem::path latest;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        if (checkpointStep(it->path()) >= 0 && (latest.empty() || checkpointStep(it->path()) > checkpointStep(latest)))
            latest = it->path();
    }
    if (latest.empty())
        throw Error(ErrorKind::NotFound, "There is no checkpoint in '" + folder.string() + "'.",
                    "A run writes checkpoints beside its output when it is told after how many steps.");
    return checkpointRead(latest);
}

void writeCheckpoint(const std::filesystem::path &root, const CheckpointRecord &record, const TrainedModel &trained,
                     Optimizer &optimizer, const Tensor &random)
{
    const std::string name = checkpointName(record.step);
    AtomicFolder folder(root / name);
    if (trained.branches.empty()) {
        const std::filesystem::path weights = folder.path() / "weights";
        std::filesystem::create_directory(weights);
        saveWeights(trained.weights(), weights, "F32", {}, std::numeric_limits<std::uint64_t>::max());
    } else {
        saveAdapter(*trained.adapter(), folder.path() / "adapter", {});
    }
    std::vector<Tensor> stored; // holds the memory of the views
    std::vector<TensorView> views;
    const auto add = [&](const std::string &key, const char *dtype, const Tensor &tensor) {
        stored.push_back(tensor.to(at::kCPU).contiguous());
        const Tensor &copy = stored.back();
        views.push_back({key,
                         dtype,
                         {copy.sizes().begin(), copy.sizes().end()},
                         {static_cast<const std::byte *>(copy.const_data_ptr()), copy.nbytes()}});
    };
    add(kRandomKey, "U8", random);
    optimizer.visitState([&](const std::string &key, Tensor &state) { add(key, "F32", state); });
    writeSafetensors(folder.path() / kOptimizerFile, views);
    writeFileAtomically(folder.path() / kCheckpointFile, prettyJson(checkpointJson(record)));
    folder.commit();
    checkpointClean(root, name);
}

Tensor readCheckpoint(const CheckpointRecord &record, const TrainedModel &trained, Optimizer &optimizer)
{
    const NoGradScope scope;
    const bool isAdapter = !trained.branches.empty();
    const SafetensorsFile weights(record.folder
                                  / (isAdapter ? "adapter/adapter_model.safetensors" : "weights/model.safetensors"));
    for (const TrainedTensor &tensor : trained.tensors)
        checkpointFill(weights, (isAdapter ? "base_model.model." : "") + tensor.name, tensor.value.detach());
    const SafetensorsFile state(record.folder / kOptimizerFile);
    optimizer.setSteps(record.step);
    optimizer.visitState([&](const std::string &key, Tensor &tensor) { checkpointFill(state, key, tensor); });
    const TensorInfo *info = state.find(kRandomKey);
    if (!info || info->dtype != "U8")
        throw Error(ErrorKind::BadFormat,
                    "The checkpoint " + state.file().path().string() + " has no tensor \"" + kRandomKey + "\".");
    const std::span<const std::byte> bytes = state.data(*info);
    const Tensor random = at::empty({static_cast<std::int64_t>(bytes.size())}, at::kByte);
    std::memcpy(random.mutable_data_ptr(), bytes.data(), bytes.size());
    return random;
}

} // namespace secateur
