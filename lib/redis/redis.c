#include "lib/base/mem.h"
#include "lib/redis/link.h"

#include <stdarg.h>
#include <stdlib.h>

enum { ANSWER_LIMIT_MS = 5000 };

struct gtv_redis {
    struct gtv_redis_link *link;
};

struct gtv_redis *gtv_redis_create(struct gtv_loop *loop, const char *url, const char *client_name,
                                   void (*on_state)(void *arg, bool up), void *arg, struct gtv_error *err)
{
    struct gtv_redis_target target;
    if (!gtv_redis_target_parse(url, &target, err))
        return NULL;
    struct gtv_redis *r = GTV_NEW(struct gtv_redis);
    r->link = gtv_redis_link_create(loop, &target, client_name, on_state, arg);
    return r;
}

void gtv_redis_destroy(struct gtv_redis *r)
{
    if (!r)
        return;
    gtv_redis_link_destroy(r->link);
    free(r);
}

bool gtv_redis_up(const struct gtv_redis *r)
{
    return gtv_redis_link_up(r->link);
}

bool gtv_redis_away(const struct gtv_redis *r)
{
    return gtv_redis_link_away(r->link);
}

const char *gtv_redis_reason(const struct gtv_redis *r)
{
    return gtv_redis_link_reason(r->link);
}

bool gtv_redis_command(struct gtv_redis *r, gtv_redis_reply_fn fn, void *arg, const char *fmt, ...)
{
    if (!gtv_redis_link_up(r->link))
        return false;
    char *cmd = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = redisvFormatCommand(&cmd, fmt, ap);
    va_end(ap);
    if (n < 0)
        return false;
    bool sent = gtv_redis_link_send(r->link, fn, arg, cmd, (size_t)n, ANSWER_LIMIT_MS);
    redisFreeCommand(cmd);
    return sent;
}

bool gtv_redis_command_argv(struct gtv_redis *r, gtv_redis_reply_fn fn, void *arg, int argc,
                            const char **argv, const size_t *lens)
{
    if (!gtv_redis_link_up(r->link))
        return false;
    char *cmd = NULL;
    int n = redisFormatCommandArgv(&cmd, argc, argv, lens);
    if (n < 0)
        return false;
    bool sent = gtv_redis_link_send(r->link, fn, arg, cmd, (size_t)n, ANSWER_LIMIT_MS);
    redisFreeCommand(cmd);
    return sent;
}
