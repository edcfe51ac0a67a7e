#include "backend/workflow/recipe.h"
