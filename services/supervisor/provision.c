#include "services/supervisor/provision.h"

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/json/json.h"
#include "lib/log/log.h"

#include <stdlib.h>

enum {
    FIRST_PAUSE_MS = 100,
    LAST_PAUSE_MS = 5000,
    REQUEST_TIMEOUT_MS = 10 * 1000,
    SAY_AFTER_MS = 5000, // starting up is no fault worth a line
    PLAYLIST_PAUSE_MS = 50,
};

static const struct gtv_log provision_log = {"supervisor", NULL, NULL};

struct provision {
    struct gtv_http_client *client;
    const struct plan *plan;
    struct gtv_timer *timer;
    struct gtv_http_fetch *fetch;
    size_t next, accepted;
    bool removing; // the demo of an earlier run
    int64_t pause_ms, began_ms;
    char *url, *body;
    void (*done)(void *arg, size_t accepted);
    void *arg;
};

char *provision_body(const struct plan_camera *camera)
{
    struct gtv_buf b = {0};
    gtv_buf_printf(&b, "{\"camera_id\":%d,\"rtsp_url\":", camera->id);
    gtv_json_quote(&b, gtv_str_of(camera->url));
    gtv_buf_puts(&b, ",\"name\":");
    gtv_json_quote(&b, gtv_str_of(camera->name));
    gtv_buf_puts(&b, ",\"on_demand\":false,\"ai_enabled\":true}");
    char *text = gtv_strndup(gtv_buf_str(&b));
    gtv_buf_finish(&b);
    return text;
}

static void step(struct provision *p, int64_t after_ms)
{
    gtv_timer_start(p->timer, (uint64_t)after_ms, 0);
}

static void next_camera(struct provision *p)
{
    p->next++;
    p->pause_ms = FIRST_PAUSE_MS;
    p->began_ms = gtv_mono_ms();
    step(p, 0);
}

// "detail" out of an error's JSON; FastAPI's validation errors keep their texts one level down.
static void explain(const struct gtv_http_response *r, char *out, size_t cap)
{
    out[0] = '\0';
    struct gtv_error err;
    yyjson_doc *doc = r->body ? gtv_json_parse(gtv_bytes_str(r->body), &err) : NULL;
    yyjson_val *detail = yyjson_obj_get(yyjson_doc_get_root(doc), "detail");
    if (yyjson_is_arr(detail))
        detail = yyjson_obj_get(yyjson_arr_get_first(detail), "msg");
    if (yyjson_is_str(detail))
        (void)gtv_redact((struct gtv_str){yyjson_get_str(detail), yyjson_get_len(detail)}, out, cap);
    yyjson_doc_free(doc);
}

static bool goes_away(const struct gtv_http_response *r)
{
    return !r || r->status >= 500 || r->status == 408 || r->status == 429;
}

static void retry(struct provision *p, const struct plan_camera *camera, const struct gtv_http_response *r,
                  const struct gtv_error *err)
{
    if (gtv_mono_ms() - p->began_ms >= SAY_AFTER_MS) {
        char why[256] = "";
        if (r)
            explain(r, why, sizeof(why));
        gtv_log_warn(&provision_log, "the camera is not provisioned yet",
                     "camera=%d status=%d why=\"%s\" again_in_ms=%lld", camera->id, r ? r->status : 0,
                     err ? err->message : why, (long long)p->pause_ms);
    }
    step(p, p->pause_ms);
    if (gtv_mono_ms() - p->began_ms >= SAY_AFTER_MS)
        p->pause_ms = p->pause_ms * 2 < LAST_PAUSE_MS ? p->pause_ms * 2 : LAST_PAUSE_MS;
}

static void on_posted(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct provision *p = arg;
    const struct plan_camera *camera = &p->plan->cameras[p->next];
    p->fetch = NULL;
    if (err || goes_away(r)) {
        retry(p, camera, r, err);
        return;
    }
    if (r->status >= 200 && r->status < 300) {
        p->accepted++;
        gtv_log_info(&provision_log, "camera provisioned", "camera=%d name=\"%s\"", camera->id, camera->name);
    } else {
        char why[256];
        explain(r, why, sizeof(why));
        gtv_log_error(&provision_log, "the camera was refused", "camera=%d status=%d why=\"%s\" url=%s",
                      camera->id, r->status, why, camera->url);
    }
    next_camera(p);
}

static void fetch(struct provision *p, const char *method, const char *path, const char *body,
                  void (*on_done)(void *, const struct gtv_http_response *, const struct gtv_error *))
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    free(p->url);
    p->url = gtv_asprintf("%s/streaming%s", p->plan->inside_url, path);
    struct gtv_http_fetch_options o = {.method = method, .url = p->url, .timeout_ms = REQUEST_TIMEOUT_MS};
    if (body) {
        o.headers = headers;
        o.body = body;
        o.body_len = strlen(body);
    }
    struct gtv_http_fetch_callbacks cb = {.on_done = on_done};
    p->fetch = gtv_http_fetch(p->client, &o, &cb, p);
}

static void finish(struct provision *p)
{
    p->done(p->arg, p->accepted);
}

static void on_removed(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct provision *p = arg;
    p->fetch = NULL;
    if (!err && r->status < 300)
        gtv_log_info(&provision_log, "the demo camera of an earlier run was taken out", "camera=1");
    p->removing = false;
    step(p, 0);
}

