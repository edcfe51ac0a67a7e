#include "backend/tasks/task.h"
