#include "backend/engine/transforms.h"
