// One mp4 with moov first (ISO/IEC 14496-12): its sample tables are made from the moofs, its media data are
// the files' own bytes, so that the length is known before a byte of them was read.
#include "services/media/record/cut_internal.h"

#include "lib/base/mem.h"
#include "services/media/hls/fmp4.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MDAT_HEAD = 16,
    MOVIE_TIMESCALE = 1000,
    EXTENTS_MAX = 2000000,
};

// A stretch of a file's bytes that is a chunk or more of the mp4.
struct extent {
    uint64_t at, from, len; // in the mp4's mdat, in the file
    size_t file;            // of the spans
};

struct table {
    const struct gtv_mp4_track *track; // of `head`
    struct gtv_buf stts, ctts, stss, stsz, stsc, chunks;
    uint32_t samples, chunk_count, stts_count, ctts_count, stss_count, stsc_count;
    uint32_t last_delta, last_delta_n, last_shift, last_shift_n, last_per_chunk;
    bool shifted;        // some are shown at another time than they are decoded
    int64_t first, next; // decoding time: of the first sample, of what follows the last; in its timescale
};

struct gtv_cut_plan {
    struct gtv_mp4_head head; // of the first file: the tables' tracks
    struct table tables[GTV_MP4_TRACKS_MAX];
    struct extent *extents;
    size_t extent_count, extent_cap;
    uint64_t data;         // bytes of mdat's content
    struct gtv_bytes *top; // ftyp, moov and the head of mdat
    int fd;
    size_t open_file;
};

static void table_finish(struct table *t)
{
    gtv_buf_finish(&t->stts);
    gtv_buf_finish(&t->ctts);
    gtv_buf_finish(&t->stss);
    gtv_buf_finish(&t->stsz);
    gtv_buf_finish(&t->stsc);
    gtv_buf_finish(&t->chunks);
}

void gtv_cut_plan_free(struct gtv_cut_plan *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < GTV_MP4_TRACKS_MAX; i++) {
        table_finish(&p->tables[i]);
    }
    if (p->fd >= 0) {
        close(p->fd);
    }
    gtv_bytes_unref(p->top);
    free(p->extents);
    free(p);
}

// ---- Sample tables, run by run ----

static void end_deltas(struct table *t)
{
    if (t->last_delta_n > 0) {
        gtv_box_put(&t->stts, t->last_delta_n, 4);
        gtv_box_put(&t->stts, t->last_delta, 4);
        t->stts_count++;
    }
    t->last_delta_n = 0;
}

static void end_shifts(struct table *t)
{
    if (t->last_shift_n > 0) {
        gtv_box_put(&t->ctts, t->last_shift_n, 4);
        gtv_box_put(&t->ctts, t->last_shift, 4);
        t->ctts_count++;
    }
    t->last_shift_n = 0;
}

static void add_delta(struct table *t, uint32_t delta)
{
    if (t->last_delta_n > 0 && t->last_delta != delta) {
        end_deltas(t);
    }
    t->last_delta = delta;
    t->last_delta_n++;
}

static void add_shift(struct table *t, int32_t shift)
{
    if (t->last_shift_n > 0 && t->last_shift != (uint32_t)shift) {
        end_shifts(t);
    }
    t->last_shift = (uint32_t)shift;
    t->last_shift_n++;
    t->shifted = t->shifted || shift != 0;
}

// A gap between fragments belongs to the last sample before it: its length was put already, and is made
// longer.
static void stretch_last(struct table *t, int64_t gap)
{
    if (gap <= 0 || gap > INT32_MAX || t->last_delta_n == 0) {
        return;
    }
    uint32_t delta = t->last_delta;
    t->last_delta_n--;
    end_deltas(t);
    add_delta(t, delta + (uint32_t)gap);
}

static void add_run(struct table *t, const struct gtv_mp4_run *run, int64_t time, uint64_t data_at)
{
    struct gtv_mp4_sample s;
    size_t at = 0;
    if (t->samples == 0) {
        t->first = time;
    } else {
        stretch_last(t, time - t->next);
        time = time > t->next ? time : t->next;
    }
    for (uint32_t i = 0; i < run->count && gtv_mp4_next_sample(run, i, &at, &s); i++) {
        add_delta(t, s.duration);
        add_shift(t, s.composition);
        gtv_box_put(&t->stsz, s.size, 4);
        t->samples++;
        time += s.duration;
        if (s.key && run->track->video) {
            gtv_box_put(&t->stss, t->samples, 4);
            t->stss_count++;
        }
    }
    t->next = time;
    gtv_box_put(&t->chunks, data_at, 8);
    t->chunk_count++;
    if (run->count != t->last_per_chunk) {
        gtv_box_put(&t->stsc, t->chunk_count, 4);
        gtv_box_put(&t->stsc, run->count, 4);
        gtv_box_put(&t->stsc, 1, 4);
        t->stsc_count++;
        t->last_per_chunk = run->count;
    }
}

