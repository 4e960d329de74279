#include "services/media/record/playback_job.h"

#include "lib/base/mem.h"
#include "services/media/record/internal.h"
#include "services/media/reply.h"

#include <inttypes.h>
#include <stdlib.h>

struct job {
    uv_work_t work;
    struct gtv_playback *playback;
    struct gtv_http_request *req; // NULL: the client left, or has all
    enum gtv_playback_kind kind;
    struct gtv_record_span *spans; // of a playlist; else the cut's
    size_t span_count;
    int64_t from, to, origin;
    struct gtv_cut *cut;
    bool working, began, over;
    struct gtv_str range; // of the request
    uint64_t at, end;     // of an mp4: bytes still to be sent
    // What the pool brings.
    struct gtv_buf piece;
    bool last, failed;
    struct gtv_error err;
};

static void start_work(struct job *j);

static void free_when_over(struct job *j)
{
    if (j->working || j->req != NULL) {
        return;
    }
    j->playback->running--;
    gtv_cut_destroy(j->cut);
    gtv_record_spans_free(j->spans, j->span_count);
    gtv_buf_finish(&j->piece);
    free(j);
}

// ---- In the pool ----

static void plan(struct job *j)
{
    if (j->kind == GTV_PLAY_PLAYLIST) {
        j->last = true;
        if (!gtv_vod_write(j->spans, j->span_count, j->from, j->to, &j->piece)) {
            gtv_error_set(&j->err, GTV_E_IO, NULL, "the recording could not be read");
            j->failed = true;
        }
        return;
    }
    j->failed =
        !gtv_cut_open(j->cut, &j->err) || (j->kind == GTV_PLAY_MP4 && !gtv_cut_plan_mp4(j->cut, &j->err));
    if (j->failed) {
        return;
    }
    if (j->kind == GTV_PLAY_SEGMENT) {
        gtv_cut_set_origin(j->cut, j->origin);
    } else if (j->kind != GTV_PLAY_MP4) {
        const struct gtv_bytes *init = gtv_cut_init(j->cut);
        gtv_buf_append(&j->piece, init->data, init->len);
        j->last = j->kind == GTV_PLAY_INIT;
    }
}

static void read_piece(struct job *j)
{
    if (j->kind == GTV_PLAY_MP4) {
        uint64_t left = j->end - j->at;
        size_t most = left < GTV_PLAYBACK_PIECE ? (size_t)left : GTV_PLAYBACK_PIECE;
        j->failed = most > 0 && !gtv_cut_mp4_read(j->cut, j->at, most, &j->piece);
        j->at += j->piece.len;
        j->last = j->at >= j->end || j->piece.len == 0;
        return;
    }
    enum gtv_cut_result result = gtv_cut_read(j->cut, &j->piece, GTV_PLAYBACK_PIECE);
    j->failed = result == GTV_CUT_FAILED || j->piece.failed;
    j->last = result != GTV_CUT_MORE;
}

static void run_in_pool(uv_work_t *work)
{
    struct job *j = work->data;
    bool first = j->cut != NULL ? gtv_cut_init(j->cut) == NULL : true;
    if (first) {
        plan(j);
    }
    // An mp4's first bytes are read when the range is known.
    if (!j->failed && !j->last && !(first && j->kind == GTV_PLAY_MP4)) {
        read_piece(j);
    }
}

// ---- On the loop ----

bool gtv_playback_range(struct gtv_str header, uint64_t size, uint64_t *begin, uint64_t *end)
{
    int64_t first = -1, last = -1;
    if (!gtv_str_starts(header, GTV_STR("bytes=")) || gtv_str_find(header, ',') >= 0) {
        return false;
    }
    struct gtv_str rest = {header.p + 6, header.n - 6};
    if (gtv_str_find(rest, '-') < 0) {
        return false;
    }
    struct gtv_str from = gtv_str_trim(gtv_str_cut(&rest, '-')), to = gtv_str_trim(rest);
    if ((from.n > 0 && !gtv_parse_int(from, 0, INT64_MAX, &first)) ||
        (to.n > 0 && !gtv_parse_int(to, 0, INT64_MAX, &last)) || (from.n == 0 && to.n == 0) ||
        (first >= 0 && last >= 0 && last < first)) {
        return false;
    }
    if (first < 0) {
        *begin = (uint64_t)last < size ? size - (uint64_t)last : 0;
        *end = size;
        *begin = last == 0 ? size : *begin;
        return true;
    }
    *begin = (uint64_t)first < size ? (uint64_t)first : size;
    *end = last < 0 || (uint64_t)last >= size ? size : (uint64_t)last + 1;
    *end = *begin == size ? size : *end;
    return true;
}

