#include "backend/io/corpus.h"
