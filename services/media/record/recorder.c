#include "services/media/record/recorder.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/hls/fmp4.h"

#include <stdlib.h>
#include <sys/random.h>

enum {
    RETRY_MS = 3000, // after the disk refused
    PART_SAMPLES = GTV_RECORD_PIECES_MAX - 1,
    PART_BYTES = 16 * 1024 * 1024, // of one part
    SHORTEST_PART = 100 * 90,      // a key frame ends no part that is shorter, unless it lacks one
    GAP_MAX = 5 * 90000,           // between two pictures of one file; beyond it another begins
    QUOTA_SHARE = 4,               // a file takes at most this part of its path's quota
    OWN_SHARE_PERCENT = 80,        // of recordPartDuration: the rest is for the way to the disk
};

struct gtv_recorder {
    struct gtv_reader reader;
    struct gtv_disk *disk;
    struct gtv_counter *all_dropped;
    struct gtv_log log;
    struct gtv_pathconf conf;
    struct gtv_format *format;
    struct gtv_bytes *init; // of the format
    bool init_changed;      // since the file began

    struct gtv_recfile *file;
    uint32_t sequence;
    uint64_t run; // of files that are continuous
    uint32_t number;
    bool continuous; // the next file goes on where this one ends
    bool skipping;   // to the next key frame
    bool overflowed; // the queue was full; told once

    struct gtv_sample *part;
    size_t n, cap, bytes;
    int64_t part_began_ms; // monotonic
    int64_t last_video;    // decoding time of the latest picture

    int error, told_error;
    int64_t retry_ms; // monotonic; not before it
    uint64_t written, dropped;
};

static int64_t part_ticks(const struct gtv_recorder *r)
{
    int64_t ms = r->conf.record_part_ms * OWN_SHARE_PERCENT / 100;
    return (ms < 50 ? 50 : ms) * 90;
}

static void clear_part(struct gtv_recorder *r)
{
    for (size_t i = 0; i < r->n; i++) {
        gtv_bytes_unref(r->part[i].data);
    }
    r->n = r->bytes = 0;
}

static void count_dropped(struct gtv_recorder *r, size_t n)
{
    r->dropped += n;
    gtv_counter_add(r->all_dropped, n);
}

static void drop_part(struct gtv_recorder *r)
{
    count_dropped(r, r->n);
    clear_part(r);
    r->skipping = true;
}

// ---- Parts ----

// Where the part ends: its last sample's end, as the fragment says it.
static int64_t end_of_part(const struct gtv_recorder *r, int64_t video_next)
{
    int64_t end = 0, before = 0, length = 3600;
    for (size_t i = 0; i < r->n; i++) {
        const struct gtv_sample *s = &r->part[i];
        if (s->video) {
            length = before > 0 && s->dts > before ? s->dts - before : length;
            before = s->dts;
        }
        end = s->dts > end ? s->dts : end;
    }
    int64_t last = video_next != GTV_FMP4_UNKNOWN ? video_next : before > 0 ? before + length : end;
    return (last > end ? last : end) - r->file->mark.origin;
}

static void flush_part(struct gtv_recorder *r, int64_t video_next)
{
    if (r->n == 0 || r->file == NULL) {
        clear_part(r);
        return;
    }
    struct gtv_fmp4_fragment info = {.sequence = ++r->sequence,
                                     .origin = r->file->mark.origin,
                                     .video_next = video_next,
                                     .audio_next = GTV_FMP4_UNKNOWN};
    struct gtv_bytes *pieces[GTV_RECORD_PIECES_MAX];
    int64_t key = INT64_MIN;
    for (size_t i = 0; i < r->n; i++) {
        if (r->part[i].video) {
            key = r->part[i].key ? r->part[i].pts - r->file->mark.origin : INT64_MIN;
            break;
        }
    }
    if (!gtv_fmp4_fragment(&info, r->part, r->n, pieces)) {
        drop_part(r);
        return;
    }
    size_t bytes = r->bytes + pieces[0]->len;
    if (gtv_disk_part(r->disk, r->file, pieces, r->n + 1, key, end_of_part(r, video_next))) {
        r->written += bytes;
        r->overflowed = false;
        clear_part(r);
    } else {
        if (!r->overflowed) {
            gtv_log_warn(&r->log, "the disk is too slow: recordings have a gap",
                         "cause=\"too much waits to be written\"");
        }
        r->overflowed = true;
        drop_part(r);
    }
    gtv_bytes_unref(pieces[0]);
}