static bool add_extent(struct gtv_cut_plan *p, size_t file, uint64_t from, uint64_t len)
{
    if (p->extent_count == p->extent_cap) {
        p->extent_cap = p->extent_cap > 0 ? p->extent_cap * 2 : 64;
        p->extents = gtv_realloc(p->extents, p->extent_cap * sizeof *p->extents);
    }
    p->extents[p->extent_count++] = (struct extent){p->data, from, len, file};
    p->data += len;
    return p->extent_count < EXTENTS_MAX;
}

static bool add_fragment(struct gtv_cut *c, const struct gtv_mp4_fragment *f)
{
    struct gtv_cut_plan *p = c->plan;
    uint64_t data = p->data, from = f->moof_len + f->mdat_head, samples = 0;
    for (size_t i = 0; i < f->run_count; i++) {
        const struct gtv_mp4_run *run = &f->runs[i];
        size_t which = (size_t)(run->track - c->head.tracks);
        int64_t shift = c->file_origin - c->origin;
        uint32_t scale = run->track->timescale;
        int64_t moved = scale == 90000 ? shift : shift / 90000 * scale + shift % 90000 * scale / 90000;
        add_run(&p->tables[which], run, run->tfdt + moved, data + (run->data_at - from));
        samples += p->tables[which].samples;
    }
    return samples <= GTV_CUT_SAMPLES_MAX && add_extent(p, c->at, f->at + from, f->len - from);
}

// ---- moov ----

static void put_matrix(struct gtv_buf *out)
{
    static const uint32_t unity[9] = {0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000};
    for (size_t i = 0; i < 9; i++) {
        gtv_box_put(out, unity[i], 4);
    }
}

static void put_table(struct gtv_buf *out, const char type[4], uint8_t version, uint32_t count,
                      const struct gtv_buf *entries)
{
    size_t box = gtv_box_begin_full(out, type, version, 0);
    gtv_box_put(out, count, 4);
    gtv_buf_append(out, entries->data, entries->len);
    gtv_box_end(out, box);
}

static void put_stbl(struct gtv_buf *out, const struct gtv_cut *c, const struct table *t, uint64_t data_at)
{
    size_t stbl = gtv_box_begin(out, "stbl");
    gtv_buf_append(out, c->init->data + t->track->stsd_at, t->track->stsd_len);
    put_table(out, "stts", 0, t->stts_count, &t->stts);
    if (t->shifted) {
        put_table(out, "ctts", 1, t->ctts_count, &t->ctts);
    }
    if (t->track->video) {
        put_table(out, "stss", 0, t->stss_count, &t->stss);
    }
    put_table(out, "stsc", 0, t->stsc_count, &t->stsc);
    size_t stsz = gtv_box_begin_full(out, "stsz", 0, 0);
    gtv_box_zeros(out, 4);
    gtv_box_put(out, t->samples, 4);
    gtv_buf_append(out, t->stsz.data, t->stsz.len);
    gtv_box_end(out, stsz);
    size_t co64 = gtv_box_begin_full(out, "co64", 0, 0);
    gtv_box_put(out, t->chunk_count, 4);
    for (size_t i = 0; i < t->chunk_count; i++) {
        uint64_t at = 0;
        for (size_t b = 0; b < 8; b++) {
            at = at << 8 | (uint8_t)t->chunks.data[i * 8 + b];
        }
        gtv_box_put(out, at + data_at, 8);
    }
    gtv_box_end(out, co64);
    gtv_box_end(out, stbl);
}

static uint64_t in_movie_time(int64_t value, uint32_t timescale)
{
    return value > 0 ? (uint64_t)value * MOVIE_TIMESCALE / timescale : 0;
}

