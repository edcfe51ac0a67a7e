#pragma once

#include "backend/core/calibration.h"
#include "backend/core/eval_report.h"
#include "backend/core/model_config.h"
#include "backend/core/pruning_plan.h"
#include "backend/core/run_config.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace secateur {

/// The model a session is about: enough to find it again and to work without it.
struct SessionModel {
    std::string alias;        ///< shown name
    std::string relativePath; ///< from the session file's folder, generic separators
    std::string digest;       ///< ModelInfo::digest
    std::string source;       ///< "hf" or "gguf"
    std::int64_t parameters = 0;
    std::uint64_t bytes = 0;
    ModelConfig config;
};

/// One recovery run: record, never edited.
struct RunRecord {
    std::string id;        ///< "run-1"
    std::string plan;      ///< id of the plan whose model was trained; empty: dense
    std::string name;      ///< "LoRA, 20 steps"
    RecoveryOptions options;
    std::string dataName;
    std::string dataSha256;
    std::vector<double> losses;        ///< per step, nat/token
    std::vector<double> learningRates; ///< per step
    double tokensPerSecond = 0;
    std::int64_t droppedSamples = 0;
    std::string adapterPath; ///< relative to the session file
};

/// The document as values. Opens without the weights.
struct Session {
    SessionModel model;
    std::vector<CalibrationRecord> calibrations;
    std::shared_ptr<const AnalysisResult> analysis; ///< maps; stored in an HDF5 file beside the session
    /// Maps of the model's sibling, of the same shapes, to compare with; in a file beside the session as well.
    std::shared_ptr<const AnalysisResult> twin;
    std::vector<PruningPlan> plans;
    std::vector<RunRecord> runs;
    std::vector<EvaluationReportPtr> reports;
    UnitSet selection;
    UnitSet locked;
    std::map<std::string, std::string> views; ///< UI state worth sharing: map, metric, scale, tab
    std::vector<std::string> history;         ///< readable steps
    std::string created, modified;            ///< ISO 8601, UTC
    std::string unknownJson; ///< keys of a newer minor version, written back on save
};

} // namespace secateur
