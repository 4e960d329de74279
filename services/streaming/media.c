#include "services/streaming/media.h"

#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/http/client.h"
#include "services/streaming/app.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_CONNECTIONS = 16,
    CALL_LIMIT_MS = 10000,
    PAGE_ITEMS = 500,
    PAGES_MAX = 64,
    PAGE_BYTES = 16 * 1024 * 1024, // an item of MediaMTX is below 4 KiB, but each of its readers adds some
};

struct call {
    struct gtv_media *media;
    struct call *prev, *next;
    struct gtv_camera camera;
    struct gtv_cause cause; // zeroed: nobody's request
    bool patch_existing, patching, removing;
    bool anew;      // it was known, then forgotten, and is being added for the second time
    bool sub, both; // the path under way is that of the smaller stream; it comes after the other
    gtv_media_done_fn fn;
    gtv_media_list_fn list_fn;
    gtv_media_configs_fn configs_fn;
    void *arg;
    // Listing: what the pages so far had.
    struct gtv_path_state *items;
    struct gtv_path_config *configs;
    size_t count, page;
};

struct gtv_media {
    struct gtv_http_client *client;
    const struct gtv_streaming_options *options;
    const char *base; // without a slash at its end
    struct call *calls;
};

struct gtv_media *gtv_media_create(struct gtv_loop *loop, const struct gtv_streaming_options *options,
                                   const char *base)
{
    struct gtv_media *m = GTV_NEW(struct gtv_media);
    m->client = gtv_http_client_create(loop, MAX_CONNECTIONS);
    m->options = options;
    m->base = base;
    return m;
}

static void call_free(struct call *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->media->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c->items);
    free(c->configs);
    free(c);
}

void gtv_media_destroy(struct gtv_media *m)
{
    if (!m)
        return;
    gtv_http_client_destroy(m->client);
    for (struct call *c = m->calls, *next; c; c = next) {
        next = c->next;
        free(c->items);
        free(c->configs);
        free(c);
    }
    free(m);
}

static struct call *call_create(struct gtv_media *m, void *arg)
{
    struct call *c = GTV_NEW(struct call);
    c->media = m;
    c->arg = arg;
    c->next = m->calls;
    if (c->next)
        c->next->prev = c;
    m->calls = c;
    return c;
}

static void send_call(struct call *c, const char *method, char *url, struct gtv_bytes *body, size_t max_body,
                      void (*on_done)(void *, const struct gtv_http_response *, const struct gtv_error *))
{
    struct gtv_media *m = c->media;
    static const char *const json_headers[] = {"Content-Type: application/json", NULL};
    const struct gtv_http_fetch_options o = {
        .method = method,
        .url = url,
        .user = m->options->media_api_user,
        .password = m->options->media_api_pass,
        .headers = body ? json_headers : NULL,
        .cause = &c->cause,
        .body = body ? body->data : NULL,
        .body_len = body ? body->len : 0,
        .timeout_ms = CALL_LIMIT_MS,
        .max_body = max_body,
    };
    const struct gtv_http_fetch_callbacks cb = {.on_done = on_done};
    (void)gtv_http_fetch(m->client, &o, &cb, c);
    gtv_bytes_unref(body);
    free(url);
}

// What the node said: the "error" of its JSON, as a slice of the document's.
static struct gtv_str error_text(yyjson_doc *doc)
{
    yyjson_val *text = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
    return yyjson_is_str(text) ? (struct gtv_str){yyjson_get_str(text), yyjson_get_len(text)}
                               : (struct gtv_str){"", 0};
}

// The node repeats the camera's address in its refusals: whatever secret it holds, in its query too, must not
// come back.
static struct gtv_str without_address(struct gtv_str text, const char *url, char *out, size_t cap)
{
    const char *at = *url ? memmem(text.p, text.n, url, strlen(url)) : NULL;
    if (!at)
        return text;
    char shown[GTV_SHOWN_URL_CAP];
    size_t before = (size_t)(at - text.p), after = text.n - before - strlen(url);
    int n = snprintf(out, cap, "%.*s%s%.*s", (int)before, text.p, gtv_shown_url(url, shown), (int)after,
                     at + strlen(url));
    return (struct gtv_str){out, n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1};
}

