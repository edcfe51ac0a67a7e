#include "backend/workflow/workbench.h"
