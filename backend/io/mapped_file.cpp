#include "backend/io/mapped_file.h"
