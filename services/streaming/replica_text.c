// What replicas tell each other of their viewers:
// {"streams":[{"path","peak","bytes","requests","hits","bitrate",
//              "viewers":[[id, address, agent, since, last, bytes, requests, stalls, stalled_ms], ...]},
//              ...]}
// Times are wall clock, ms.

#include "services/streaming/replicas.h"

#include "lib/base/buf.h"
#include "lib/json/json.h"

#include <inttypes.h>

enum { VIEWER_FIELDS = 9 };

struct writing {
    struct gtv_buf out;
    int64_t ahead_ms; // wall clock minus monotonic
    bool any_stream, any_viewer;
    size_t viewers;
};

static void write_stream(void *arg, struct gtv_str name, const struct gtv_viewed_stream *s)
{
    struct writing *w = arg;
    gtv_buf_puts(&w->out, w->any_stream ? "]},{\"path\":" : "{\"path\":");
    gtv_json_quote(&w->out, name);
    gtv_buf_printf(&w->out,
                   ",\"peak\":%zu,\"bytes\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"hits\":%" PRIu64
                   ",\"bitrate\":%" PRIu64 ",\"viewers\":[",
                   s->peak, s->bytes, s->requests, s->hits, s->bitrate);
    w->any_stream = true;
    w->any_viewer = false;
}

static void write_viewer(void *arg, const struct gtv_viewer *v)
{
    struct writing *w = arg;
    if (w->viewers++ >= GTV_REPLICA_SESSIONS_MAX)
        return;
    gtv_buf_printf(&w->out, "%s[\"%s\",", w->any_viewer ? "," : "", v->id);
    gtv_json_quote(&w->out, gtv_str_of(v->address));
    gtv_buf_puts(&w->out, ",");
    gtv_json_quote(&w->out, gtv_str_of(v->agent));
    gtv_buf_printf(&w->out, ",%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]",
                   v->since_ms + w->ahead_ms, v->last_ms + w->ahead_ms, v->bytes, v->requests, v->stalls,
                   v->stalled_ms);
    w->any_viewer = true;
}

struct gtv_bytes *gtv_replica_write(struct gtv_viewers *v, int64_t now_ms, int64_t wall_ms)
{
    struct writing w = {.ahead_ms = wall_ms - now_ms};
    gtv_buf_init(&w.out, GTV_REPLICA_JSON_MAX);
    gtv_buf_puts(&w.out, "{\"streams\":[");
    gtv_viewers_each_local(v, now_ms, write_stream, write_viewer, &w);
    gtv_buf_puts(&w.out, w.any_stream ? "]}]}" : "]}");
    struct gtv_bytes *out = gtv_buf_take(&w.out);
    gtv_buf_finish(&w.out);
    return out;
}

static uint64_t number(yyjson_val *v)
{
    return yyjson_is_uint(v) ? yyjson_get_uint(v) : 0;
}

static void copy_text(char *dst, size_t cap, yyjson_val *v)
{
    size_t n = yyjson_is_str(v) ? yyjson_get_len(v) : 0;
    n = n < cap ? n : cap - 1;
    if (n)
        memcpy(dst, yyjson_get_str(v), n);
    dst[n] = '\0';
}

static bool read_viewer(yyjson_val *a, int64_t behind_ms, struct gtv_viewer *out)
{
    if (!yyjson_is_arr(a) || yyjson_arr_size(a) != VIEWER_FIELDS)
        return false;
    *out = (struct gtv_viewer){
        .since_ms = (int64_t)number(yyjson_arr_get(a, 3)) - behind_ms,
        .last_ms = (int64_t)number(yyjson_arr_get(a, 4)) - behind_ms,
        .bytes = number(yyjson_arr_get(a, 5)),
        .requests = number(yyjson_arr_get(a, 6)),
        .stalls = number(yyjson_arr_get(a, 7)),
        .stalled_ms = number(yyjson_arr_get(a, 8)),
    };
    copy_text(out->id, sizeof out->id, yyjson_arr_get(a, 0));
    copy_text(out->address, sizeof out->address, yyjson_arr_get(a, 1));
    copy_text(out->agent, sizeof out->agent, yyjson_arr_get(a, 2));
    return strlen(out->id) == GTV_SESSION_ID_CAP - 1;
}

bool gtv_replica_read(struct gtv_viewers *v, struct gtv_str json, int64_t now_ms, int64_t wall_ms)
{
    yyjson_doc *doc = gtv_json_parse(json, NULL);
    yyjson_val *streams = yyjson_obj_get(yyjson_doc_get_root(doc), "streams"), *s, *one;
    bool ok = yyjson_is_arr(streams);
    yyjson_arr_iter it, at;
    for (yyjson_arr_iter_init(streams, &it); ok && (s = yyjson_arr_iter_next(&it));) {
        yyjson_val *path = yyjson_obj_get(s, "path");
        struct gtv_str name = {yyjson_get_str(path), yyjson_get_len(path)};
        if (!gtv_stream_name_valid(name))
            continue;
        const struct gtv_viewed_stream sums = {
            .peak = number(yyjson_obj_get(s, "peak")),
            .bytes = number(yyjson_obj_get(s, "bytes")),
            .requests = number(yyjson_obj_get(s, "requests")),
            .hits = number(yyjson_obj_get(s, "hits")),
            .bitrate = number(yyjson_obj_get(s, "bitrate")),
        };
        struct gtv_viewer viewer;
        gtv_viewers_remote_stream(v, name, &sums);
        for (yyjson_arr_iter_init(yyjson_obj_get(s, "viewers"), &at); (one = yyjson_arr_iter_next(&at));)
            if (read_viewer(one, wall_ms - now_ms, &viewer))
                gtv_viewers_remote_viewer(v, name, &viewer);
    }
    yyjson_doc_free(doc);
    return ok;
}
