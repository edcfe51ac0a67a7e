#include "backend/io/weight_files.h"
