#include "backend/engine/analysis.h"