// Camera 1 may be a camera of the user's: only one that bears the demo's name is taken out.
static void on_info(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct provision *p = arg;
    p->fetch = NULL;
    if ((err || goes_away(r)) && gtv_mono_ms() - p->began_ms < REQUEST_TIMEOUT_MS) {
        step(p, FIRST_PAUSE_MS);
        return;
    }
    struct gtv_error ignored;
    struct gtv_str name = {0};
    yyjson_doc *doc =
        !err && r->status == 200 && r->body ? gtv_json_parse(gtv_bytes_str(r->body), &ignored) : NULL;
    bool demo = doc &&
                gtv_json_get_str(yyjson_doc_get_root(doc), "name", GTV_JSON_OPTIONAL, &name, &ignored) &&
                gtv_str_eq(name, GTV_STR(PLAN_DEMO_NAME));
    yyjson_doc_free(doc);
    if (demo) {
        fetch(p, "DELETE", "/cameras/1", NULL, on_removed);
        return;
    }
    p->removing = false;
    step(p, 0);
}

static void on_step(void *arg)
{
    struct provision *p = arg;
    if (p->removing) {
        fetch(p, "GET", "/cameras/1/info", NULL, on_info);
        return;
    }
    if (p->next >= p->plan->camera_count) {
        finish(p);
        return;
    }
    free(p->body);
    p->body = provision_body(&p->plan->cameras[p->next]);
    fetch(p, "POST", "/cameras/provision", p->body, on_posted);
}

struct provision *provision_start(struct gtv_loop *loop, struct gtv_http_client *client,
                                  const struct plan *plan, void (*done)(void *arg, size_t accepted),
                                  void *arg)
{
    struct provision *p = GTV_NEW(struct provision);
    p->client = client;
    p->plan = plan;
    p->done = done;
    p->arg = arg;
    p->timer = gtv_timer_create(loop, on_step, p);
    p->pause_ms = FIRST_PAUSE_MS;
    p->began_ms = gtv_mono_ms();
    p->removing = !plan->demo && plan->camera_count == 0;
    step(p, 0);
    return p;
}

void provision_destroy(struct provision *p)
{
    if (!p)
        return;
    if (p->fetch)
        gtv_http_fetch_cancel(p->fetch);
    gtv_timer_destroy(p->timer);
    free(p->url);
    free(p->body);
    free(p);
}

// ---- The first picture ----

struct playable {
    struct gtv_http_client *client;
    struct gtv_timer *timer;
    struct gtv_http_fetch *fetch;
    char *base, *url;
    int64_t give_up_ms;
    void (*done)(void *arg, bool playable);
    void *arg;
};

bool playlist_has_segment(struct gtv_str playlist)
{
    while (playlist.n) {
        if (gtv_str_starts(gtv_str_cut(&playlist, '\n'), GTV_STR("#EXTINF:")))
            return true;
    }
    return false;
}

struct gtv_str playlist_first_variant(struct gtv_str playlist)
{
    bool announced = false;
    while (playlist.n) {
        struct gtv_str line = gtv_str_cut(&playlist, '\n');
        if (gtv_str_ends(line, GTV_STR("\r")))
            line.n--;
        if (gtv_str_starts(line, GTV_STR("#EXT-X-STREAM-INF:")))
            announced = true;
        else if (announced && line.n && line.p[0] != '#')
            return line;
    }
    return (struct gtv_str){NULL, 0};
}

static void on_playlist(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct playable *p = arg;
    p->fetch = NULL;
    if (!err && r->status == 200 && r->body) {
        struct gtv_str text = gtv_bytes_str(r->body);
        if (playlist_has_segment(text)) {
            p->done(p->arg, true);
            return;
        }
        struct gtv_str variant = playlist_first_variant(text);
        if (variant.n && gtv_str_find(variant, ':') < 0 && variant.p[0] != '/') {
            free(p->url);
            p->url = gtv_asprintf("%s/" GTV_STR_FMT, p->base, GTV_STR_ARG(variant));
        }
    }
    if (gtv_mono_ms() >= p->give_up_ms)
        p->done(p->arg, false);
    else
        gtv_timer_start(p->timer, PLAYLIST_PAUSE_MS, 0);
}

static void look(void *arg)
{
    struct playable *p = arg;
    struct gtv_http_fetch_options o = {.url = p->url, .timeout_ms = REQUEST_TIMEOUT_MS};
    struct gtv_http_fetch_callbacks cb = {.on_done = on_playlist};
    p->fetch = gtv_http_fetch(p->client, &o, &cb, p);
}

struct playable *playable_start(struct gtv_loop *loop, struct gtv_http_client *client, const char *door_url,
                                int camera_id, int64_t limit_ms, void (*done)(void *arg, bool playable),
                                void *arg)
{
    struct playable *p = GTV_NEW(struct playable);
    p->client = client;
    p->timer = gtv_timer_create(loop, look, p);
    p->base = gtv_asprintf("%s/streaming/hls/cam_%d", door_url, camera_id);
    p->url = gtv_asprintf("%s/index.m3u8", p->base);
    p->give_up_ms = gtv_mono_ms() + limit_ms;
    p->done = done;
    p->arg = arg;
    gtv_timer_start(p->timer, 0, 0);
    return p;
}

void playable_destroy(struct playable *p)
{
    if (!p)
        return;
    if (p->fetch)
        gtv_http_fetch_cancel(p->fetch);
    gtv_timer_destroy(p->timer);
    free(p->base);
    free(p->url);
    free(p);
}
