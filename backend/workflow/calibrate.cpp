#include "backend/workflow/calibrate.h"
