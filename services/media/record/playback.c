#include "services/media/record/playback.h"

#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "services/media/duration.h"
#include "services/media/record/internal.h"
#include "services/media/record/playback_job.h"
#include "services/media/record/recordings.h"
#include "services/media/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SPANS_MAX = 20000,            // files of one answer
    DURATION_MAX_S = 366 * 86400, // of one answer
};

static bool refuse(struct gtv_http_request *req, int status, const char *text)
{
    gtv_media_reply_error(req, status, text, NULL, NULL);
    return false;
}

// ---- What is asked for ----

static bool check_path(struct gtv_playback *p, struct gtv_http_request *req, struct gtv_str name)
{
    uint64_t files, bytes;
    if (p->gate != NULL && !gtv_gate_pass(p->gate, req, GTV_ACT_PLAYBACK, name, NULL)) {
        return false;
    }
    if (!gtv_record_index_totals(p->record->index, name, &files, &bytes)) {
        return refuse(req, 400,
                      gtv_arena_printf(gtv_http_arena(req), "path '%.*s' is not configured",
                                       (int)(name.n < 255 ? name.n : 255), name.p));
    }
    return true;
}

// True with *out untouched when the parameter is not there and need not be.
static bool read_time(struct gtv_http_request *req, const char *name, bool needed, int64_t *out)
{
    struct gtv_str text = gtv_http_query(req, name);
    int64_t us = 0;
    if (text.n == 0 && !needed) {
        return true;
    }
    if (!gtv_record_time_parse(text, &us)) {
        return refuse(req, 400,
                      gtv_arena_printf(gtv_http_arena(req),
                                       "invalid %s: parsing time \"%.*s\" as RFC 3339 failed", name,
                                       (int)(text.n < 64 ? text.n : 64), text.p));
    }
    *out = gtv_us_to_ticks(us);
    return true;
}

// Seconds, or a duration of Go's kind.
static bool read_duration(struct gtv_http_request *req, int64_t *ticks)
{
    struct gtv_str text = gtv_http_query(req, "duration");
    struct gtv_error err = {0};
    double seconds = 0;
    int64_t ms = 0;
    if (gtv_parse_double(text, 0, DURATION_MAX_S, &seconds)) {
        *ticks = (int64_t)(seconds * 90000);
        return true;
    }
    if (text.n == 0 || !gtv_duration_parse(text, &ms, &err) || ms < 0 || ms / 1000 > DURATION_MAX_S) {
        return refuse(req, 400,
                      gtv_arena_printf(gtv_http_arena(req), "invalid duration: %s",
                                       err.message[0] != '\0' ? err.message : "it is out of range"));
    }
    *ticks = ms * 90;
    return true;
}

// ---- List ----

struct span {
    int64_t start, end;
    uint32_t init;
};

// Continuous files are one span. *n becomes their count.
static struct span *join(const struct gtv_record_info *list, size_t *n)
{
    struct span *spans = gtv_alloc(*n * sizeof *spans);
    size_t count = 0;
    for (size_t i = 0; i < *n; i++) {
        struct span *last = count > 0 ? &spans[count - 1] : NULL;
        int64_t end = list[i].start + list[i].duration;
        int64_t gap = last != NULL ? list[i].start - last->end : INT64_MAX;
        if (last != NULL && gap <= GTV_CUT_TOLERANCE && gap >= -GTV_CUT_TOLERANCE &&
            last->init == list[i].init) {
            last->end = end;
        } else {
            spans[count++] = (struct span){list[i].start, end, list[i].init};
        }
    }
    *n = count;
    return spans;
}

static const char *write_seconds(int64_t ticks, char out[32])
{
    int n = snprintf(out, 32, "%.6f", (double)ticks / 90000);
    while (n > 0 && out[n - 1] == '0') {
        out[--n] = '\0';
    }
    if (n > 0 && out[n - 1] == '.') {
        out[n - 1] = '\0';
    }
    return out;
}

static void add_span(struct gtv_http_request *req, yyjson_mut_doc *doc, yyjson_mut_val *list,
                     struct gtv_str path, const struct span *s)
{
    char start[GTV_RECORD_TIME_CAP], start_url[GTV_RECORD_TIME_CAP * 3], seconds[32], name[256 * 3 + 1] = "";
    struct gtv_str host = gtv_http_header(req, "Host"), scheme = gtv_http_header(req, "X-Forwarded-Proto");
    bool tls = gtv_str_eq(scheme, GTV_STR("https"));
    gtv_record_time_write(gtv_ticks_to_us(s->start), start);
    write_seconds(s->end - s->start, seconds);
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_strcpy(doc, o, "start", start);
    double number = 0;
    (void)!gtv_parse_double(gtv_str_of(seconds), 0, 1e12, &number);
    yyjson_mut_obj_add_real(doc, o, "duration", number);
    if (gtv_url_encode(gtv_str_of(start), false, start_url, sizeof start_url) &&
        gtv_url_encode(path, false, name, sizeof name)) {
        yyjson_mut_obj_add_strcpy(
            doc, o, "url",
            gtv_arena_printf(gtv_http_arena(req), "%s://%.*s/get?duration=%s&path=%s&start=%s",
                             tls ? "https" : "http", (int)host.n, host.p, seconds, name, start_url));
    }
}

