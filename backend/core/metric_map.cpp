#include "backend/core/metric_map.h"
