#include "services/media/gop.h"
#include "services/media/path.h"
#include "tests/unit/unit.h"

static struct gtv_sample sample_of(size_t bytes, bool key)
{
    struct gtv_sample s = {.data = gtv_bytes_create(bytes), .video = true, .key = key};
    s.data->len = bytes;
    return s;
}

static void push(struct gtv_gop *g, size_t bytes, bool key, bool sparing)
{
    struct gtv_sample s = sample_of(bytes, key);
    gtv_gop_push(g, &s, sparing);
    gtv_bytes_unref(s.data);
}

static void gop_holds_from_the_key_frame(void **state)
{
    struct gtv_gop g = {.max_bytes = 1000};
    push(&g, 100, false, false); // nobody can start there
    assert_int_equal(g.count, 0);
    push(&g, 100, true, false);
    push(&g, 100, false, false);
    assert_int_equal(g.count, 2);
    assert_int_equal(g.bytes, 200);
    push(&g, 900, false, false); // over the bound
    assert_int_equal(g.count, 1);
    assert_true(g.key_only);
    push(&g, 100, false, false);
    assert_int_equal(g.count, 1);
    push(&g, 300, true, false);
    push(&g, 100, false, false);
    assert_false(g.key_only);
    assert_int_equal(g.bytes, 400);
    push(&g, 100, false, true); // from here on nobody reads
    assert_int_equal(g.bytes, 300);
    gtv_gop_finish(&g);
}

struct seen {
    struct gtv_reader reader;
    int formats, samples, lost, closed, waits, kicked;
    bool ready;
    struct gtv_error why;
};

static void on_format(void *arg, struct gtv_format *format)
{
    ((struct seen *)arg)->formats++;
}

static void on_sample(void *arg, const struct gtv_sample *sample)
{
    ((struct seen *)arg)->samples++;
}

static void on_lost(void *arg)
{
    ((struct seen *)arg)->lost++;
}

static void on_closed(void *arg)
{
    ((struct seen *)arg)->closed++;
}

static const struct gtv_reader_ops ops = {
    .on_format = on_format, .on_sample = on_sample, .on_lost = on_lost, .on_closed = on_closed};

static void on_kicked(void *arg, const char *why)
{
    ((struct seen *)arg)->kicked++;
}

static void wait_done(void *arg, bool ready, const struct gtv_error *why)
{
    struct seen *s = arg;
    s->waits++;
    s->ready = ready;
    s->why = *why;
}

struct fixture {
    struct gtv_media_options options;
    struct gtv_metrics *metrics;
    struct gtv_path_env env;
    struct gtv_path *path;
    struct gtv_format *format;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.options = {.ring_bytes = 1 << 20, .idle_gop_bytes = 1 << 20},
                         .metrics = gtv_metrics_create()};
    f.env.options = &f.options;
    struct gtv_pathconf conf;
    gtv_pathconf_defaults(&conf, GTV_STR("cam_1"));
    conf.max_readers = 1;
    f.path = gtv_path_create(&f.env, &conf);
    static const char parameters[] = "\0\0\0\x17\x67\x4d\x40\x1f\xec\xa2\x3d\x80\x88\0\0\3\0\x08\0\0\3"
                                     "\1\x90\x78\xc1\x8c\xb0\0\0\0\5\x68\xeb\xe3\xcb\x20";
    struct gtv_bytes *sets = gtv_bytes_copy(parameters, sizeof parameters - 1);
    f.format = gtv_format_create(GTV_CODEC_H264, sets, NULL);
    gtv_bytes_unref(sets);
    *state = &f;
    return f.format == NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gtv_path_destroy(f->path);
    gtv_format_unref(f->format);
    gtv_metrics_destroy(f->metrics);
    return 0;
}

static void bring(struct fixture *f, bool key)
{
    struct gtv_sample s = sample_of(100, key);
    gtv_path_source_callbacks()->on_sample(f->path, &s, 100);
    gtv_bytes_unref(s.data);
}