static void get_list(struct gtv_http_request *req, void *user)
{
    struct gtv_playback *p = user;
    struct gtv_str path = gtv_http_query(req, "path");
    int64_t from = 0, to = INT64_MAX;
    size_t n = 0;
    if (!check_path(p, req, path) || !read_time(req, "start", false, &from) ||
        !read_time(req, "end", false, &to)) {
        return;
    }
    struct gtv_record_info *files = gtv_record_index_list(p->record->index, path, from, to, &n);
    if (n == 0) {
        refuse(req, 404, "no recording segments found");
        return;
    }
    struct span *spans = join(files, &n);
    free(files);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, list);
    for (size_t i = 0; i < n; i++) {
        spans[i].start = spans[i].start < from ? from : spans[i].start;
        spans[i].end = spans[i].end > to ? to : spans[i].end;
        add_span(req, doc, list, path, &spans[i]);
    }
    free(spans);
    gtv_media_reply_json(req, doc);
}

// ---- Spans ----

static void play(struct gtv_playback *p, struct gtv_http_request *req, enum gtv_playback_kind kind,
                 struct gtv_str path, int64_t from, int64_t to, int64_t origin)
{
    size_t n = 0;
    struct gtv_record_span *spans = gtv_record_index_find(p->record->index, path, from, to, SPANS_MAX, &n);
    if (n == 0) {
        refuse(req, 404, "no recording segments found");
        return;
    }
    gtv_playback_run(p, req, kind, spans, n, from, to, origin);
}

static void get_span(struct gtv_http_request *req, void *user)
{
    struct gtv_playback *p = user;
    struct gtv_str path = gtv_http_query(req, "path"), format = gtv_http_query(req, "format");
    int64_t start = 0, duration = 0;
    if (p->gate != NULL && !gtv_gate_pass(p->gate, req, GTV_ACT_PLAYBACK, path, NULL)) {
        return;
    }
    if (!read_time(req, "start", true, &start) || !read_duration(req, &duration)) {
        return;
    }
    bool mp4 = gtv_str_eq(format, GTV_STR("mp4"));
    if (!mp4 && format.n > 0 && !gtv_str_eq(format, GTV_STR("fmp4"))) {
        refuse(req, 400,
               gtv_arena_printf(gtv_http_arena(req), "invalid format: %.*s",
                                (int)(format.n < 64 ? format.n : 64), format.p));
        return;
    }
    uint64_t files, bytes;
    if (!gtv_record_index_totals(p->record->index, path, &files, &bytes)) {
        refuse(req, 400,
               gtv_arena_printf(gtv_http_arena(req), "path '%.*s' is not configured",
                                (int)(path.n < 255 ? path.n : 255), path.p));
        return;
    }
    play(p, req, mp4 ? GTV_PLAY_MP4 : GTV_PLAY_FMP4, path, start, start + duration, 0);
}

// ---- HLS of the past ----

static void get_playlist(struct gtv_http_request *req, void *user)
{
    struct gtv_playback *p = user;
    struct gtv_str path = gtv_http_param(req, "path");
    int64_t start = 0, duration = 0;
    if (check_path(p, req, path) && read_time(req, "start", true, &start) && read_duration(req, &duration)) {
        play(p, req, GTV_PLAY_PLAYLIST, path, start, start + duration, 0);
    }
}

static bool read_ticks(struct gtv_http_request *req, const char *name, int64_t *out)
{
    return gtv_parse_int(gtv_http_query(req, name), 0, INT64_C(1) << 56, out) ||
           refuse(req, 400,
                  gtv_arena_printf(gtv_http_arena(req), "invalid %s: take it from the playlist", name));
}

static void get_init(struct gtv_http_request *req, void *user)
{
    struct gtv_playback *p = user;
    struct gtv_str path = gtv_http_param(req, "path");
    int64_t at = 0;
    if (check_path(p, req, path) && read_ticks(req, "at", &at)) {
        play(p, req, GTV_PLAY_INIT, path, at, at + 1, 0);
    }
}

static void get_segment(struct gtv_http_request *req, void *user)
{
    struct gtv_playback *p = user;
    struct gtv_str path = gtv_http_param(req, "path");
    int64_t from = 0, to = 0, base = 0;
    if (check_path(p, req, path) && read_ticks(req, "from", &from) && read_ticks(req, "to", &to) &&
        read_ticks(req, "base", &base)) {
        play(p, req, GTV_PLAY_SEGMENT, path, from, to, base);
    }
}

void gtv_playback_error(struct gtv_http_request *req, enum gtv_code code, const char *message, void *user)
{
    if (code == GTV_E_NOT_FOUND || code == GTV_E_METHOD_NOT_ALLOWED) {
        gtv_media_reply_not_found(req);
        return;
    }
    gtv_media_reply_error(req, gtv_code_http_status(code), message != NULL ? message : gtv_code_text(code),
                          NULL, NULL);
}

const struct gtv_http_route gtv_playback_routes[] = {
    {"GET", "/list", get_list, 0, "Recorded spans of a path"},
    {"GET", "/get", get_span, 0, "A span as fmp4 or mp4"},
    {"GET", "/hls/{path*}/index.m3u8", get_playlist, 0, "A span as an HLS playlist"},
    {"GET", "/hls/{path*}/init.mp4", get_init, 0, "What the playlist's segments begin with"},
    {"GET", "/hls/{path*}/segment.m4s", get_segment, 0, "One of the playlist's segments"},
};
const size_t gtv_playback_route_count = sizeof gtv_playback_routes / sizeof gtv_playback_routes[0];
