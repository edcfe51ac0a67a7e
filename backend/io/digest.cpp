#include "backend/io/digest.h"
