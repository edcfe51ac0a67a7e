#include "backend/core/model_info.h"