// ---- Files ----

static void close_file(struct gtv_recorder *r, int64_t video_next)
{
    flush_part(r, video_next);
    if (r->file != NULL) {
        gtv_disk_close(r->disk, r->file);
    }
    r->file = NULL;
}

static void open_file(struct gtv_recorder *r, const struct gtv_sample *key)
{
    struct gtv_mp4_mark mark = {.origin = key->dts, .start = key->pts};
    if (!r->continuous) {
        if (getrandom(&r->run, sizeof r->run, GRND_NONBLOCK) != (ssize_t)sizeof r->run) {
            r->run = (uint64_t)gtv_mono_ns();
        }
        r->number = 0;
    }
    mark.run = r->run;
    mark.number = r->number++;
    if (r->init == NULL || r->init_changed) {
        gtv_bytes_unref(r->init);
        r->init = gtv_fmp4_init(r->format);
        r->init_changed = false;
    }
    r->file = r->init != NULL
                  ? gtv_recfile_create(gtv_str_of(r->conf.name), r->conf.record_path, r->init, &mark)
                  : NULL;
    r->sequence = 0;
    r->continuous = true;
}

static int64_t file_most(const struct gtv_recorder *r)
{
    return r->conf.record_quota > 0 ? r->conf.record_quota / QUOTA_SHARE : INT64_MAX;
}

static bool wants_new_file(const struct gtv_recorder *r, const struct gtv_sample *s)
{
    return r->file == NULL || r->init_changed || s->discontinuity ||
           s->dts - r->file->mark.origin >= r->conf.record_segment_ms * 90 || s->dts < r->last_video ||
           s->dts - r->last_video > GAP_MAX || (int64_t)r->file->size >= file_most(r) ||
           strcmp(r->file->pattern, r->conf.record_path) != 0;
}

// Sees whether the disk could write. False: nothing can be recorded now.
static bool check_disk(struct gtv_recorder *r, int64_t now_ms)
{
    int error = r->file != NULL ? r->file->error : 0;
    if (error == 0 && r->file != NULL && r->file->size > 0 && r->error != 0) {
        r->error = r->told_error = 0;
        gtv_log_info(&r->log, "recording goes on", NULL);
    }
    if (error != 0) {
        r->error = error;
        if (error != r->told_error) {
            r->told_error = error;
            gtv_log_error(&r->log, "recording stopped", "code=%s cause=\"%s\"", gtv_record_cause_code(error),
                          gtv_record_cause(error));
        }
        count_dropped(r, r->n);
        clear_part(r);
        gtv_disk_close(r->disk, r->file);
        r->file = NULL;
        r->continuous = false;
        r->retry_ms = now_ms + RETRY_MS;
    }
    return r->file != NULL || now_ms >= r->retry_ms;
}

// ---- The reader ----

static void on_format(void *arg, struct gtv_format *format)
{
    struct gtv_recorder *r = arg;
    gtv_format_unref(r->format);
    r->format = gtv_format_ref(format);
    r->init_changed = true;
}

static bool part_is_full(const struct gtv_recorder *r, const struct gtv_sample *s)
{
    int64_t covered = s->dts - r->part[0].dts;
    bool begins_with_key = r->part[0].video && r->part[0].key;
    return r->n == PART_SAMPLES || r->bytes + s->data->len > PART_BYTES || covered >= part_ticks(r) ||
           (s->video && s->key && (covered >= SHORTEST_PART || !begins_with_key));
}

