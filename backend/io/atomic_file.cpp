#include "backend/io/atomic_file.h"
