#pragma once

#include "backend/core/calibration.h"
#include "backend/core/eval_report.h"
#include "backend/core/model_config.h"
#include "backend/core/pruning_plan.h"
#include "backend/core/run_config.h"
#include "backend/core/session.h"
#include "backend/io/json_node.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace secateur {

// The JSON form of the records of a session. Reading is strict: a value of the wrong kind throws Error(BadFormat) with
// file and JSON pointer; a missing optional member keeps its default.

nlohmann::json toJson(const UnitSet &units);
nlohmann::json toJson(const PruningPlan &plan);
nlohmann::json toJson(const CalibrationRecord &record);
nlohmann::json toJson(const RecoveryOptions &options);
nlohmann::json toJson(const RunRecord &run);
nlohmann::json toJson(const ModelConfig &config);
nlohmann::json toJson(const SessionModel &model);
nlohmann::json toJson(const SampleResult &sample);
nlohmann::json toJson(const TaskReport &report); ///< without the samples
nlohmann::json toJson(const EvaluationReport &report); ///< without the samples

UnitSet unitSetFromJson(const JsonNode &node);
PruningPlan planFromJson(const JsonNode &node);
CalibrationRecord calibrationFromJson(const JsonNode &node);
RecoveryOptions recoveryOptionsFromJson(const JsonNode &node);
RunRecord runFromJson(const JsonNode &node);
ModelConfig modelConfigFromJson(const JsonNode &node);
SessionModel sessionModelFromJson(const JsonNode &node);
SampleResult sampleFromJson(const JsonNode &node);
TaskReport taskReportFromJson(const JsonNode &node);
EvaluationReport evaluationFromJson(const JsonNode &node);

/// The present time as "2031-05-17T09:30:00Z".
std::string utcTimeText();

} // namespace secateur
