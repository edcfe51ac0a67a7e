#include "backend/text/trace.h"
