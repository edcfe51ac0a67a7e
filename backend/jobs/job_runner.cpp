#include "backend/jobs/job_runner.h"
