#include "backend/io/safetensors.h"
