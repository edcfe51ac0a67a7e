#include "backend/io/gguf_file.h"
