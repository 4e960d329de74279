// What the user reads once the system is up.
#ifndef GTV_SUPERVISOR_REPORT_H
#define GTV_SUPERVISOR_REPORT_H

#include "services/supervisor/plan.h"

// Resident memory in KiB out of the text of /proc/PID/status; -1 when it is not there.
int64_t report_parse_rss(struct gtv_str status);
int64_t report_rss_kib(pid_t pid); // -1: no such process

// Writes to stdout the page's address on a line of its own (without a door: where each service answers), then
// the time to the first playable segment (-1: there was none to wait for; -2: none came), then the memory of
// each process.
void report_print(const struct plan *plan, int64_t playable_ms, struct child *const *children, size_t n);

#endif
