#include "services/streaming/drain.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/control.h"
#include "services/streaming/watcher.h"

#include <stdlib.h>

struct order {
    struct gtv_app *app;
    size_t node;
    bool drained;
};

static void announce(struct gtv_control *c, size_t node, bool drained)
{
    const char *id = gtv_nodes_id(c->app->nodes, node);
    const struct gtv_provision_event e = {
        .type = "node",
        .stream = "nodes",
        .action = drained ? "drained" : "undrained",
        .node = id,
        .wall_ms = gtv_wall_ms(),
    };
    gtv_log_info(&c->app->log, drained ? "media node drained" : "media node takes cameras again", "node=%s",
                 id);
    gtv_control_publish(c, e.stream, e.type, gtv_event_provision(&e));
    gtv_watcher_soon(c->watcher);
}

static void write_one(struct gtv_control *c, size_t node)
{
    const char *verb = gtv_nodes_state(c->app->nodes, node).drained ? "SADD" : "SREM";
    if (gtv_redis_command(c->redis, NULL, NULL, "%s %s %s", verb, GTV_KEY_NODES_DRAINED,
                          gtv_nodes_id(c->app->nodes, node)))
        c->drain_unwritten &= ~(UINT32_C(1) << node);
}

static void ordered(void *arg)
{
    struct order *o = arg;
    struct gtv_control *c = o->app->control;
    // A reading of Redis that came between the order and here may have undone it.
    (void)!gtv_nodes_set_drained(o->app->nodes, o->node, o->drained);
    c->drain_unwritten |= UINT32_C(1) << o->node;
    c->drain_changed_ms = gtv_mono_ms();
    write_one(c, o->node);
    announce(c, o->node, o->drained);
    free(o);
}

bool gtv_drain_set(struct gtv_app *app, size_t node, bool drained)
{
    bool was = gtv_nodes_state(app->nodes, node).drained;
    if (!gtv_nodes_set_drained(app->nodes, node, drained))
        return false;
    struct order *o = was == drained ? NULL : GTV_NEW(struct order);
    if (o) {
        *o = (struct order){app, node, drained};
        if (!gtv_loop_post(app->workers[0].loop, ordered, o))
            free(o);
    }
    return true;
}

struct asked {
    struct gtv_control *control;
    int64_t at_ms;
};

static void members_cb(void *arg, redisReply *reply)
{
    struct asked *a = arg;
    struct gtv_control *c = a->control;
    struct gtv_nodes *nodes = c->app->nodes;
    // What was ordered here after the question is newer than the answer.
    bool usable =
        reply && reply->type == REDIS_REPLY_ARRAY && !c->drain_unwritten && c->drain_changed_ms < a->at_ms;
    for (size_t i = 0; usable && i < gtv_nodes_count(nodes); i++) {
        bool drained = false;
        for (size_t k = 0; k < reply->elements; k++)
            drained = drained || (reply->element[k]->type == REDIS_REPLY_STRING &&
                                  strcmp(reply->element[k]->str, gtv_nodes_id(nodes, i)) == 0);
        if (drained != gtv_nodes_state(nodes, i).drained && gtv_nodes_set_drained(nodes, i, drained))
            announce(c, i, drained);
    }
    free(a);
}

void gtv_drain_sync(struct gtv_control *c)
{
    if (!gtv_redis_up(c->redis) || gtv_nodes_count(c->app->nodes) == 1)
        return;
    for (size_t i = 0; i < gtv_nodes_count(c->app->nodes); i++)
        if (c->drain_unwritten >> i & 1)
            write_one(c, i);
    struct asked *a = GTV_NEW(struct asked);
    *a = (struct asked){c, gtv_mono_ms()};
    if (!gtv_redis_command(c->redis, members_cb, a, "SMEMBERS %s", GTV_KEY_NODES_DRAINED))
        free(a);
}
