#include "services/supervisor/env.h"

#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static ptrdiff_t find(const struct env *e, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < e->count; i++) {
        if (strncmp(e->vars[i], name, n) == 0 && e->vars[i][n] == '=')
            return (ptrdiff_t)i;
    }
    return -1;
}

static void append(struct env *e, char *var)
{
    e->vars = gtv_realloc(e->vars, (e->count + 2) * sizeof(*e->vars));
    e->vars[e->count++] = var;
    e->vars[e->count] = NULL;
}

static bool is_private(const char *var)
{
    static const char *const names[] = {"GTV_CAMERAS=", "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=",
                                        "LISTEN_PID=",  "LISTEN_FDS=",    "LISTEN_FDNAMES="};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(var, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

void env_inherit(struct env *e, char *const *from)
{
    for (; *from; from++) {
        if (!is_private(*from))
            append(e, gtv_strdup(*from));
    }
}

void env_set(struct env *e, const char *name, const char *fmt, ...)
{
    const char *old = env_get(e, name);
    if (e->weak && old && old[0])
        return;
    char *value = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&value, fmt, ap);
    va_end(ap);
    char *var = gtv_asprintf("%s=%s", name, n < 0 ? "" : value);
    if (n >= 0)
        free(value);
    ptrdiff_t at = find(e, name);
    if (at >= 0) {
        free(e->vars[at]);
        e->vars[at] = var;
    } else {
        append(e, var);
    }
}

const char *env_get(const struct env *e, const char *name)
{
    ptrdiff_t at = find(e, name);
    return at < 0 ? NULL : e->vars[at] + strlen(name) + 1;
}

char **env_take(struct env *e)
{
    char **vars = e->vars ? e->vars : gtv_alloc(sizeof(*vars));
    *e = (struct env){.weak = e->weak};
    return vars;
}

void env_finish(struct env *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->vars[i]);
    free(e->vars);
    *e = (struct env){0};
}
