// How many threads may compute at once.
#ifndef GTV_AI_CPUS_H
#define GTV_AI_CPUS_H

#include "lib/base/str.h"

// The cores that this process may run on (affinity, and with it cpusets), less where a quota of its cgroup or
// of one above it says so (version 2, 1, or both). At least 1. A part of a core counts as a whole: it still
// needs a thread.
size_t gtv_ai_cpus(void);

// ---- For tests ----
// The quotas alone, for `cores` cores, with proc and sys below `root` ("" is the real ones).
size_t gtv_ai_cpus_under(const char *root, size_t cores);
// The text of cpu.max: "max 100000", "150000 100000". Anything else is no limit.
size_t gtv_ai_cpus_of_quota(struct gtv_str cpu_max, size_t cores);

#endif
