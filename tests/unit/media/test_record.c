#include "lib/base/clock.h"
#include "services/media/hls/fmp4.h"
#include "services/media/record/cut.h"
#include "services/media/record/playback_job.h"
#include "services/media/record/recorder.h"
#include "services/media/record/recordings.h"
#include "services/media/record/scan.h"
#include "tests/unit/media/pictures.h"

#include <errno.h>
#include <fcntl.h>
#include <libavformat/avformat.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATTERN "./recordings/%path/%Y-%m-%d_%H-%M-%S-%f"
#define NAME    GTV_STR("cams/one")

enum { FRAME = 3600 };

static const int64_t T0 = INT64_C(1795372575) * 90000; // a moment in 2026, path ticks

struct fixture {
    char root[64];
    struct gtv_loop *loop;
    struct gtv_metrics *metrics;
    struct gtv_record_index *index;
    struct gtv_disk *disk;
    struct gtv_pathconf conf;
    struct gtv_recorder *recorder;
    struct gtv_format *format;
    struct gtv_bytes *key;
    int64_t now; // path ticks of the next picture
    int count;
};

static void start_disk(struct fixture *f)
{
    struct gtv_disk_config config = {f->root, 0, 0, 64 << 20};
    f->index = gtv_record_index_create(f->root);
    f->disk = gtv_disk_create(&config, f->index, f->loop, f->metrics);
}

static void set_path(struct fixture *f)
{
    struct gtv_record_limits limits = {0, 0};
    if (gtv_record_index_path_set(f->index, NAME, f->conf.record_path, &limits)) {
        gtv_disk_scan(f->disk, f->conf.name, f->conf.record_path);
    }
}

static void start_recorder(struct fixture *f)
{
    f->recorder = gtv_recorder_create(f->disk, &f->conf, gtv_metrics_counter(f->metrics, "dropped", "", ""));
    const struct gtv_reader *reader = gtv_recorder_reader(f->recorder);
    reader->ops->on_format(reader->arg, f->format);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->root, sizeof f->root, "/tmp/gtv-record-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    gtv_log_set_level(GTV_LOG_ERROR);
    f->loop = gtv_loop_create("test");
    f->metrics = gtv_metrics_create();
    f->format = picture_format(GTV_CODEC_H264, GTV_CODEC_AAC, &f->key);
    gtv_pathconf_defaults(&f->conf, NAME);
    f->conf.record_segment_ms = 3000;
    f->now = T0;
    start_disk(f);
    set_path(f);
    start_recorder(f);
    *state = f;
    return 0;
}

