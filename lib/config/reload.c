#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/config/config.h"
#include "lib/log/log.h"

#include <stdlib.h>

enum { NAMES_MAX = 1024 }; // bytes of the names in one log line

struct gtv_config_source {
    const struct gtv_program *program;
    int argc;
    char **argv;    // as the program was started with
    char **retired; // texts that were replaced
    size_t retired_count;
};

static char **copy_arguments(int argc, char *const *argv)
{
    char **copy = gtv_alloc(((size_t)argc + 1) * sizeof(*copy));
    for (int i = 0; i < argc; i++)
        copy[i] = gtv_strdup(argv[i]);
    return copy;
}

static void free_arguments(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i]) // a secret may be among them
            explicit_bzero(argv[i], strlen(argv[i]));
        free(argv[i]);
    }
    free(argv);
}

struct gtv_config_source *gtv_config_source_create(const struct gtv_program *program, int argc, char **argv)
{
    struct gtv_config_source *s = GTV_NEW(struct gtv_config_source);
    s->program = program;
    s->argc = argc;
    s->argv = copy_arguments(argc, argv);
    return s;
}

void gtv_config_source_destroy(struct gtv_config_source *s)
{
    if (!s)
        return;
    free_arguments(s->argc, s->argv);
    for (size_t i = 0; i < s->retired_count; i++)
        free(s->retired[i]);
    free(s->retired);
    free(s);
}

static bool same(const struct gtv_option *o, const char *left, const char *right)
{
    const char *a, *b;
    switch (o->type) {
    case GTV_OPT_STRING:
        memcpy(&a, left, sizeof(a));
        memcpy(&b, right, sizeof(b));
        return strcmp(a ? a : "", b ? b : "") == 0;
    case GTV_OPT_INT:
        return memcmp(left, right, sizeof(int64_t)) == 0;
    case GTV_OPT_DOUBLE:
        return memcmp(left, right, sizeof(double)) == 0;
    case GTV_OPT_BOOL:
        return memcmp(left, right, sizeof(bool)) == 0;
    }
    return true;
}

// Readers on other threads see the old value or the new one.
static void take_over(struct gtv_config_source *s, const struct gtv_option *o, char *to, char *from)
{
    switch (o->type) {
    case GTV_OPT_STRING: {
        char **running = (char **)(void *)to, **fresh = (char **)(void *)from;
        if (*running) {
            s->retired = gtv_realloc(s->retired, (s->retired_count + 1) * sizeof(*s->retired));
            s->retired[s->retired_count++] = *running;
        }
        __atomic_store_n(running, *fresh, __ATOMIC_RELEASE);
        *fresh = NULL;
        return;
    }
    case GTV_OPT_INT:
    case GTV_OPT_DOUBLE: {
        int64_t bits; // both have 64
        memcpy(&bits, from, sizeof(bits));
        __atomic_store_n((int64_t *)(void *)to, bits, __ATOMIC_RELAXED);
        return;
    }
    case GTV_OPT_BOOL:
        __atomic_store_n((bool *)to, *(bool *)from, __ATOMIC_RELAXED);
        return;
    }
}

static void add_name(struct gtv_buf *names, const char *name)
{
    gtv_buf_printf(names, "%s%s", names->len ? " " : "", name);
}

bool gtv_config_reload(struct gtv_config_source *s, void *config, const struct gtv_log *log)
{
    const struct gtv_program *p = s->program;
    struct gtv_error err = {0};
    char *fresh = gtv_alloc(p->size), *running = config;
    // Wiped of secrets by the loading.
    char **argv = copy_arguments(s->argc, s->argv);
    struct gtv_buf live, waiting;
    gtv_buf_init(&live, NAMES_MAX);
    gtv_buf_init(&waiting, NAMES_MAX);
    bool ok = gtv_config_load(fresh, p, s->argc, argv, &err);
    for (size_t i = 0; ok && i < p->count; i++) {
        const struct gtv_option *o = &p->table[i];
        if (same(o, running + o->offset, fresh + o->offset))
            continue;
        add_name(o->live ? &live : &waiting, o->env);
        if (o->live)
            take_over(s, o, running + o->offset, fresh + o->offset);
    }
    // What waits must be seen by who made it, whatever the level is.
    if (ok)
        gtv_log_write(log, waiting.len ? GTV_LOG_WARNING : GTV_LOG_INFO, "configuration read again",
                      "changed=\"%s\" wait_for_restart=\"%s\"", live.len ? live.data : "",
                      waiting.len ? waiting.data : "");
    else
        gtv_log_error(log, "the configuration is wrong: the one of before stays", "error=\"%s\"",
                      err.message);
    bool changed = live.len > 0;
    gtv_buf_finish(&live);
    gtv_buf_finish(&waiting);
    free_arguments(s->argc, argv);
    gtv_config_finish(fresh, p->table, p->count);
    free(fresh);
    return changed;
}
