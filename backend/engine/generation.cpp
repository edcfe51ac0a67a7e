#include "backend/engine/generation.h"