// The track is shown from its first sample on; a later begin is an empty edit.
static void put_edits(struct gtv_buf *out, const struct table *t)
{
    int64_t length = t->next - t->first;
    uint64_t delay = in_movie_time(t->first, t->track->timescale);
    if (delay == 0) {
        return;
    }
    size_t edts = gtv_box_begin(out, "edts"), elst = gtv_box_begin_full(out, "elst", 1, 0);
    gtv_box_put(out, 2, 4);
    gtv_box_put(out, delay, 8);
    gtv_box_put(out, UINT64_MAX, 8);
    gtv_box_put(out, 0x10000, 4);
    gtv_box_put(out, in_movie_time(length, t->track->timescale), 8);
    gtv_box_put(out, 0, 8);
    gtv_box_put(out, 0x10000, 4);
    gtv_box_end(out, elst);
    gtv_box_end(out, edts);
}

// Width and height stand at a fixed place of the sample entry: behind stsd's head, the entry's and 24 bytes.
static uint32_t video_size(const struct gtv_cut *c, const struct table *t, size_t which)
{
    enum { AT = 8 + 8 + 8 + 24 };
    const uint8_t *p = c->init->data + t->track->stsd_at + AT + which * 2;
    return t->track->video && t->track->stsd_len >= AT + 4 ? (uint32_t)p[0] << 8 | p[1] : 0;
}

static void put_trak(struct gtv_buf *out, const struct gtv_cut *c, const struct table *t, uint64_t data_at)
{
    bool video = t->track->video;
    uint64_t delay = in_movie_time(t->first, t->track->timescale);
    size_t trak = gtv_box_begin(out, "trak"), tkhd = gtv_box_begin_full(out, "tkhd", 1, 3);
    gtv_box_zeros(out, 16);
    gtv_box_put(out, t->track->id, 4);
    gtv_box_zeros(out, 4);
    gtv_box_put(out, delay + in_movie_time(t->next - t->first, t->track->timescale), 8);
    gtv_box_zeros(out, 10);
    gtv_box_put(out, video ? 0 : 1, 2);
    gtv_box_put(out, video ? 0 : 0x0100, 2);
    gtv_box_zeros(out, 2);
    put_matrix(out);
    gtv_box_put(out, video_size(c, t, 0) << 16, 4);
    gtv_box_put(out, video_size(c, t, 1) << 16, 4);
    gtv_box_end(out, tkhd);
    put_edits(out, t);
    size_t mdia = gtv_box_begin(out, "mdia"), mdhd = gtv_box_begin_full(out, "mdhd", 1, 0);
    gtv_box_zeros(out, 16);
    gtv_box_put(out, t->track->timescale, 4);
    gtv_box_put(out, (uint64_t)(t->next - t->first), 8);
    gtv_box_put(out, 0x55c4, 2); // language: undetermined
    gtv_box_zeros(out, 2);
    gtv_box_end(out, mdhd);
    size_t hdlr = gtv_box_begin_full(out, "hdlr", 0, 0);
    gtv_box_zeros(out, 4);
    gtv_buf_puts(out, video ? "vide" : "soun");
    gtv_box_zeros(out, 13);
    gtv_box_end(out, hdlr);
    size_t minf = gtv_box_begin(out, "minf");
    size_t header = gtv_box_begin_full(out, video ? "vmhd" : "smhd", 0, video ? 1 : 0);
    gtv_box_zeros(out, video ? 8 : 4);
    gtv_box_end(out, header);
    size_t dinf = gtv_box_begin(out, "dinf"), dref = gtv_box_begin_full(out, "dref", 0, 0);
    gtv_box_put(out, 1, 4);
    gtv_box_end(out, gtv_box_begin_full(out, "url ", 0, 1));
    gtv_box_end(out, dref);
    gtv_box_end(out, dinf);
    put_stbl(out, c, t, data_at);
    gtv_box_end(out, minf);
    gtv_box_end(out, mdia);
    gtv_box_end(out, trak);
}

