#include "backend/engine/model.h"