static void begin_mp4(struct job *j)
{
    struct gtv_arena *arena = gtv_http_arena(j->req);
    uint64_t size = gtv_cut_mp4_size(j->cut), begin = 0, end = size;
    const char *tag =
        gtv_arena_printf(arena, "\"%" PRIx64 "-%" PRIx64 "\"", (uint64_t)gtv_cut_begin(j->cut), size);
    struct gtv_str condition = gtv_http_header(j->req, "If-Range");
    bool ranged = (condition.n == 0 || gtv_str_eq(condition, gtv_str_of(tag))) &&
                  gtv_playback_range(gtv_http_header(j->req, "Range"), size, &begin, &end);
    struct gtv_http_header headers[5] = {
        {GTV_STR("Content-Type"), GTV_STR("video/mp4")},
        {GTV_STR("Accept-Ranges"), GTV_STR("bytes")},
        {GTV_STR("ETag"), gtv_str_of(tag)},
    };
    size_t n = 3;
    if (ranged && begin == end) {
        headers[n++] = (struct gtv_http_header){
            GTV_STR("Content-Range"), gtv_str_of(gtv_arena_printf(arena, "bytes */%" PRIu64, size))};
        gtv_http_reply(j->req, 416, headers + 1, n - 1, NULL);
        j->over = true;
        return;
    }
    if (ranged) {
        headers[n++] = (struct gtv_http_header){
            GTV_STR("Content-Range"),
            gtv_str_of(
                gtv_arena_printf(arena, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, begin, end - 1, size))};
    }
    j->at = begin;
    j->end = end;
    gtv_http_stream_begin(j->req, ranged ? 206 : 200, headers, n, (int64_t)(end - begin));
    j->over = gtv_http_is_head(j->req);
    if (j->over) {
        gtv_http_stream_end(j->req);
    }
}

static void begin_reply(struct job *j)
{
    bool past = j->kind == GTV_PLAY_SEGMENT || j->kind == GTV_PLAY_INIT;
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"),
         j->kind == GTV_PLAY_PLAYLIST ? GTV_STR("application/vnd.apple.mpegurl") : GTV_STR("video/mp4")},
        {GTV_STR("Accept-Ranges"), GTV_STR("none")},
        {GTV_STR("Cache-Control"), past ? GTV_STR("private, max-age=3600") : GTV_STR("no-cache")},
    };
    if (j->kind == GTV_PLAY_MP4) {
        begin_mp4(j);
    } else {
        // What is complete already has a length.
        gtv_http_stream_begin(j->req, 200, headers, 3, j->last ? (int64_t)j->piece.len : -1);
    }
}

static void fail(struct job *j)
{
    j->over = true;
    if (j->began) {
        gtv_http_stream_abort(j->req); // the client has to see that something is missing
        return;
    }
    gtv_media_reply_error(j->req, j->err.code == GTV_E_TOO_LARGE ? 400 : gtv_code_http_status(j->err.code),
                          j->err.message, NULL, NULL);
}

static void send_piece(struct job *j)
{
    if (j->piece.len > 0) {
        struct gtv_bytes *bytes = gtv_buf_take(&j->piece);
        if (bytes == NULL) {
            fail(j);
            return;
        }
        gtv_http_stream_write(j->req, bytes);
        gtv_bytes_unref(bytes);
    }
    if (j->last) {
        j->over = true;
        gtv_http_stream_end(j->req);
    } else if (gtv_http_stream_pending(j->req) == 0) {
        start_work(j);
    }
}

static void on_drain(void *arg)
{
    struct job *j = arg;
    if (!j->working && !j->over && j->began) {
        start_work(j);
    }
}

static void after_work(uv_work_t *work, int status)
{
    struct job *j = work->data;
    j->working = false;
    if (j->req == NULL) {
        free_when_over(j);
        return;
    }
    if (status != 0 || j->failed) {
        fail(j);
        return;
    }
    if (!j->began) {
        begin_reply(j);
        j->began = true;
    }
    if (!j->over) {
        send_piece(j);
    }
}

static void start_work(struct job *j)
{
    j->working = true;
    if (uv_queue_work(gtv_loop_uv(j->playback->record->loop), &j->work, run_in_pool, after_work) != 0) {
        j->working = false;
        gtv_error_set(&j->err, GTV_E_UNAVAILABLE, NULL, "the recording cannot be read now");
        fail(j);
    }
}

static void on_close(void *arg, bool complete)
{
    struct job *j = arg;
    j->req = NULL;
    j->over = true;
    free_when_over(j);
}

void gtv_playback_run(struct gtv_playback *p, struct gtv_http_request *req, enum gtv_playback_kind kind,
                      struct gtv_record_span *spans, size_t n, int64_t from, int64_t to, int64_t origin)
{
    if (p->running >= GTV_PLAYBACK_RUNNING_MAX) {
        gtv_record_spans_free(spans, n);
        gtv_media_reply_error(req, 503, "too many recordings are being played back", NULL, NULL);
        return;
    }
    struct job *j = GTV_NEW(struct job);
    *j = (struct job){.playback = p, .req = req, .kind = kind, .from = from, .to = to, .origin = origin};
    j->work.data = j;
    gtv_buf_init(&j->piece, 0);
    p->running++;
    if (kind == GTV_PLAY_PLAYLIST) {
        j->spans = spans;
        j->span_count = n;
    } else {
        j->cut = gtv_cut_create(spans, n, from, to);
    }
    gtv_http_on_close(req, on_close, j);
    gtv_http_stream_on_drain(req, on_drain, j);
    start_work(j);
}
