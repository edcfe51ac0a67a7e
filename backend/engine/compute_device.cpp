#include "backend/engine/compute_device.h"