static void describe(int status, struct gtv_str text, struct gtv_error *err)
{
    if (status == 401 || status == 403)
        gtv_error_set(err, GTV_E_UPSTREAM, NULL,
                      "the media node refuses our credentials (MEDIAMTX_API_USER, MEDIAMTX_API_PASS)");
    else if (status == 400)
        gtv_error_set(err, GTV_E_INVALID, "rtsp_url", "the media node refuses this camera: " GTV_STR_FMT,
                      GTV_STR_ARG(text));
    else
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the media node answered %d: " GTV_STR_FMT, status,
                      GTV_STR_ARG(text));
}

// ---- adding and removing ----

static void send_config(struct call *c);
static void send_removal(struct call *c);

// The camera's other path, if there is one to do. False: this was the last.
static bool goes_on(struct call *c)
{
    if (c->sub || !c->both)
        return false;
    c->sub = true;
    c->patching = c->anew = false;
    if (c->removing)
        send_removal(c);
    else
        send_config(c);
    return true;
}

static void config_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *failure)
{
    struct call *c = arg;
    struct gtv_error err = {0};
    if (failure) {
        err = *failure;
    } else if (r->status != 200) {
        yyjson_doc *doc = gtv_json_parse(gtv_bytes_str(r->body), NULL);
        struct gtv_str text = error_text(doc);
        bool exists = r->status == 400 && gtv_str_eq(text, GTV_STR("path already exists"));
        bool gone = r->status == 404 && c->patching;
        if (exists && !c->patching && c->patch_existing) {
            c->patching = true;
            yyjson_doc_free(doc);
            send_config(c);
            return;
        }
        if (gone && !c->anew) { // it has just started again: the path is added like a new one
            c->anew = true;
            c->patching = false;
            yyjson_doc_free(doc);
            send_config(c);
            return;
        }
        if (gone) {
            gtv_error_set(&err, GTV_E_UPSTREAM, NULL,
                          "the media node lost the path while it was being changed");
        } else if (!exists && !(r->status == 404 && c->removing)) {
            char clean[512];
            const char *url = c->sub ? c->camera.sub_url : c->camera.url;
            describe(r->status, without_address(text, url, clean, sizeof clean), &err);
            if (c->sub && err.code == GTV_E_INVALID)
                snprintf(err.field, sizeof err.field, "sub_rtsp_url");
        }
        yyjson_doc_free(doc);
    }
    if (!err.code && goes_on(c))
        return;
    gtv_media_done_fn fn = c->fn;
    void *fn_arg = c->arg;
    call_free(c);
    fn(fn_arg, err.code ? &err : NULL);
}

static struct gtv_bytes *path_config(struct call *c)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, o);
    yyjson_mut_obj_add_str(doc, o, "source", c->sub ? c->camera.sub_url : c->camera.url);
    yyjson_mut_obj_add_bool(doc, o, "sourceOnDemand", c->sub || c->camera.on_demand);
    yyjson_mut_obj_add_bool(doc, o, "record", !c->sub && c->camera.record);
    yyjson_mut_obj_add_str(doc, o, "recordPath", c->media->options->record_path);
    yyjson_mut_obj_add_str(doc, o, "recordFormat", "fmp4");
    return gtv_json_write(doc);
}

static const char *path_of(const struct call *c, char out[GTV_CAMERA_PATH_CAP])
{
    return c->sub ? gtv_camera_sub_path(c->camera.id, out) : gtv_camera_path(c->camera.id, out);
}

static void send_config(struct call *c)
{
    char path[GTV_CAMERA_PATH_CAP];
    char *url = gtv_asprintf("%s/v3/config/paths/%s/%s", c->media->base, c->patching ? "patch" : "add",
                             path_of(c, path));
    send_call(c, c->patching ? "PATCH" : "POST", url, path_config(c), 0, config_done);
}

void gtv_media_apply(struct gtv_media *m, const struct gtv_camera *camera, bool patch_existing,
                     const struct gtv_cause *cause, gtv_media_done_fn fn, void *arg)
{
    struct call *c = call_create(m, arg);
    c->cause = cause ? *cause : c->cause;
    c->camera = *camera;
    c->both = camera->sub_url[0] != '\0';
    c->patch_existing = patch_existing;
    c->fn = fn;
    send_config(c);
}

static void send_removal(struct call *c)
{
    char path[GTV_CAMERA_PATH_CAP];
    char *url = gtv_asprintf("%s/v3/config/paths/delete/%s", c->media->base, path_of(c, path));
    send_call(c, "DELETE", url, NULL, 0, config_done);
}

