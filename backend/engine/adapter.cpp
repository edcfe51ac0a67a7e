#include "backend/engine/adapter.h"
