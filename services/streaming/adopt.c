#include "services/streaming/adopt.h"

#include "lib/base/mem.h"
#include "services/streaming/provision.h"

#include <stdio.h>
#include <stdlib.h>

struct gtv_adoption {
    struct gtv_control *control;
    struct gtv_bulk found;
    struct gtv_error err;
    size_t waiting; // nodes that have not answered, and one for who asks them
    gtv_adopt_fn fn;
    void *arg;
};

static void finish(struct gtv_adoption *a)
{
    if (--a->waiting)
        return;
    a->control->adoption = NULL;
    if (a->err.code)
        gtv_bulk_finish(&a->found);
    a->fn(a->arg, &a->found, a->err.code ? &a->err : NULL);
    free(a);
}

static bool has_line(const struct gtv_bulk *b, int64_t id)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->lines[i].camera.id == id)
            return true;
    return false;
}

static void take(struct gtv_adoption *a, const struct gtv_path_config *p)
{
    struct gtv_camera known;
    if (p->sub || gtv_cameras_get(a->control->app->cameras, p->camera_id, &known) ||
        has_line(&a->found, p->camera_id))
        return;
    struct gtv_bulk_line *l = gtv_bulk_add(&a->found, a->found.count + 1, &a->err);
    if (!l)
        return;
    l->camera = (struct gtv_camera){.id = p->camera_id, .on_demand = p->on_demand, .record = p->record};
    char name[32];
    int n = snprintf(name, sizeof name, "Camera %lld", (long long)p->camera_id);
    l->over = !gtv_provision_found(gtv_str_of(p->source), (struct gtv_str){name, (size_t)n}, &l->camera,
                                   &l->outcome.err);
}

static void node_answered(void *arg, const struct gtv_path_config *items, size_t n,
                          const struct gtv_error *err)
{
    struct gtv_adoption *a = arg;
    if (err)
        a->err = *err;
    for (size_t i = 0; i < n && !a->err.code; i++)
        take(a, &items[i]);
    finish(a);
}

bool gtv_adopt_begin(struct gtv_control *c, gtv_adopt_fn fn, void *arg)
{
    if (c->adoption)
        return false;
    struct gtv_adoption *a = GTV_NEW(struct gtv_adoption);
    *a = (struct gtv_adoption){.control = c, .waiting = 1, .fn = fn, .arg = arg};
    c->adoption = a;
    for (size_t i = 0; i < gtv_nodes_count(c->app->nodes); i++) {
        a->waiting++;
        gtv_media_configs(c->media[i], node_answered, a);
    }
    finish(a);
    return true;
}

void gtv_adopt_destroy(struct gtv_control *c)
{
    struct gtv_adoption *a = c->adoption;
    if (!a)
        return;
    gtv_error_set(&a->err, GTV_E_CANCELLED, NULL, "the service is stopping");
    a->waiting = 1; // the nodes' clients are gone, and their answers with them
    finish(a);
}
