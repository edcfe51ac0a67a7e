#include "backend/core/model_config.h"
