#include "backend/engine/forward.h"
