#include "backend/io/session_file.h"