static void stop_disk(struct fixture *f)
{
    gtv_recorder_destroy(f->recorder);
    f->recorder = NULL;
    gtv_disk_destroy(f->disk);
    f->disk = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    stop_disk(f);
    gtv_record_index_destroy(f->index);
    gtv_format_unref(f->format);
    gtv_bytes_unref(f->key);
    gtv_loop_destroy(f->loop);
    gtv_metrics_destroy(f->metrics);
    snprintf(command, sizeof command, "rm -rf '%s'", f->root);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

// Pictures, 25 a second, a key frame each second, and sound with every one of them.
static void feed(struct fixture *f, int pictures)
{
    const struct gtv_reader *reader = gtv_recorder_reader(f->recorder);
    for (int i = 0; i < pictures; i++, f->count++) {
        bool key = f->count % 25 == 0;
        struct gtv_bytes *data = key ? gtv_bytes_ref(f->key) : picture_slice(0x41, 200);
        struct gtv_bytes *sound = picture_slice(0x21, 60);
        struct gtv_sample video = {
            .data = data, .pts = f->now + FRAME, .dts = f->now, .video = true, .key = key};
        struct gtv_sample audio = {.data = sound, .pts = f->now + 100, .dts = f->now + 100};
        reader->ops->on_sample(reader->arg, &video);
        reader->ops->on_sample(reader->arg, &audio);
        gtv_bytes_unref(data);
        gtv_bytes_unref(sound);
        f->now += FRAME;
    }
}

// What the disk has of the path, once it has done all jobs.
static struct gtv_record_span *recorded(struct fixture *f, size_t *n)
{
    stop_disk(f);
    return gtv_record_index_find(f->index, NAME, 0, INT64_MAX, 1000, n);
}

// ---- Reading what was made ----

struct memory {
    const uint8_t *data;
    size_t n;
    int64_t at;
};

static int read_memory(void *opaque, uint8_t *to, int size)
{
    struct memory *m = opaque;
    size_t left = m->n - (size_t)m->at, n = (size_t)size < left ? (size_t)size : left;
    memcpy(to, m->data + m->at, n);
    m->at += (int64_t)n;
    return n > 0 ? (int)n : AVERROR_EOF;
}

static int64_t seek_memory(void *opaque, int64_t offset, int whence)
{
    struct memory *m = opaque;
    if (whence == AVSEEK_SIZE) {
        return (int64_t)m->n;
    }
    m->at = whence == SEEK_CUR ? m->at + offset : whence == SEEK_END ? (int64_t)m->n + offset : offset;
    return m->at;
}

struct seen {
    int video, audio, keys;
    int64_t first_dts, last_end; // of video, 90 kHz
    bool even;                   // each picture is decoded one frame after the one before
};

static struct seen demux(struct gtv_str bytes)
{
    struct memory m = {(const uint8_t *)bytes.p, bytes.n, 0};
    struct seen s = {.first_dts = INT64_MIN, .even = true};
    AVFormatContext *in = avformat_alloc_context();
    in->pb = avio_alloc_context(av_malloc(4096), 4096, 0, &m, read_memory, NULL, seek_memory);
    assert_int_equal(avformat_open_input(&in, NULL, av_find_input_format("mp4"), NULL), 0);
    AVPacket *p = av_packet_alloc();
    while (av_read_frame(in, p) == 0) {
        if (in->streams[p->stream_index]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO) {
            assert_int_equal(in->streams[p->stream_index]->time_base.den, 90000);
            s.even = s.even && (s.video == 0 || p->dts == s.last_end);
            s.first_dts = s.video == 0 ? p->dts : s.first_dts;
            s.last_end = p->dts + p->duration;
            s.keys += (p->flags & AV_PKT_FLAG_KEY) != 0;
            s.video++;
        } else {
            s.audio++;
        }
        av_packet_unref(p);
    }
    av_packet_free(&p);
    AVIOContext *io = in->pb;
    avformat_close_input(&in);
    av_freep(&io->buffer);
    avio_context_free(&io);
    return s;
}

static struct gtv_buf slurp(const char *file)
{
    struct gtv_buf b = {0};
    char block[4096];
    size_t n;
    FILE *in = fopen(file, "rb");
    assert_non_null(in);
    while ((n = fread(block, 1, sizeof block, in)) > 0) {
        gtv_buf_append(&b, block, n);
    }
    fclose(in);
    return b;
}

// ---- Names ----

static bool pattern_ok(const char *pattern)
{
    struct gtv_error err = {0};
    return gtv_record_pattern_check(gtv_str_of(pattern), &err);
}

static void patterns_are_checked(void **state)
{
    struct gtv_error err = {0};
    assert_true(pattern_ok(PATTERN));
    assert_true(pattern_ok("/data/%path/%s-%f"));
    assert_true(pattern_ok("/data/100%%/%path/%s"));
    assert_false(pattern_ok("./recordings/%Y-%m-%d_%H-%M-%S"));
    assert_false(pattern_ok("./recordings/%path/%Y"));
    assert_false(pattern_ok("./recordings/%path/%s%x"));
    assert_false(pattern_ok("./recordings/%path/%s%"));
    assert_false(pattern_ok("../%path/%s"));
    assert_false(pattern_ok("./%path/%s/"));
    assert_false(pattern_ok(""));
    assert_false(gtv_record_pattern_check(GTV_STR("./r/%s"), &err));
    assert_string_equal(err.message, "'recordPath' must contain %path");
}

static void names_come_back_from_their_pattern(void **state)
{
    static const char *const patterns[] = {PATTERN, "/d/%path/%s-%f", "r/%Y/%m/%d/%path/%H-%M-%S-%f",
                                           "./%path_%s_%f"};
    const int64_t us = INT64_C(1795372575123456);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        for (unsigned copy = 0; copy < 2; copy++) {
            char file[GTV_RECORD_FILE_MAX], folder[GTV_RECORD_FILE_MAX];
            int64_t back = 0;
            assert_true(gtv_record_pattern_write("/var/x", patterns[i], "a/b", us, copy, file));
            assert_true(gtv_record_pattern_match("/var/x", patterns[i], "a/b", file, true, &back));
            assert_int_equal(back, us);
            assert_false(gtv_record_pattern_match("/var/x", patterns[i], "a", file, true, &back));
            assert_true(gtv_record_pattern_folder("/var/x", patterns[i], "a/b", folder));
            assert_true(gtv_str_starts(gtv_str_of(file), gtv_str_of(folder)));
            // Each folder on the way is one to look into.
            for (char *slash = file + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
                *slash = '\0';
                assert_true(gtv_record_pattern_match("/var/x", patterns[i], "a/b", file, false, &back));
                *slash = '/';
            }
        }
    }
    char file[GTV_RECORD_FILE_MAX];
    int64_t back;
    assert_true(gtv_record_pattern_folder("/v", PATTERN, "a/b", file));
    assert_string_equal(file, "/v/recordings/a/b");
    assert_false(gtv_record_pattern_match("/v", PATTERN, "a", "/v/recordings/a/notes.mp4", true, &back));
    assert_false(gtv_record_pattern_match("/v", PATTERN, "a", "/v/recordings/a/2026-01-01", true, &back));
}

