#include "services/media/record/cut_internal.h"

#include "lib/base/mem.h"
#include "services/media/record/recfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct gtv_cut *gtv_cut_create(struct gtv_record_span *spans, size_t n, int64_t from, int64_t to)
{
    struct gtv_cut *c = GTV_NEW(struct gtv_cut);
    *c = (struct gtv_cut){.spans = spans, .n = n, .from = from, .to = to, .origin = INT64_MIN, .fd = -1};
    gtv_buf_init(&c->moof, GTV_MP4_MOOF_MAX);
    return c;
}

void gtv_cut_destroy(struct gtv_cut *c)
{
    if (c == NULL) {
        return;
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    gtv_cut_plan_free(c->plan);
    gtv_buf_finish(&c->moof);
    gtv_bytes_unref(c->init);
    gtv_record_spans_free(c->spans, c->n);
    free(c);
}

// What the head does not say: where a file of others lies in time. Its first key frame is its start.
static int64_t origin_of(const struct gtv_mp4_head *head, const struct gtv_record_span *span,
                         const struct gtv_mp4_keys *keys)
{
    return head->marked ? head->mark.origin : span->info.start - keys->list[0].time;
}

static bool read_keys(int fd, const struct gtv_record_span *span, const struct gtv_mp4_head *head,
                      struct gtv_mp4_keys *keys)
{
    for (size_t i = 0; i < span->keys.n; i++) {
        if (!gtv_mp4_keys_add(keys, span->keys.list[i])) {
            return false;
        }
    }
    // The index of a file of others may list what is no key frame (libavformat's does): all is looked at.
    if (keys->n > 0 || (head->marked && gtv_mp4_read_mfra(fd, span->info.size, keys, NULL))) {
        return true;
    }
    uint64_t size = span->info.size;
    int64_t end;
    return gtv_mp4_walk(fd, &size, head, keys, &end);
}

bool gtv_cut_keys(const struct gtv_record_span *span, struct gtv_mp4_keys *keys, int64_t *origin)
{
    struct gtv_mp4_head head;
    bool ok = false;
    int fd = open(span->file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && gtv_mp4_read_head(fd, span->info.size, &head, NULL)) {
        ok = read_keys(fd, span, &head, keys);
        *origin = ok ? origin_of(&head, span, keys) : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (!ok) {
        gtv_mp4_keys_finish(keys);
    }
    return ok;
}

// Opens file `at`. seek: to the last key frame at or before c->from, else to its first fragment.
static bool open_file(struct gtv_cut *c, bool seek, struct gtv_bytes **init)
{
    const struct gtv_record_span *span = &c->spans[c->at];
    struct gtv_mp4_keys keys = {0};
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = open(span->file, O_RDONLY | O_CLOEXEC);
    c->size = span->info.size;
    if (c->fd < 0 || !gtv_mp4_read_head(c->fd, c->size, &c->head, init)) {
        return false;
    }
    c->offset = c->head.fragments_at;
    c->file_origin = c->head.mark.origin;
    if (seek || !c->head.marked) {
        if (!read_keys(c->fd, span, &c->head, &keys)) {
            return false;
        }
        c->file_origin = origin_of(&c->head, span, &keys);
        size_t low = 0, high = keys.n;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (c->file_origin + keys.list[middle].time <= c->from) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        c->offset = seek ? keys.list[low > 0 ? low - 1 : 0].offset : c->offset;
        gtv_mp4_keys_finish(&keys);
    }
    return true;
}

bool gtv_cut_open(struct gtv_cut *c, struct gtv_error *err)
{
    struct gtv_mp4_fragment f;
    if (c->n == 0) {
        gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "no recording segments found");
        return false;
    }
    if (!open_file(c, true, &c->init) ||
        !gtv_mp4_read_fragment(c->fd, c->size, c->offset, &c->head, &c->moof, &f)) {
        gtv_error_set(err, GTV_E_IO, NULL, "the recording could not be read");
        return false;
    }
    c->init_hash = gtv_record_init_hash(gtv_bytes_str(c->init), &c->head);
    const struct gtv_mp4_run *run = gtv_mp4_video(&f);
    run = run != NULL ? run : &f.runs[0];
    c->begin = c->file_origin + gtv_mp4_ticks(run->tfdt, run->track->timescale);
    c->origin = c->origin == INT64_MIN ? c->begin : c->origin;
    c->end = c->begin;
    return true;
}

struct gtv_bytes *gtv_cut_init(const struct gtv_cut *c)
{
    return c->init;
}

int64_t gtv_cut_begin(const struct gtv_cut *c)
{
    return c->begin;
}

void gtv_cut_set_origin(struct gtv_cut *c, int64_t origin)
{
    c->origin = origin;
}

// Goes on to the next file if that continues this one.
static bool next_file(struct gtv_cut *c, bool *failed)
{
    struct gtv_bytes *init = NULL;
    if (c->at + 1 == c->n) {
        return false;
    }
    const struct gtv_record_info *next = &c->spans[c->at + 1].info;
    int64_t gap = next->start - c->end;
    if (gap > GTV_CUT_TOLERANCE || gap < -GTV_CUT_TOLERANCE || next->init != c->init_hash) {
        return false;
    }
    c->at++;
    bool ok = open_file(c, false, &init);
    gtv_bytes_unref(init);
    *failed = !ok;
    return ok;
}

// Key frames count by the time they are shown, as the spans' bounds do; all else by when it is decoded.
static int64_t begin_of(const struct gtv_mp4_fragment *f)
{
    int64_t pts;
    const struct gtv_mp4_run *run = gtv_mp4_video(f);
    run = run != NULL ? run : &f->runs[0];
    return gtv_mp4_key_time(f, &pts) ? pts : gtv_mp4_ticks(run->tfdt, run->track->timescale);
}

bool gtv_cut_next(struct gtv_cut *c, struct gtv_mp4_fragment *f, bool *failed)
{
    *failed = false;
    while (!gtv_mp4_read_fragment(c->fd, c->size, c->offset, &c->head, &c->moof, f)) {
        if (!next_file(c, failed)) {
            return false;
        }
    }
    if (c->file_origin + begin_of(f) >= c->to) {
        return false;
    }
    c->offset = f->at + f->len;
    int64_t end = c->file_origin + gtv_mp4_end(f);
    c->end = end > c->end ? end : c->end;
    return true;
}

// ---- Fragments on another time line ----

static void patch(struct gtv_buf *moof, size_t at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        moof->data[at + i] = (char)(uint8_t)(value >> 8 * (bytes - 1 - i));
    }
}

