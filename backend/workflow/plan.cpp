#include "backend/workflow/plan.h"