static void times_of_the_interface_come_back(void **state)
{
    char text[GTV_RECORD_TIME_CAP];
    int64_t us = 0;
    assert_string_equal(gtv_record_time_write(INT64_C(1795372575123456), text),
                        "2026-11-22T18:36:15.123456Z");
    assert_true(gtv_record_time_parse(gtv_str_of(text), &us));
    assert_int_equal(us, INT64_C(1795372575123456));
    assert_string_equal(gtv_record_time_write(INT64_C(1795372575000000), text), "2026-11-22T18:36:15Z");
    assert_true(gtv_record_time_parse(GTV_STR("2026-11-22T20:36:15.5+02:00"), &us));
    assert_int_equal(us, INT64_C(1795372575500000));
    assert_false(gtv_record_time_parse(GTV_STR("yesterday"), &us));
    assert_false(gtv_record_time_parse(GTV_STR("2026-11-22T21:16:15.Z"), &us));
    for (int64_t ticks = T0; ticks < T0 + 1000; ticks++) {
        assert_int_equal(gtv_us_to_ticks(gtv_ticks_to_us(ticks)), ticks);
    }
}

// ---- Files ----

static void files_are_cut_at_key_frames_and_play(void **state)
{
    struct fixture *f = *state;
    size_t n;
    feed(f, 250);
    struct gtv_record_span *spans = recorded(f, &n);
    assert_int_equal(n, 4); // 3 + 3 + 3 + 1 s
    int video = 0, audio = 0;
    for (size_t i = 0; i < n; i++) {
        struct gtv_buf b = slurp(spans[i].file);
        struct seen s = demux(gtv_buf_str(&b));
        struct gtv_mp4_keys keys = {0};
        int64_t origin;
        assert_false(spans[i].growing);
        assert_int_equal(spans[i].info.size, b.len);
        assert_true(gtv_cut_keys(&spans[i], &keys, &origin));
        assert_int_equal(keys.n, s.keys);
        assert_int_equal(keys.list[0].time, FRAME);
        assert_int_equal(origin, T0 + (int64_t)i * 3 * 90000);
        assert_int_equal(s.first_dts, 0);
        assert_true(s.even);
        video += s.video;
        audio += s.audio;
        gtv_mp4_keys_finish(&keys);
        gtv_buf_finish(&b);
    }
    assert_int_equal(video, 250);
    assert_int_equal(audio, 250);
    gtv_record_spans_free(spans, n);
}

