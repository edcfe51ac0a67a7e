#include "backend/io/map_archive.h"
