#include "backend/core/resource_path.h"
