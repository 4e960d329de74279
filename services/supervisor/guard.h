// A process that outlives the supervisor by a moment: when the supervisor is gone, however it went, it ends
// what is left of the children's process groups (SIGTERM, 5 s, SIGKILL). The kernel's parent-death signal
// alone would leave grandchildren, and whoever ignores SIGTERM.
#ifndef GTV_SUPERVISOR_GUARD_H
#define GTV_SUPERVISOR_GUARD_H

#include "lib/base/str.h"

#include <sys/types.h>

// Forks the guard; call before any thread is started. It keeps `lock_fd` open until it is done, so that no
// other supervisor starts meanwhile. Returns the descriptor to tell it by, or -1 with errno.
int guard_start(int lock_fd) GTV_WARN_UNUSED;
void guard_add(int guard, pid_t group);
void guard_remove(int guard, pid_t group);

#endif
