#include "backend/core/calibration.h"
