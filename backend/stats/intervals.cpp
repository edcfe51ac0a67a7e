#include "backend/stats/intervals.h"