// Pictures decide what file and part a sample belongs to. False: it is not recorded.
static bool place_sample(struct gtv_recorder *r, const struct gtv_sample *s)
{
    if (s->video && s->key && wants_new_file(r, s)) {
        bool follows = r->file != NULL && !s->discontinuity && s->dts > r->last_video &&
                       s->dts - r->last_video <= GAP_MAX;
        close_file(r, follows ? s->dts : GTV_FMP4_UNKNOWN);
        r->continuous = follows && !r->init_changed;
        open_file(r, s);
    }
    if (r->file == NULL) {
        return false;
    }
    if (s->video && s->key) {
        r->skipping = false;
    }
    // Sound that belongs before the file's first picture has no place in it.
    if (r->skipping || (!s->video && s->dts < r->file->mark.origin)) {
        return false;
    }
    if (r->n > 0 && part_is_full(r, s)) {
        flush_part(r, s->video ? s->dts : GTV_FMP4_UNKNOWN);
    }
    return !r->skipping || (s->video && s->key);
}

static void on_sample(void *arg, const struct gtv_sample *s)
{
    struct gtv_recorder *r = arg;
    int64_t now = gtv_mono_ms();
    if (r->format == NULL || !check_disk(r, now) || !place_sample(r, s)) {
        count_dropped(r, s->video && (r->skipping || r->error != 0) ? 1 : 0);
        return;
    }
    r->skipping = false;
    if (r->n == 0) {
        r->part_began_ms = now;
    }
    if (r->n == r->cap) {
        r->cap = r->cap > 0 ? r->cap * 2 : 32;
        r->part = gtv_realloc(r->part, r->cap * sizeof *r->part);
    }
    r->part[r->n] = *s;
    gtv_bytes_ref(s->data);
    r->n++;
    r->bytes += s->data->len;
    if (s->video) {
        r->last_video = s->dts;
    }
}

static void on_lost(void *arg)
{
    struct gtv_recorder *r = arg;
    close_file(r, GTV_FMP4_UNKNOWN);
    r->continuous = false;
}

static void on_closed(void *arg)
{
    on_lost(arg); // whoever configures the path makes an end of the recorder, or attaches it again
}

static void on_tick(void *arg, int64_t now_ms)
{
    gtv_recorder_tick(arg, now_ms);
}

static const struct gtv_reader_ops reader_ops = {.on_format = on_format,
                                                 .on_sample = on_sample,
                                                 .on_lost = on_lost,
                                                 .on_tick = on_tick,
                                                 .on_closed = on_closed};

// ---- Life ----

struct gtv_recorder *gtv_recorder_create(struct gtv_disk *disk, const struct gtv_pathconf *conf,
                                         struct gtv_counter *dropped)
{
    struct gtv_recorder *r = GTV_NEW(struct gtv_recorder);
    r->reader = (struct gtv_reader){.ops = &reader_ops, .arg = r};
    r->disk = disk;
    r->conf = *conf;
    r->all_dropped = dropped;
    r->log = (struct gtv_log){"media", "path", r->conf.name};
    return r;
}

void gtv_recorder_destroy(struct gtv_recorder *r)
{
    if (r == NULL) {
        return;
    }
    close_file(r, GTV_FMP4_UNKNOWN);
    gtv_format_unref(r->format);
    gtv_bytes_unref(r->init);
    free(r->part);
    free(r);
}

struct gtv_reader *gtv_recorder_reader(struct gtv_recorder *r)
{
    return &r->reader;
}

void gtv_recorder_configure(struct gtv_recorder *r, const struct gtv_pathconf *conf)
{
    r->conf = *conf;
}

void gtv_recorder_tick(struct gtv_recorder *r, int64_t now_ms)
{
    (void)check_disk(r, now_ms);
    if (r->n > 0 && now_ms - r->part_began_ms >= r->conf.record_part_ms) {
        flush_part(r, GTV_FMP4_UNKNOWN);
    }
}

void gtv_recorder_get_status(const struct gtv_recorder *r, struct gtv_record_status *out)
{
    out->written = r->written;
    out->dropped = r->dropped;
    out->state = r->error != 0 ? GTV_RECORD_FAILED : r->file != NULL ? GTV_RECORD_ON : GTV_RECORD_WAITING;
    if (r->error != 0) {
        out->cause_code = gtv_record_cause_code(r->error);
        out->text = gtv_record_cause(r->error);
    }
}
