#include "backend/text/chat_template.h"
