#include "backend/text/tokenizer.h"