static void readers_get_the_same_from_the_key_frame_on(void **state)
{
    struct fixture *f = *state;
    struct seen first = {.reader = {.ops = &ops, .type = "test"}}, second = first, recorder = first;
    struct gtv_publisher pub = {.on_kicked = on_kicked, .arg = &first, .type = "test", .id = "1"};
    struct gtv_error err = {0};
    first.reader.arg = &first;
    second.reader.arg = &second;
    recorder.reader.arg = &recorder;
    recorder.reader.type = NULL;
    assert_true(gtv_path_attach(f->path, &recorder.reader, true, &err));
    assert_true(gtv_path_publish(f->path, &pub, &err));
    gtv_path_source_callbacks()->on_format(f->path, f->format);
    assert_int_equal(recorder.formats, 0); // not before the first sample
    bring(f, true);
    bring(f, false);
    assert_int_equal(recorder.formats, 1);
    assert_int_equal(recorder.samples, 2);
    assert_true(gtv_path_attach(f->path, &first.reader, true, &err));
    assert_int_equal(first.samples, 2);
    assert_false(gtv_path_attach(f->path, &second.reader, true, &err)); // maxReaders
    assert_string_equal(err.message, "maximum reader count reached");
    gtv_path_unpublish(&pub, &(struct gtv_source_end){.code = "eof", .text = "it went"});
    assert_int_equal(first.lost, 1);
    assert_int_equal(recorder.lost, 1);
    gtv_path_detach(&first.reader);
    gtv_path_detach(&first.reader);
    gtv_path_destroy(f->path);
    f->path = NULL;
    assert_int_equal(first.closed, 0);
    assert_int_equal(recorder.closed, 1);
    assert_int_equal(f->env.gop_bytes, 0);
}

static void the_next_publisher_takes_over(void **state)
{
    struct fixture *f = *state;
    struct seen first = {0};
    struct gtv_publisher one = {.on_kicked = on_kicked, .arg = &first, .type = "test", .id = "1"}, two = one;
    struct gtv_error err = {0};
    assert_true(gtv_path_publish(f->path, &one, &err));
    assert_true(gtv_path_publish(f->path, &two, &err));
    assert_int_equal(first.kicked, 1);
    assert_null(one.path);
    struct gtv_pathconf conf = *gtv_path_conf(f->path);
    conf.override_publisher = false;
    gtv_path_configure(f->path, &conf);
    assert_false(gtv_path_publish(f->path, &one, &err));
    assert_string_equal(err.message, "someone is already publishing to path 'cam_1'");
    gtv_path_unpublish(&two, &(struct gtv_source_end){.code = "eof", .text = "it went"});
    struct gtv_path_status status;
    gtv_path_get_status(f->path, &status);
    assert_int_equal(status.state, GTV_PATH_IDLE);
}

static void waits_end_once(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    struct gtv_path_wait w = {.done = wait_done, .arg = &seen};
    struct gtv_publisher pub = {.on_kicked = on_kicked, .arg = &seen, .type = "test", .id = "1"};
    struct gtv_error err = {0};
    assert_false(gtv_path_wait_begin(f->path, &w)); // nobody publishes
    assert_int_equal(seen.waits, 1);
    assert_false(seen.ready);
    assert_string_equal(seen.why.message, "no stream is available on path 'cam_1'");
    assert_true(gtv_path_publish(f->path, &pub, &err));
    assert_true(gtv_path_wait_begin(f->path, &w));
    gtv_path_source_callbacks()->on_format(f->path, f->format);
    assert_int_equal(seen.waits, 1);
    bring(f, true);
    assert_int_equal(seen.waits, 2);
    assert_true(seen.ready);
    gtv_path_wait_cancel(&w); // nothing to cancel
    gtv_path_unpublish(&pub, &(struct gtv_source_end){.code = "eof", .text = "it went"});
    assert_true(gtv_path_publish(f->path, &pub, &err));
    assert_true(gtv_path_wait_begin(f->path, &w));
    gtv_path_destroy(f->path);
    f->path = NULL;
    assert_int_equal(seen.waits, 3);
    assert_false(seen.ready);
    assert_int_equal(seen.kicked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gop_holds_from_the_key_frame),
        cmocka_unit_test_setup_teardown(readers_get_the_same_from_the_key_frame_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_next_publisher_takes_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits_end_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
