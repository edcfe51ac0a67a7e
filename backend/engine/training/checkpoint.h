#pragma once

#include "backend/engine/training.h"
#include "backend/engine/training/trained_model.h"

#include <filesystem>

namespace secateur {

/// Writes a checkpoint into \a root and removes older ones when it is whole. \a record's folder is ignored; \a random
/// is the state of the random numbers in front of the next step.
void writeCheckpoint(const std::filesystem::path &root, const CheckpointRecord &record, const TrainedModel &trained,
                     Optimizer &optimizer, const Tensor &random);

/// Puts weights and optimiser back as \a record's folder has them; the state of the random numbers is returned. Throws
/// Error(BadFormat) when the files do not fit the model.
Tensor readCheckpoint(const CheckpointRecord &record, const TrainedModel &trained, Optimizer &optimizer);

} // namespace secateur
