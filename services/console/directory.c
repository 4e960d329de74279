#include "services/console/directory.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 8 * 1024 * 1024, TIMEOUT_MS = 5000 };

static const struct gtv_log log_directory = {"console", "part", "directory"};

struct gtv_directory {
    struct gtv_map *cameras; // "cam_7" -> struct gtv_camera_state
    struct gtv_http_client *client;
    struct gtv_http_fetch *fetch; // NULL when none runs
    struct gtv_timer *timer;
    char *url;
    int64_t answered_ms; // monotonic; 0: never
    bool complained;
};

static struct gtv_camera_state *entry(struct gtv_directory *d, int64_t camera_id)
{
    char path[GTV_CAMERA_PATH_CAP];
    struct gtv_str key = gtv_str_of(gtv_camera_path(camera_id, path));
    struct gtv_camera_state *e = gtv_map_get(d->cameras, key);
    if (!e && gtv_map_count(d->cameras) < GTV_DIRECTORY_MAX) {
        e = GTV_NEW(struct gtv_camera_state);
        (void)gtv_map_put(d->cameras, key, e);
    }
    return e;
}

static void fetched(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct gtv_directory *d = arg;
    d->fetch = NULL;
    if (!err && r && r->status == 200 && r->body) {
        d->complained = false;
        gtv_directory_put_answer(d, gtv_bytes_str(r->body));
    } else if (!d->complained) {
        d->complained = true; // once, until it answers again
        gtv_log_warn(&log_directory, "the streaming service does not say how the cameras are",
                     "status=%d cause=\"%s\"", r ? r->status : 0, err ? err->message : "");
    }
    gtv_timer_start(d->timer, GTV_DIRECTORY_EVERY_MS, 0);
}

static void ask(void *arg)
{
    struct gtv_directory *d = arg;
    const struct gtv_http_fetch_options o = {.url = d->url,
                                             .timeout_ms = TIMEOUT_MS,
                                             .connect_timeout_ms = TIMEOUT_MS / 2,
                                             .max_body = ANSWER_MAX};
    const struct gtv_http_fetch_callbacks cb = {.on_done = fetched};
    d->fetch = gtv_http_fetch(d->client, &o, &cb, d);
}

struct gtv_directory *gtv_directory_create(struct gtv_loop *loop, struct gtv_http_client *client,
                                           const char *url)
{
    struct gtv_directory *d = GTV_NEW(struct gtv_directory);
    struct gtv_str base = gtv_str_of(url);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    d->cameras = gtv_map_create();
    d->client = client;
    d->url = gtv_asprintf(GTV_STR_FMT "/cameras", GTV_STR_ARG(base));
    d->timer = gtv_timer_create(loop, ask, d);
    gtv_timer_start(d->timer, 0, 0);
    return d;
}

void gtv_directory_destroy(struct gtv_directory *d)
{
    if (!d)
        return;
    if (d->fetch)
        gtv_http_fetch_cancel(d->fetch);
    gtv_timer_destroy(d->timer);
    gtv_map_destroy(d->cameras, free);
    free(d->url);
    free(d);
}

void gtv_directory_get(const struct gtv_directory *d, int64_t camera_id, struct gtv_camera_state *out)
{
    char path[GTV_CAMERA_PATH_CAP];
    const struct gtv_camera_state *e = gtv_map_get(d->cameras, gtv_str_of(gtv_camera_path(camera_id, path)));
    *out = e ? *e : (struct gtv_camera_state){0};
    bool fresh = d->answered_ms && gtv_mono_ms() - d->answered_ms < GTV_DIRECTORY_FORGET_MS;
    if (!fresh || !out->state[0]) {
        snprintf(out->state, sizeof out->state, "unknown");
        out->cause[0] = out->cause_code[0] = '\0';
    }
}

void gtv_directory_put_name(struct gtv_directory *d, int64_t camera_id, const char *name)
{
    struct gtv_camera_state *e = entry(d, camera_id);
    if (e)
        snprintf(e->name, sizeof e->name, "%s", name);
}

static void put_text(char *out, size_t cap, yyjson_val *obj, const char *key)
{
    struct gtv_str text = {0};
    out[0] = '\0';
    if (gtv_json_get_str(obj, key, GTV_JSON_OPTIONAL, &text, NULL) && text.n)
        snprintf(out, cap, GTV_STR_FMT, GTV_STR_ARG(text));
}

void gtv_directory_put_status(struct gtv_directory *d, yyjson_val *data)
{
    int64_t id = 0;
    struct gtv_str state = {0}, name = {0};
    if (!gtv_json_get_int(data, "camera_id", GTV_JSON_REQUIRED, 1, INT64_MAX, &id, NULL) ||
        !gtv_json_get_str(data, "state", GTV_JSON_REQUIRED, &state, NULL))
        return;
    struct gtv_camera_state *e = entry(d, id);
    if (!e || !gtv_str_copy(e->state, sizeof e->state, state))
        return;
    put_text(e->cause, sizeof e->cause, data, "cause");
    put_text(e->cause_code, sizeof e->cause_code, data, "cause_code");
    if (gtv_json_get_str(data, "name", GTV_JSON_OPTIONAL, &name, NULL) && name.n)
        put_text(e->name, sizeof e->name, data, "name");
}

void gtv_directory_put_answer(struct gtv_directory *d, struct gtv_str json)
{
    yyjson_doc *doc = gtv_json_parse(json, NULL);
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), "cameras");
    if (yyjson_is_arr(list)) {
        // Cameras that were removed leave with the old answer.
        gtv_map_destroy(d->cameras, free);
        d->cameras = gtv_map_create();
        d->answered_ms = gtv_mono_ms();
    }
    size_t i, n;
    yyjson_val *camera;
    yyjson_arr_foreach(list, i, n, camera)
    {
        gtv_directory_put_status(d, camera);
    }
    yyjson_doc_free(doc);
}
