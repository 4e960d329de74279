#include "services/media/record/mp4read.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BOX = 8,
    READ_AHEAD = 8192, // covers the moof and the head of mdat in one read, nearly always
    DEPTH_MAX = 8,
    TIMESCALE_MAX = 1 << 28,
};
// No clock says more, and the arithmetic of ticks has room beyond: the year 2168.
#define SECONDS_MAX INT64_C(6250000000)

// "gtv recording 1", as the type of a uuid box.
static const uint8_t mark_type[16] = {0x67, 0x74, 0x76, 0x20, 0x72, 0x65, 0x63, 0x6f,
                                      0x72, 0x64, 0x69, 0x6e, 0x67, 0x20, 0x31, 0x00};

bool gtv_mp4_read_all(int fd, void *data, size_t n, uint64_t at)
{
    uint8_t *p = data;
    while (n > 0) {
        ssize_t got = pread(fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        p += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

static uint64_t get(const char *p, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | (uint8_t)p[i];
    }
    return value;
}

static void put(struct gtv_buf *out, uint64_t value, unsigned bytes)
{
    uint8_t b[8];
    for (unsigned i = 0; i < bytes; i++) {
        b[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    }
    gtv_buf_append(out, b, bytes);
}

// A cursor over what is left of a box.
struct reader {
    struct gtv_str rest;
    bool bad;
};

static uint64_t take(struct reader *r, unsigned bytes)
{
    if (r->rest.n < bytes) {
        r->bad = true;
        r->rest.n = 0;
        return 0;
    }
    uint64_t value = get(r->rest.p, bytes);
    r->rest.p += bytes;
    r->rest.n -= bytes;
    return value;
}

static void skip(struct reader *r, size_t n)
{
    r->bad = r->bad || r->rest.n < n;
    n = r->rest.n < n ? r->rest.n : n;
    r->rest.p += n;
    r->rest.n -= n;
}

struct box {
    char type[4];
    struct gtv_str body;
    const char *begin;
};

static bool is(const struct box *b, const char *type)
{
    return memcmp(b->type, type, 4) == 0;
}

// The next box of data; false at the end or where a length is wrong (then *bad is set).
static bool next_box(struct gtv_str *data, struct box *b, bool *bad)
{
    if (data->n == 0) {
        return false;
    }
    if (data->n < BOX) {
        *bad = true;
        return false;
    }
    uint64_t len = get(data->p, 4), head = BOX;
    memcpy(b->type, data->p + 4, 4);
    if (len == 1 && data->n >= 16) {
        len = get(data->p + 8, 8);
        head = 16;
    }
    if (len < head || len > data->n) {
        *bad = true;
        return false;
    }
    b->begin = data->p;
    b->body = (struct gtv_str){data->p + head, (size_t)(len - head)};
    data->p += len;
    data->n -= (size_t)len;
    return true;
}

// ---- Head ----

void gtv_mp4_mark_write(struct gtv_buf *out, const struct gtv_mp4_mark *mark)
{
    put(out, GTV_MP4_MARK_BYTES, 4);
    gtv_buf_puts(out, "uuid");
    gtv_buf_append(out, mark_type, sizeof mark_type);
    put(out, (uint64_t)mark->origin, 8);
    put(out, (uint64_t)mark->start, 8);
    put(out, (uint64_t)mark->duration, 8);
    put(out, mark->run, 8);
    put(out, mark->number, 4);
    put(out, 0, 4);
}

static void parse_mark(struct gtv_str body, struct gtv_mp4_head *out)
{
    struct reader r = {{body.p + sizeof mark_type, body.n - sizeof mark_type}, false};
    out->mark.origin = (int64_t)take(&r, 8);
    out->mark.start = (int64_t)take(&r, 8);
    out->mark.duration = (int64_t)take(&r, 8);
    out->mark.run = take(&r, 8);
    out->mark.number = (uint32_t)take(&r, 4);
    // Beyond these the arithmetic of ticks could overflow; no clock says so.
    int64_t most = (int64_t)SECONDS_MAX * 90000;
    out->marked = !r.bad && out->mark.origin >= 0 && out->mark.origin < most &&
                  out->mark.start >= out->mark.origin && out->mark.start < most && out->mark.duration >= 0 &&
                  out->mark.duration < most;
}

struct track_parse {
    struct gtv_mp4_track track;
    bool handled;
    const char *base; // of the init
};

static void parse_trak(struct gtv_str body, struct track_parse *t, int depth)
{
    struct box b;
    bool bad = false;
    while (depth < DEPTH_MAX && next_box(&body, &b, &bad)) {
        struct reader r = {b.body, false};
        uint64_t version = b.body.n >= 4 ? get(b.body.p, 1) : 0;
        if (is(&b, "mdia") || is(&b, "minf") || is(&b, "stbl")) {
            parse_trak(b.body, t, depth + 1);
        } else if (is(&b, "tkhd")) {
            skip(&r, version == 1 ? 20 : 12);
            t->track.id = (uint32_t)take(&r, 4);
        } else if (is(&b, "mdhd")) {
            skip(&r, version == 1 ? 20 : 12);
            t->track.timescale = (uint32_t)take(&r, 4);
        } else if (is(&b, "hdlr")) {
            skip(&r, 8);
            uint64_t handler = take(&r, 4);
            t->track.video = handler == 0x76696465;
            t->handled = t->track.video || handler == 0x736f756e;
        } else if (is(&b, "stsd")) {
            t->track.stsd_at = (size_t)(b.begin - t->base);
            t->track.stsd_len = (size_t)(b.body.p + b.body.n - b.begin);
        }
    }
}

static void parse_moov(struct gtv_str body, struct gtv_mp4_head *out, const char *base)
{
    struct box b;
    bool bad = false;
    while (next_box(&body, &b, &bad)) {
        if (is(&b, "mvhd") && b.body.n >= 20 && get(b.body.p, 1) == 0 && get(b.body.p + 12, 4) == 1000) {
            out->mvhd_duration_at = (size_t)(b.body.p + 16 - base);
        }
        if (!is(&b, "trak") || out->track_count == GTV_MP4_TRACKS_MAX) {
            continue;
        }
        struct track_parse t = {.base = base};
        parse_trak(b.body, &t, 0);
        bool second_video = t.track.video && out->track_count > 0 && out->tracks[0].video;
        if (!t.handled || t.track.id == 0 || t.track.timescale == 0 || t.track.timescale > TIMESCALE_MAX ||
            t.track.stsd_len == 0 || second_video) {
            continue;
        }
        out->tracks[out->track_count++] = t.track;
    }
    if (out->track_count == 2 && out->tracks[1].video) {
        struct gtv_mp4_track first = out->tracks[0];
        out->tracks[0] = out->tracks[1];
        out->tracks[1] = first;
    }
}

bool gtv_mp4_parse_head(struct gtv_str data, struct gtv_mp4_head *out)
{
    const char *base = data.p;
    struct box b;
    bool bad = false, moov = false;
    *out = (struct gtv_mp4_head){0};
    if (!next_box(&data, &b, &bad) || !is(&b, "ftyp")) {
        return false;
    }
    while (!moov && next_box(&data, &b, &bad)) {
        moov = is(&b, "moov");
    }
    if (!moov) {
        return false;
    }
    parse_moov(b.body, out, base);
    out->init_len = (size_t)(data.p - base);
    out->fragments_at = out->init_len;
    if (next_box(&data, &b, &bad) && is(&b, "uuid") && b.body.n >= GTV_MP4_MARK_BYTES - BOX &&
        memcmp(b.body.p, mark_type, sizeof mark_type) == 0) {
        out->mark_at = (size_t)(b.begin - base);
        out->fragments_at = (uint64_t)(data.p - base);
        parse_mark(b.body, out);
    }
    return out->track_count > 0 && out->tracks[0].video;
}

bool gtv_mp4_read_head(int fd, uint64_t size, struct gtv_mp4_head *out, struct gtv_bytes **init)
{
    size_t want = READ_AHEAD;
    for (;;) {
        size_t n = size < want ? (size_t)size : want;
        struct gtv_bytes *data = gtv_bytes_create(n > 0 ? n : 1);
        if (data == NULL || !gtv_mp4_read_all(fd, data->data, n, 0)) {
            gtv_bytes_unref(data);
            return false;
        }
        data->len = n;
        // The box behind moov has to be inside as well.
        bool ok = gtv_mp4_parse_head(gtv_bytes_str(data), out) &&
                  (out->mark_at != 0 || n == size || n - out->init_len >= GTV_MP4_MARK_BYTES);
        if (ok && init != NULL) {
            data->len = out->init_len;
            *init = data;
            return true;
        }
        gtv_bytes_unref(data);
        if (ok || n == size || want >= GTV_MP4_INIT_MAX) {
            return ok;
        }
        want = GTV_MP4_INIT_MAX;
    }
}

// ---- Fragments ----

enum {
    TFHD_BASE = 0x1,
    TFHD_DESCRIPTION = 0x2,
    TFHD_DURATION = 0x8,
    TFHD_SIZE = 0x10,
    TFHD_FLAGS = 0x20,
    TRUN_OFFSET = 0x1,
    TRUN_FIRST_FLAGS = 0x4,
    TRUN_DURATION = 0x100,
    TRUN_SIZE = 0x200,
    TRUN_FLAGS = 0x400,
    TRUN_COMPOSITION = 0x800,
    NON_SYNC = 0x10000,
};

static unsigned entry_bytes(uint32_t flags)
{
    unsigned n = 0;
    for (uint32_t bit = TRUN_DURATION; bit <= TRUN_COMPOSITION; bit <<= 1) {
        n += (flags & bit) != 0 ? 4 : 0;
    }
    return n;
}

bool gtv_mp4_next_sample(const struct gtv_mp4_run *run, uint32_t i, size_t *at, struct gtv_mp4_sample *out)
{
    unsigned each = entry_bytes(run->flags);
    if (i >= run->count || run->entries.n - *at < each) {
        return false;
    }
    struct reader r = {{run->entries.p + *at, each}, false};
    *at += each;
    out->duration = (run->flags & TRUN_DURATION) != 0 ? (uint32_t)take(&r, 4) : run->default_duration;
    out->size = (run->flags & TRUN_SIZE) != 0 ? (uint32_t)take(&r, 4) : run->default_size;
    uint32_t flags = i == 0 && (run->flags & TRUN_FIRST_FLAGS) != 0 ? run->first_flags : run->default_flags;
    flags = (run->flags & TRUN_FLAGS) != 0 ? (uint32_t)take(&r, 4) : flags;
    out->composition = (run->flags & TRUN_COMPOSITION) != 0 ? (int32_t)(uint32_t)take(&r, 4) : 0;
    out->key = (flags & NON_SYNC) == 0;
    return true;
}

static bool parse_tfhd(struct gtv_str body, const struct gtv_mp4_head *head, struct gtv_mp4_run *run)
{
    struct reader r = {body, false};
    uint32_t flags = (uint32_t)take(&r, 4) & 0xffffff, id = (uint32_t)take(&r, 4);
    skip(&r, (flags & TFHD_BASE) != 0 ? 8 : 0);
    skip(&r, (flags & TFHD_DESCRIPTION) != 0 ? 4 : 0);
    run->default_duration = (flags & TFHD_DURATION) != 0 ? (uint32_t)take(&r, 4) : 0;
    run->default_size = (flags & TFHD_SIZE) != 0 ? (uint32_t)take(&r, 4) : 0;
    run->default_flags = (flags & TFHD_FLAGS) != 0 ? (uint32_t)take(&r, 4) : 0;
    for (size_t i = 0; i < head->track_count; i++) {
        if (head->tracks[i].id == id) {
            run->track = &head->tracks[i];
        }
    }
    // An absolute base would have to be moved with the fragment; nobody writes it any more.
    return !r.bad && (flags & TFHD_BASE) == 0;
}

static bool parse_trun(struct gtv_str body, struct gtv_mp4_run *run)
{
    struct reader r = {body, false};
    run->flags = (uint32_t)take(&r, 4) & 0xffffff;
    run->count = (uint32_t)take(&r, 4);
    run->data_at = (run->flags & TRUN_OFFSET) != 0 ? take(&r, 4) : 0;
    run->first_flags = (run->flags & TRUN_FIRST_FLAGS) != 0 ? (uint32_t)take(&r, 4) : 0;
    run->entries = r.rest;
    uint64_t each = entry_bytes(run->flags);
    if (r.bad || run->count == 0 || run->count > 1000000 || each * run->count > r.rest.n ||
        run->data_at > INT32_MAX) {
        return false;
    }
    size_t at = 0;
    struct gtv_mp4_sample s;
    for (uint32_t i = 0; i < run->count && gtv_mp4_next_sample(run, i, &at, &s); i++) {
        run->bytes += s.size;
        run->duration += s.duration;
    }
    return true;
}

static bool parse_traf(struct gtv_str body, const struct gtv_mp4_head *head, const char *base,
                       struct gtv_mp4_fragment *out)
{
    struct gtv_mp4_run run = {0};
    struct box b;
    bool bad = false, timed = false, ran = false;
    while (next_box(&body, &b, &bad)) {
        struct reader r = {b.body, false};
        if (is(&b, "tfhd")) {
            bad = bad || !parse_tfhd(b.body, head, &run);
        } else if (is(&b, "tfdt")) {
            run.tfdt_long = take(&r, 4) >> 24 == 1;
            run.tfdt_at = (size_t)(r.rest.p - base);
            run.tfdt = (int64_t)take(&r, run.tfdt_long ? 8 : 4);
            timed = !r.bad && run.tfdt >= 0 && run.tfdt < INT64_C(1) << 56;
        } else if (is(&b, "trun")) {
            bad = bad || ran || !parse_trun(b.body, &run); // one run a track is what recorders write
            ran = true;
        }
    }
    if (bad) {
        return false;
    }
    if (run.track == NULL || !timed || !ran) {
        return true; // a track that is not ours to play
    }
    if ((run.tfdt + run.duration) / run.track->timescale >= SECONDS_MAX) {
        return false;
    }
    if (out->run_count == GTV_MP4_TRACKS_MAX) {
        return false;
    }
    out->runs[out->run_count++] = run;
    return true;
}

bool gtv_mp4_parse_moof(struct gtv_str moof, const struct gtv_mp4_head *head, struct gtv_mp4_fragment *out)
{
    const char *base = moof.p;
    struct box b, outer;
    bool bad = false;
    *out = (struct gtv_mp4_fragment){0};
    if (!next_box(&moof, &outer, &bad) || !is(&outer, "moof")) {
        return false;
    }
    out->moof_len = (uint32_t)(moof.p - base);
    while (next_box(&outer.body, &b, &bad)) {
        if (is(&b, "mfhd") && b.body.n >= 8) {
            out->sequence_at = (size_t)(b.body.p + 4 - base);
        }
        if (is(&b, "traf") && !parse_traf(b.body, head, base, out)) {
            return false;
        }
    }
    return !bad && out->run_count > 0;
}

// The box at `at`: its type and length. False beyond the end.
static bool peek(int fd, uint64_t size, uint64_t at, char type[4], uint64_t *len, uint32_t *head)
{
    char b[16];
    if (size - at < BOX || at > size || !gtv_mp4_read_all(fd, b, BOX, at)) {
        return false;
    }
    *len = get(b, 4);
    *head = BOX;
    memcpy(type, b + 4, 4);
    if (*len == 1) {
        if (size - at < 16 || !gtv_mp4_read_all(fd, b + 8, 8, at + 8)) {
            return false;
        }
        *len = get(b + 8, 8);
        *head = 16;
    }
    return *len >= *head && *len <= size - at;
}

bool gtv_mp4_read_fragment(int fd, uint64_t size, uint64_t at, const struct gtv_mp4_head *head,
                           struct gtv_buf *moof, struct gtv_mp4_fragment *out)
{
    char type[4], block[READ_AHEAD];
    uint64_t len = 0, mdat = 0;
    uint32_t box_head = 0;
    for (;;) {
        if (at >= size || !peek(fd, size, at, type, &len, &box_head)) {
            return false;
        }
        if (memcmp(type, "moof", 4) == 0) {
            break;
        }
        at += len;
    }
    if (len > GTV_MP4_MOOF_MAX) {
        return false;
    }
    gtv_buf_reset(moof);
    size_t first = len < sizeof block ? (size_t)len : sizeof block;
    if (!gtv_mp4_read_all(fd, block, first, at) || !gtv_buf_append(moof, block, first)) {
        return false;
    }
    while (moof->len < len) {
        size_t some = len - moof->len < sizeof block ? (size_t)(len - moof->len) : sizeof block;
        if (!gtv_mp4_read_all(fd, block, some, at + moof->len) || !gtv_buf_append(moof, block, some)) {
            return false;
        }
    }
    if (!gtv_mp4_parse_moof(gtv_buf_str(moof), head, out) ||
        !peek(fd, size, at + len, type, &mdat, &box_head) || memcmp(type, "mdat", 4) != 0) {
        return false;
    }
    out->at = at;
    out->len = len + mdat;
    out->mdat_head = box_head;
    for (size_t i = 0; i < out->run_count; i++) {
        const struct gtv_mp4_run *run = &out->runs[i];
        if (run->data_at < len + box_head || run->data_at > out->len ||
            run->bytes > out->len - run->data_at) {
            return false;
        }
    }
    return true;
}

const struct gtv_mp4_run *gtv_mp4_video(const struct gtv_mp4_fragment *f)
{
    for (size_t i = 0; i < f->run_count; i++) {
        if (f->runs[i].track->video) {
            return &f->runs[i];
        }
    }
    return NULL;
}

int64_t gtv_mp4_ticks(int64_t value, uint32_t timescale)
{
    return timescale == 90000 ? value : value / timescale * 90000 + value % timescale * 90000 / timescale;
}

bool gtv_mp4_key_time(const struct gtv_mp4_fragment *f, int64_t *pts)
{
    const struct gtv_mp4_run *run = gtv_mp4_video(f);
    struct gtv_mp4_sample s;
    size_t at = 0;
    if (run == NULL || !gtv_mp4_next_sample(run, 0, &at, &s) || !s.key) {
        return false;
    }
    *pts = gtv_mp4_ticks(run->tfdt + s.composition, run->track->timescale);
    return true;
}

int64_t gtv_mp4_end(const struct gtv_mp4_fragment *f)
{
    const struct gtv_mp4_run *video = gtv_mp4_video(f);
    int64_t end = 0;
    if (video != NULL) {
        return gtv_mp4_ticks(video->tfdt + video->duration, video->track->timescale);
    }
    for (size_t i = 0; i < f->run_count; i++) {
        int64_t this = gtv_mp4_ticks(f->runs[i].tfdt + f->runs[i].duration, f->runs[i].track->timescale);
        end = this > end ? this : end;
    }
    return end;
}

bool gtv_mp4_walk(int fd, uint64_t *size, const struct gtv_mp4_head *head, struct gtv_mp4_keys *keys,
                  int64_t *end)
{
    struct gtv_buf moof;
    struct gtv_mp4_fragment f;
    uint64_t at = head->fragments_at;
    bool ok = true, any = false;
    gtv_buf_init(&moof, GTV_MP4_MOOF_MAX);
    *end = 0;
    while (ok && gtv_mp4_read_fragment(fd, *size, at, head, &moof, &f)) {
        int64_t pts, last = gtv_mp4_end(&f);
        ok = !gtv_mp4_key_time(&f, &pts) || gtv_mp4_keys_add(keys, (struct gtv_mp4_key){pts, f.at});
        *end = last > *end ? last : *end;
        at = f.at + f.len;
        any = true;
    }
    gtv_buf_finish(&moof);
    *size = at;
    return ok && any && keys->n > 0;
}

// ---- Key frames ----

enum { MFRO = 16, TFRA_HEAD = 24, TFRA_ENTRY = 19 };

void gtv_mp4_keys_finish(struct gtv_mp4_keys *k)
{
    free(k->list);
    *k = (struct gtv_mp4_keys){0};
}

bool gtv_mp4_keys_add(struct gtv_mp4_keys *k, struct gtv_mp4_key key)
{
    if (k->n == k->cap) {
        size_t cap = k->cap > 0 ? k->cap * 2 : 64;
        struct gtv_mp4_key *list = reallocarray(k->list, cap, sizeof *list);
        if (list == NULL) {
            return false;
        }
        k->list = list;
        k->cap = cap;
    }
    k->list[k->n++] = key;
    return true;
}

void gtv_mp4_write_mfra(struct gtv_buf *out, const struct gtv_mp4_keys *keys)
{
    size_t tfra = TFRA_HEAD + TFRA_ENTRY * keys->n, all = BOX + tfra + MFRO;
    put(out, all, 4);
    gtv_buf_puts(out, "mfra");
    put(out, tfra, 4);
    gtv_buf_puts(out, "tfra");
    put(out, 0x01000000, 4); // version 1: 64 bits
    put(out, 1, 4);          // the video track
    put(out, 0, 4);          // numbers of traf, trun and sample take a byte each
    put(out, keys->n, 4);
    for (size_t i = 0; i < keys->n; i++) {
        put(out, (uint64_t)keys->list[i].time, 8);
        put(out, keys->list[i].offset, 8);
        put(out, 0x010101, 3);
    }
    put(out, MFRO, 4);
    gtv_buf_puts(out, "mfro");
    put(out, 0, 4);
    put(out, all, 4);
}

bool gtv_mp4_parse_mfra(struct gtv_str mfra, uint64_t size, struct gtv_mp4_keys *out)
{
    struct box outer, b;
    bool bad = false;
    if (!next_box(&mfra, &outer, &bad) || !is(&outer, "mfra") || !next_box(&outer.body, &b, &bad) ||
        !is(&b, "tfra")) {
        return false;
    }
    struct reader r = {b.body, false};
    bool wide = take(&r, 4) >> 24 == 1;
    skip(&r, 4);
    uint32_t lengths = (uint32_t)take(&r, 4);
    uint64_t count = take(&r, 4);
    size_t numbers = (lengths >> 4 & 3) + (lengths >> 2 & 3) + (lengths & 3) + 3;
    if (r.bad || count == 0 || count > r.rest.n / ((wide ? 16U : 8U) + numbers)) {
        return false;
    }
    int64_t before = -1;
    for (uint64_t i = 0; i < count; i++) {
        struct gtv_mp4_key key = {(int64_t)take(&r, wide ? 8 : 4), take(&r, wide ? 8 : 4)};
        skip(&r, numbers);
        if (key.time < before || key.time >= INT64_C(1) << 56 || key.offset >= size) {
            return false;
        }
        before = key.time;
        if (!gtv_mp4_keys_add(out, key)) {
            return false;
        }
    }
    return true;
}

bool gtv_mp4_has_mfra(int fd, uint64_t size, uint64_t *mfra_at)
{
    char end[MFRO], head[BOX];
    if (size < MFRO + BOX || !gtv_mp4_read_all(fd, end, MFRO, size - MFRO) || get(end, 4) != MFRO ||
        memcmp(end + 4, "mfro", 4) != 0) {
        return false;
    }
    uint64_t len = get(end + 12, 4);
    if (len < MFRO + BOX || len > size || len > GTV_MP4_MFRA_MAX ||
        !gtv_mp4_read_all(fd, head, BOX, size - len) || get(head, 4) != len ||
        memcmp(head + 4, "mfra", 4) != 0) {
        return false;
    }
    if (mfra_at != NULL) {
        *mfra_at = size - len;
    }
    return true;
}

bool gtv_mp4_read_mfra(int fd, uint64_t size, struct gtv_mp4_keys *out, uint64_t *mfra_at)
{
    uint64_t at = 0;
    if (!gtv_mp4_has_mfra(fd, size, &at)) {
        return false;
    }
    size_t n = (size_t)(size - at);
    char *data = malloc(n);
    bool ok = data != NULL && gtv_mp4_read_all(fd, data, n, at) &&
              gtv_mp4_parse_mfra((struct gtv_str){data, n}, at, out);
    free(data);
    if (!ok) {
        gtv_mp4_keys_finish(out);
    }
    if (mfra_at != NULL) {
        *mfra_at = at;
    }
    return ok;
}
