#include "backend/engine/training.h"
