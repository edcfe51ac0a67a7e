#include "backend/workflow/evaluate.h"