void gtv_media_remove(struct gtv_media *m, int64_t camera_id, enum gtv_media_paths which,
                      const struct gtv_cause *cause, gtv_media_done_fn fn, void *arg)
{
    struct call *c = call_create(m, arg);
    c->cause = cause ? *cause : c->cause;
    c->camera.id = camera_id;
    c->removing = true;
    c->sub = which == GTV_MEDIA_SUB;
    c->both = which == GTV_MEDIA_BOTH;
    c->fn = fn;
    send_removal(c);
}

// ---- listing ----

static void copy_redacted(char *out, size_t cap, yyjson_val *text)
{
    out[0] = '\0';
    if (yyjson_is_str(text))
        gtv_redact((struct gtv_str){yyjson_get_str(text), yyjson_get_len(text)}, out, cap);
}

// The tracks in one line: of nodes that list `tracks2` with the picture's size, else as the names in
// `tracks`.
static void read_tracks(yyjson_val *item, char out[GTV_TRACKS_CAP])
{
    yyjson_val *list = yyjson_obj_get(item, "tracks2"), *track;
    size_t i, n, at = 0;
    if (yyjson_arr_size(list) == 0)
        list = yyjson_obj_get(item, "tracks");
    out[0] = '\0';
    yyjson_arr_foreach(list, i, n, track)
    {
        yyjson_val *props = yyjson_obj_get(track, "codecProps");
        const char *codec = yyjson_get_str(yyjson_is_str(track) ? track : yyjson_obj_get(track, "codec"));
        int64_t w = yyjson_get_sint(yyjson_obj_get(props, "width")),
                h = yyjson_get_sint(yyjson_obj_get(props, "height"));
        if (!codec || at + 1 >= GTV_TRACKS_CAP)
            continue;
        int len = w > 0 && h > 0 ? snprintf(out + at, GTV_TRACKS_CAP - at, "%s%s %lldx%lld", at ? ", " : "",
                                            codec, (long long)w, (long long)h)
                                 : snprintf(out + at, GTV_TRACKS_CAP - at, "%s%s", at ? ", " : "", codec);
        at += len > 0 ? (size_t)len : 0;
    }
}

// Our node's `recording`: its state, and the cause of a failure behind it.
static void read_recording(yyjson_val *recording, char out[GTV_RECORDING_CAP])
{
    char state[16], cause[GTV_RECORDING_CAP - 32];
    copy_redacted(state, sizeof state, yyjson_obj_get(recording, "state"));
    copy_redacted(cause, sizeof cause, yyjson_obj_get(recording, "cause"));
    snprintf(out, GTV_RECORDING_CAP, "%s%s%s", state, cause[0] ? ": " : "", cause);
}

bool gtv_media_parse_path(yyjson_val *item, struct gtv_path_state *out)
{
    struct gtv_path_state p = {.present = true};
    yyjson_val *name = yyjson_obj_get(item, "name");
    if (!yyjson_is_str(name) || yyjson_get_len(name) == 0 ||
        !gtv_str_copy(p.name, sizeof p.name, (struct gtv_str){yyjson_get_str(name), yyjson_get_len(name)}))
        return false;
    // `online` is true of pulled sources that are not connected: only `ready` says it.
    p.ready = yyjson_is_true(yyjson_obj_get(item, "ready"));
    const char *state = yyjson_get_str(yyjson_obj_get(item, "state"));
    if (p.ready)
        state = "connected";
    else if (!state)
        state = "connecting";
    else if (strcmp(state, "failed") == 0)
        state = "disconnected";
    snprintf(p.state, sizeof p.state, "%s", state);
    copy_redacted(p.cause, sizeof p.cause, yyjson_obj_get(item, "cause"));
    copy_redacted(p.cause_code, sizeof p.cause_code, yyjson_obj_get(item, "causeCode"));
    copy_redacted(p.source_type, sizeof p.source_type,
                  yyjson_obj_get(yyjson_obj_get(item, "source"), "type"));
    read_tracks(item, p.tracks);
    read_recording(yyjson_obj_get(item, "recording"), p.recording);
    p.node_readers = (unsigned)yyjson_arr_size(yyjson_obj_get(item, "readers"));
    p.bytes_received = yyjson_get_uint(yyjson_obj_get(item, "bytesReceived"));
    *out = p;
    return true;
}