// The index is made again from the files alone, and says the same.
static void the_index_is_found_again(void **state)
{
    struct fixture *f = *state;
    size_t n, again;
    feed(f, 250);
    struct gtv_record_span *spans = recorded(f, &n);
    gtv_record_index_destroy(f->index);
    start_disk(f);
    set_path(f);
    for (int i = 0; i < 3000; i++) {
        free(gtv_record_index_list(f->index, NAME, 0, INT64_MAX, &again));
        if (again == n) {
            break;
        }
        usleep(20000);
    }
    struct gtv_record_info *list = gtv_record_index_list(f->index, NAME, 0, INT64_MAX, &again);
    assert_int_equal(again, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list[i].start, spans[i].info.start);
        assert_int_equal(list[i].duration, spans[i].info.duration);
        assert_int_equal(list[i].size, spans[i].info.size);
        assert_int_equal(list[i].init, spans[i].info.init);
    }
    free(list);
    gtv_record_spans_free(spans, n);
}

static void write_file(const char *file, const char *data, size_t n)
{
    FILE *out = fopen(file, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, n, out), n);
    fclose(out);
}

// However much of a file is there, the whole fragments of it play.
static void a_file_without_its_end_gets_one(void **state)
{
    struct fixture *f = *state;
    char file[128];
    size_t n;
    feed(f, 75);
    struct gtv_record_span *spans = recorded(f, &n);
    struct gtv_buf whole = slurp(spans[0].file);
    struct gtv_mp4_head head;
    assert_true(gtv_mp4_parse_head(gtv_buf_str(&whole), &head));
    assert_true(head.marked);
    memset(whole.data + head.mark_at + 40, 0, 8); // as it stands in an open file
    snprintf(file, sizeof file, "%s/cut.mp4", f->root);
    int before = 0;
    for (size_t cut = 0; cut < whole.len; cut += 97) {
        struct gtv_record_info info;
        write_file(file, whole.data, cut);
        enum gtv_scan_result result = gtv_scan_file(file, 0, &info);
        if (result == GTV_SCAN_REMOVED) {
            assert_int_not_equal(access(file, F_OK), 0);
            assert_int_equal(before, 0);
            continue;
        }
        assert_int_equal(result, GTV_SCAN_REPAIRED);
        assert_int_equal(info.start, T0 + FRAME);
        struct gtv_buf b = slurp(file);
        struct seen s = demux(gtv_buf_str(&b));
        assert_int_equal(info.size, b.len);
        assert_true(s.video >= before);
        assert_true(s.even);
        before = s.video;
        assert_int_equal(info.duration, (int64_t)s.video * FRAME - FRAME);
        // Another look changes nothing.
        assert_int_equal(gtv_scan_file(file, 0, &info), GTV_SCAN_OK);
        assert_int_equal(info.size, b.len);
        gtv_buf_finish(&b);
    }
    assert_int_equal(before, 75);
    gtv_buf_finish(&whole);
    gtv_record_spans_free(spans, n);
}

static void a_clock_that_steps_back_overwrites_nothing(void **state)
{
    struct fixture *f = *state;
    const struct gtv_reader *reader = gtv_recorder_reader(f->recorder);
    size_t n;
    feed(f, 50);
    f->now = T0; // the very same moment again, and once more
    feed(f, 50);
    reader->ops->on_lost(reader->arg);
    reader->ops->on_format(reader->arg, f->format);
    f->now = T0;
    f->count = 0;
    feed(f, 50);
    struct gtv_record_span *spans = recorded(f, &n);
    assert_int_equal(n, 3);
    int video = 0;
    for (size_t i = 0; i < n; i++) {
        struct gtv_buf b = slurp(spans[i].file);
        video += demux(gtv_buf_str(&b)).video;
        gtv_buf_finish(&b);
        assert_true(i == 0 || spans[i].info.start > spans[i - 1].info.start);
    }
    assert_int_equal(video, 150);
    gtv_record_spans_free(spans, n);
}

