#include "backend/workflow/prune.h"