// What a shift of the path's ticks is in a track's.
static int64_t from_ticks(int64_t ticks, uint32_t timescale)
{
    return timescale == 90000 ? ticks : ticks / 90000 * timescale + ticks % 90000 * timescale / 90000;
}

static void move_fragment(struct gtv_cut *c, const struct gtv_mp4_fragment *f)
{
    for (size_t i = 0; i < f->run_count; i++) {
        const struct gtv_mp4_run *run = &f->runs[i];
        int64_t time = run->tfdt + from_ticks(c->file_origin - c->origin, run->track->timescale);
        patch(&c->moof, run->tfdt_at, time > 0 ? (uint64_t)time : 0, run->tfdt_long ? 8 : 4);
    }
    if (f->sequence_at != 0) {
        patch(&c->moof, f->sequence_at, ++c->sequence, 4);
    }
}

static bool append_raw(struct gtv_cut *c, struct gtv_buf *out, size_t most)
{
    char block[64 * 1024];
    while (c->raw_left > 0 && out->len < most) {
        size_t n = c->raw_left < sizeof block ? (size_t)c->raw_left : sizeof block;
        if (!gtv_mp4_read_all(c->fd, block, n, c->raw_at) || !gtv_buf_append(out, block, n)) {
            return false;
        }
        c->raw_at += n;
        c->raw_left -= n;
    }
    return true;
}

enum gtv_cut_result gtv_cut_read(struct gtv_cut *c, struct gtv_buf *out, size_t most)
{
    struct gtv_mp4_fragment f;
    bool failed = false;
    while (out->len < most) {
        if (c->raw_left > 0) {
            if (!append_raw(c, out, most)) {
                return GTV_CUT_FAILED;
            }
            continue;
        }
        if (!gtv_cut_next(c, &f, &failed)) {
            return failed ? GTV_CUT_FAILED : GTV_CUT_END;
        }
        move_fragment(c, &f);
        if (!gtv_buf_append(out, c->moof.data, c->moof.len)) {
            return GTV_CUT_FAILED;
        }
        c->raw_at = f.at + f.moof_len;
        c->raw_left = f.len - f.moof_len;
    }
    return GTV_CUT_MORE;
}