bool gtv_media_parse_config(yyjson_val *item, struct gtv_path_config *out)
{
    struct gtv_path_config p = {0};
    yyjson_val *name = yyjson_obj_get(item, "name"), *source = yyjson_obj_get(item, "source");
    if (!yyjson_is_str(name) || !yyjson_is_str(source))
        return false;
    struct gtv_str path = {yyjson_get_str(name), yyjson_get_len(name)};
    p.sub = gtv_camera_sub_path_parse(path, &p.camera_id);
    if (!p.sub && !gtv_camera_path_parse(path, &p.camera_id))
        return false;
    snprintf(p.source, sizeof p.source, "%s", yyjson_get_str(source));
    p.on_demand = yyjson_is_true(yyjson_obj_get(item, "sourceOnDemand"));
    p.record = yyjson_is_true(yyjson_obj_get(item, "record"));
    *out = p;
    return true;
}

bool gtv_media_differs(const struct gtv_path_config *has, const struct gtv_camera *wanted, char out[64])
{
    char redacted[GTV_CAMERA_URL_MAX + 16];
    const char *source = has->sub ? wanted->sub_url : wanted->url;
    bool on_demand = has->sub || wanted->on_demand, record = !has->sub && wanted->record;
    struct gtv_str url = gtv_str_of(source);
    size_t n = gtv_redact(url, redacted, sizeof redacted);
    bool same = strcmp(has->source, source) == 0 ||
                gtv_str_eq(gtv_str_of(has->source), (struct gtv_str){redacted, n});
    snprintf(out, 64, "%s%s%s", same ? "" : ",source", has->on_demand == on_demand ? "" : ",sourceOnDemand",
             has->record == record ? "" : ",record");
    memmove(out, out + (out[0] == ','), strlen(out + (out[0] == ',')) + 1);
    return out[0] != '\0';
}

static void list_over(struct call *c, const struct gtv_error *err)
{
    size_t n = err ? 0 : c->count;
    if (c->configs_fn)
        c->configs_fn(c->arg, c->configs, n, err);
    else
        c->list_fn(c->arg, c->items, n, err);
    call_free(c);
}

static void send_page(struct call *c);

// The number of pages, or -1 when the answer is none of this API.
static int64_t take_page(struct call *c, struct gtv_str text)
{
    yyjson_doc *doc = gtv_json_parse(text, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *items = yyjson_obj_get(root, "items");
    if (!yyjson_is_arr(items)) {
        yyjson_doc_free(doc);
        return -1;
    }
    size_t room = c->count + yyjson_arr_size(items) + 1, i, n;
    if (c->configs_fn)
        c->configs = gtv_realloc(c->configs, room * sizeof *c->configs);
    else
        c->items = gtv_realloc(c->items, room * sizeof *c->items);
    yyjson_val *item;
    yyjson_arr_foreach(items, i, n, item)
    {
        if (c->count < GTV_STATES_MAX && (c->configs_fn ? gtv_media_parse_config(item, &c->configs[c->count])
                                                        : gtv_media_parse_path(item, &c->items[c->count])))
            c->count++;
    }
    int64_t pages = (int64_t)yyjson_get_uint(yyjson_obj_get(root, "pageCount"));
    yyjson_doc_free(doc);
    return pages;
}

static void page_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *failure)
{
    struct call *c = arg;
    struct gtv_error err = {0};
    int64_t pages = 0;
    if (failure) {
        err = *failure;
    } else if (r->status != 200) {
        yyjson_doc *doc = gtv_json_parse(gtv_bytes_str(r->body), NULL);
        describe(r->status == 400 ? 502 : r->status, error_text(doc), &err);
        yyjson_doc_free(doc);
    } else {
        pages = take_page(c, gtv_bytes_str(r->body));
        if (pages < 0)
            gtv_error_set(&err, GTV_E_UPSTREAM, NULL, "the media node's list of paths cannot be read");
    }
    c->page++;
    if (!err.code && (int64_t)c->page < pages && c->page < PAGES_MAX)
        send_page(c);
    else
        list_over(c, err.code ? &err : NULL);
}

static void send_page(struct call *c)
{
    char *url = gtv_asprintf("%s/v3/%s/list?itemsPerPage=%d&page=%zu", c->media->base,
                             c->configs_fn ? "config/paths" : "paths", (int)PAGE_ITEMS, c->page);
    send_call(c, "GET", url, NULL, PAGE_BYTES, page_done);
}

void gtv_media_list(struct gtv_media *m, gtv_media_list_fn fn, void *arg)
{
    struct call *c = call_create(m, arg);
    c->list_fn = fn;
    send_page(c);
}

void gtv_media_configs(struct gtv_media *m, gtv_media_configs_fn fn, void *arg)
{
    struct call *c = call_create(m, arg);
    c->configs_fn = fn;
    send_page(c);
}
