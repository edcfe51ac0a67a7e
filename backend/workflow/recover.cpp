#include "backend/workflow/recover.h"
