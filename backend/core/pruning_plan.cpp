#include "backend/core/pruning_plan.h"
