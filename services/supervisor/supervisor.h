// The life of the whole: Redis, then everything else, readiness, provisioning, the report; afterwards the
// children are kept alive until the end is asked for, or one of them is beyond help.
#ifndef GTV_SUPERVISOR_SUPERVISOR_H
#define GTV_SUPERVISOR_SUPERVISOR_H

#include "services/supervisor/plan.h"

// Runs until SIGINT, SIGTERM or a hopeless child. Returns the exit status. started_ms: monotonic clock of the
// program's start.
int supervisor_run(const struct plan *plan, int guard, int64_t started_ms);

#endif