static void a_quiet_source_is_written_after_its_part(void **state)
{
    struct fixture *f = *state;
    size_t n = 0;
    feed(f, 5);
    gtv_recorder_tick(f->recorder, gtv_mono_ms() + 2000);
    for (int i = 0; i < 3000 && n == 0; i++) {
        usleep(10000);
        free(gtv_record_index_list(f->index, NAME, 0, INT64_MAX, &n));
    }
    assert_int_equal(n, 1);
    struct gtv_record_span *spans = gtv_record_index_find(f->index, NAME, 0, INT64_MAX, 10, &n);
    assert_true(spans[0].growing);
    assert_int_equal(spans[0].keys.n, 1);
    gtv_record_spans_free(spans, n);
}

// ---- Faults ----

static struct gtv_record_status status_of(struct fixture *f)
{
    struct gtv_record_status s = {0};
    gtv_recorder_tick(f->recorder, gtv_mono_ms());
    gtv_recorder_get_status(f->recorder, &s);
    return s;
}

static bool reaches(struct fixture *f, enum gtv_record_state state)
{
    for (int i = 0; i < 1500; i++) {
        feed(f, 25);
        if (status_of(f).state == state) {
            return true;
        }
        usleep(20000);
    }
    return false;
}

static void a_full_disk_stops_recording_until_there_is_room(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, small;
    gtv_log_set_level(GTV_LOG_ERROR + 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 4000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool failed = reaches(f, GTV_RECORD_FAILED);
    struct gtv_record_status s = status_of(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(failed);
    assert_string_equal(s.cause_code, "disk_full");
    assert_true(s.dropped > 0);
    assert_true(reaches(f, GTV_RECORD_ON));
    size_t n;
    struct gtv_record_span *spans = recorded(f, &n);
    assert_true(n >= 1);
    for (size_t i = 0; i < n; i++) {
        struct gtv_buf b = slurp(spans[i].file);
        assert_true(demux(gtv_buf_str(&b)).video > 0);
        gtv_buf_finish(&b);
    }
    gtv_record_spans_free(spans, n);
}

static void a_file_in_place_of_the_folder_is_a_cause(void **state)
{
    struct fixture *f = *state;
    char file[128];
    gtv_log_set_level(GTV_LOG_ERROR + 1);
    snprintf(file, sizeof file, "%s/recordings", f->root);
    write_file(file, "x", 1);
    assert_true(reaches(f, GTV_RECORD_FAILED));
    assert_string_equal(status_of(f).cause_code, "folder");
    assert_int_equal(unlink(file), 0);
    assert_true(reaches(f, GTV_RECORD_ON));
}

// ---- What has to go ----

static void add(struct gtv_record_index *x, struct gtv_str name, int64_t start, uint64_t size)
{
    struct gtv_record_info info = {start, 90000, size, 1};
    char file[GTV_RECORD_FILE_MAX], text[64];
    snprintf(text, sizeof text, "%.*s", (int)name.n, name.p);
    assert_true(gtv_record_pattern_write("/r", PATTERN, text, gtv_ticks_to_us(start), 0, file));
    assert_true(gtv_record_index_add(x, name, file, &info, false));
    assert_false(gtv_record_index_add(x, name, file, &info, false));
    assert_true(gtv_record_index_knows(x, name, file, gtv_ticks_to_us(start)));
}

static void the_oldest_goes_first(void **state)
{
    struct gtv_record_index *x = gtv_record_index_create("/r");
    struct gtv_record_victim v;
    struct gtv_record_limits none = {0, 0}, day = {86400000, 0}, small = {0, 250};
    assert_true(gtv_record_index_path_set(x, GTV_STR("a"), PATTERN, &none));
    assert_true(gtv_record_index_path_set(x, GTV_STR("b"), PATTERN, &none));
    for (int i = 0; i < 5; i++) {
        add(x, GTV_STR("a"), T0 + i * 90000, 100);
        add(x, GTV_STR("b"), T0 + i * 90000 + 45000, 100);
    }
    assert_int_equal(gtv_record_index_bytes(x), 1000);
    assert_false(gtv_record_index_condemned(x, T0 + INT64_C(86400) * 90000 * 10, &v));
    assert_true(gtv_record_index_oldest(x, &v));
    assert_string_equal(v.name, "a");
    assert_int_equal(v.start, T0);
    assert_false(gtv_record_index_path_set(x, GTV_STR("b"), PATTERN, &day));
    assert_false(gtv_record_index_condemned(x, T0 + INT64_C(86400) * 90000, &v));
    assert_true(gtv_record_index_condemned(x, T0 + INT64_C(86402) * 90000, &v));
    assert_string_equal(v.name, "b");
    assert_string_equal(v.reason, "age");
    assert_false(gtv_record_index_path_set(x, GTV_STR("b"), PATTERN, &small));
    for (int i = 0; i < 3; i++) {
        assert_true(gtv_record_index_condemned(x, T0, &v));
        assert_string_equal(v.reason, "quota");
        assert_int_equal(v.start, T0 + i * 90000 + 45000);
        gtv_record_index_remove(x, GTV_STR("b"), v.start);
    }
    assert_false(gtv_record_index_condemned(x, T0, &v));
    gtv_record_index_path_remove(x, GTV_STR("a"));
    assert_int_equal(gtv_record_index_bytes(x), 200);
    // Another pattern: the files are no longer the path's.
    assert_true(gtv_record_index_path_set(x, GTV_STR("b"), "/other/%path/%s", &small));
    assert_int_equal(gtv_record_index_bytes(x), 0);
    gtv_record_index_destroy(x);
}

// ---- Cuts ----

static struct gtv_cut *open_cut(struct fixture *f, int64_t from, int64_t to)
{
    struct gtv_error err = {0};
    size_t n;
    struct gtv_record_span *spans = gtv_record_index_find(f->index, NAME, from, to, 100, &n);
    assert_true(n > 0);
    struct gtv_cut *c = gtv_cut_create(spans, n, from, to);
    assert_true(gtv_cut_open(c, &err));
    return c;
}

static void a_cut_begins_with_a_key_frame_and_crosses_files(void **state)
{
    struct fixture *f = *state;
    size_t n;
    feed(f, 250);
    struct gtv_record_span *spans = recorded(f, &n);
    gtv_record_spans_free(spans, n);
    struct gtv_cut *c = open_cut(f, T0 + 90000 * 3 / 2, T0 + 90000 * 13 / 2);
    struct gtv_buf b = {0};
    assert_int_equal(gtv_cut_begin(c), T0 + 90000);
    const struct gtv_bytes *init = gtv_cut_init(c);
    gtv_buf_append(&b, init->data, init->len);
    enum gtv_cut_result result;
    do {
        struct gtv_buf piece = {0};
        result = gtv_cut_read(c, &piece, 700);
        gtv_buf_append(&b, piece.data, piece.len);
        gtv_buf_finish(&piece);
    } while (result == GTV_CUT_MORE);
    assert_int_equal(result, GTV_CUT_END);
    gtv_cut_destroy(c);
    struct seen s = demux(gtv_buf_str(&b));
    assert_int_equal(s.first_dts, 0);
    assert_true(s.even);
    assert_in_range(s.video, 5 * 25 + 12, 7 * 25);
    gtv_buf_finish(&b);
}

static void an_mp4_has_its_index_first_and_a_known_length(void **state)
{
    struct fixture *f = *state;
    struct gtv_error err = {0};
    size_t n;
    feed(f, 250);
    struct gtv_record_span *spans = recorded(f, &n);
    gtv_record_spans_free(spans, n);
    struct gtv_cut *c = open_cut(f, T0, T0 + 90000 * 100);
    assert_true(gtv_cut_plan_mp4(c, &err));
    struct gtv_buf b = {0};
    uint64_t size = gtv_cut_mp4_size(c);
    while (b.len < size) {
        size_t before = b.len;
        assert_true(gtv_cut_mp4_read(c, b.len, 1237, &b));
        assert_true(b.len > before);
    }
    assert_int_equal(b.len, size);
    assert_memory_equal(b.data + 4, "ftyp", 4);
    struct seen s = demux(gtv_buf_str(&b));
    assert_int_equal(s.video, 250);
    assert_int_equal(s.audio, 250);
    assert_int_equal(s.keys, 10);
    assert_true(s.even);
    assert_int_equal(s.last_end, 250 * FRAME);
    // Any stretch of it is the same bytes.
    for (uint64_t at = 0; at < size; at += 3001) {
        struct gtv_buf piece = {0};
        assert_true(gtv_cut_mp4_read(c, at, 500, &piece));
        assert_memory_equal(piece.data, b.data + at, piece.len);
        gtv_buf_finish(&piece);
    }
    gtv_buf_finish(&b);
    gtv_cut_destroy(c);
}

static void a_gap_ends_a_cut_and_breaks_the_playlist(void **state)
{
    struct fixture *f = *state;
    size_t n;
    feed(f, 150);
    f->now += 90000 * 60;
    feed(f, 50);
    struct gtv_record_span *spans = recorded(f, &n);
    struct gtv_cut *c = open_cut(f, T0, T0 + 90000 * 1000);
    struct gtv_buf b = {0};
    const struct gtv_bytes *init = gtv_cut_init(c);
    gtv_buf_append(&b, init->data, init->len);
    assert_int_equal(gtv_cut_read(c, &b, SIZE_MAX), GTV_CUT_END);
    assert_int_equal(demux(gtv_buf_str(&b)).video, 150);
    gtv_buf_finish(&b);
    gtv_cut_destroy(c);
    struct gtv_buf text = {0};
    assert_true(gtv_vod_write(spans, n, T0, T0 + 90000 * 1000, &text));
    assert_non_null(strstr(text.data, "#EXT-X-PLAYLIST-TYPE:VOD"));
    assert_non_null(strstr(text.data, "#EXT-X-ENDLIST"));
    char *gap = strstr(text.data, "#EXT-X-DISCONTINUITY\n");
    assert_non_null(gap);
    assert_null(strstr(gap + 1, "#EXT-X-DISCONTINUITY\n"));
    assert_null(strstr(strstr(text.data, "#EXT-X-MAP") + 1, "#EXT-X-MAP")); // one format, one init
    gtv_buf_finish(&text);
    gtv_record_spans_free(spans, n);
}

#define WITH_DISK(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_checked),
        cmocka_unit_test(names_come_back_from_their_pattern),
        cmocka_unit_test(times_of_the_interface_come_back),
        cmocka_unit_test(the_oldest_goes_first),
        WITH_DISK(files_are_cut_at_key_frames_and_play),
        WITH_DISK(the_index_is_found_again),
        WITH_DISK(a_file_without_its_end_gets_one),
        WITH_DISK(a_clock_that_steps_back_overwrites_nothing),
        WITH_DISK(a_quiet_source_is_written_after_its_part),
        WITH_DISK(a_full_disk_stops_recording_until_there_is_room),
        WITH_DISK(a_file_in_place_of_the_folder_is_a_cause),
        WITH_DISK(a_cut_begins_with_a_key_frame_and_crosses_files),
        WITH_DISK(an_mp4_has_its_index_first_and_a_known_length),
        WITH_DISK(a_gap_ends_a_cut_and_breaks_the_playlist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
