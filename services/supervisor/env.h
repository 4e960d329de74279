// The environment of a child under construction.
#ifndef GTV_SUPERVISOR_ENV_H
#define GTV_SUPERVISOR_ENV_H

#include "lib/base/str.h"

// Zeroed is a valid empty environment.
struct env {
    char **vars; // "NAME=value", NULL-terminated once something was added
    size_t count;
    bool weak; // env_set leaves alone what is there and not empty
};

// Takes over everything but what only the supervisor may know: GTV_CAMERAS, which holds passwords of cameras,
// and what whoever started it meant for it alone (sd_notify, sd_listen_fds).
void env_inherit(struct env *e, char *const *from);
void env_set(struct env *e, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *env_get(const struct env *e, const char *name); // NULL when absent
char **env_take(struct env *e); // NULL-terminated, the caller's; e is empty afterwards
void env_finish(struct env *e);

#endif