static void put_top(struct gtv_buf *out, const struct gtv_cut *c, uint64_t data_at)
{
    const struct gtv_cut_plan *p = c->plan;
    uint64_t length = 0;
    for (size_t i = 0; i < p->head.track_count; i++) {
        const struct table *t = &p->tables[i];
        uint64_t this = t->samples > 0 ? in_movie_time(t->next, t->track->timescale) : 0;
        length = this > length ? this : length;
    }
    size_t ftyp = gtv_box_begin(out, "ftyp");
    gtv_buf_puts(out, "isom");
    gtv_box_put(out, 512, 4);
    gtv_buf_puts(out, "isomiso2mp41");
    gtv_box_end(out, ftyp);
    size_t moov = gtv_box_begin(out, "moov"), mvhd = gtv_box_begin_full(out, "mvhd", 1, 0);
    gtv_box_zeros(out, 16);
    gtv_box_put(out, MOVIE_TIMESCALE, 4);
    gtv_box_put(out, length, 8);
    gtv_box_put(out, 0x10000, 4);
    gtv_box_put(out, 0x0100, 2);
    gtv_box_zeros(out, 10);
    put_matrix(out);
    gtv_box_zeros(out, 24);
    gtv_box_put(out, 0xffffffff, 4);
    gtv_box_end(out, mvhd);
    for (size_t i = 0; i < p->head.track_count; i++) {
        if (p->tables[i].samples > 0) {
            put_trak(out, c, &p->tables[i], data_at);
        }
    }
    gtv_box_end(out, moov);
    gtv_box_put(out, 1, 4);
    gtv_buf_puts(out, "mdat");
    gtv_box_put(out, p->data + MDAT_HEAD, 8);
}

// ---- Plan ----

bool gtv_cut_plan_mp4(struct gtv_cut *c, struct gtv_error *err)
{
    struct gtv_cut_plan *p = GTV_NEW(struct gtv_cut_plan);
    struct gtv_mp4_fragment f;
    struct gtv_buf top;
    bool failed = false;
    c->plan = p;
    p->fd = -1;
    p->head = c->head;
    for (size_t i = 0; i < p->head.track_count; i++) {
        p->tables[i].track = &p->head.tracks[i];
    }
    while (gtv_cut_next(c, &f, &failed)) {
        if (!add_fragment(c, &f)) {
            gtv_error_set(err, GTV_E_TOO_LARGE, "duration",
                          "the span has too many pictures for format mp4: ask for fmp4, or for less");
            return false;
        }
    }
    if (failed || p->extent_count == 0) {
        gtv_error_set(err, GTV_E_IO, NULL, "the recording could not be read");
        return false;
    }
    for (size_t i = 0; i < p->head.track_count; i++) {
        end_deltas(&p->tables[i]);
        end_shifts(&p->tables[i]);
    }
    // Offsets take eight bytes whatever they are: the second time knows how long the first was.
    gtv_buf_init(&top, 0);
    put_top(&top, c, 0);
    uint64_t data_at = top.len;
    gtv_buf_reset(&top);
    put_top(&top, c, data_at);
    p->top = gtv_buf_take(&top);
    if (p->top == NULL) {
        gtv_error_set(err, GTV_E_LIMIT, NULL, "out of memory");
        return false;
    }
    return true;
}

uint64_t gtv_cut_mp4_size(const struct gtv_cut *c)
{
    return c->plan->top->len + c->plan->data;
}

static const struct extent *extent_at(const struct gtv_cut_plan *p, uint64_t at)
{
    size_t low = 0, high = p->extent_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (p->extents[middle].at <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &p->extents[low];
}

bool gtv_cut_mp4_read(struct gtv_cut *c, uint64_t at, size_t most, struct gtv_buf *out)
{
    struct gtv_cut_plan *p = c->plan;
    char block[64 * 1024];
    if (at < p->top->len) {
        size_t n = p->top->len - (size_t)at;
        n = n < most ? n : most;
        return gtv_buf_append(out, p->top->data + at, n);
    }
    at -= p->top->len;
    while (most > 0 && at < p->data) {
        const struct extent *e = extent_at(p, at);
        if (p->fd < 0 || p->open_file != e->file) {
            if (p->fd >= 0) {
                close(p->fd);
            }
            p->fd = open(c->spans[e->file].file, O_RDONLY | O_CLOEXEC);
            p->open_file = e->file;
        }
        uint64_t inside = at - e->at;
        size_t n = e->len - inside < sizeof block ? (size_t)(e->len - inside) : sizeof block;
        n = n < most ? n : most;
        if (p->fd < 0 || !gtv_mp4_read_all(p->fd, block, n, e->from + inside) ||
            !gtv_buf_append(out, block, n)) {
            return false;
        }
        at += n;
        most -= n;
    }
    return true;
}
