// The YAML file, the layers of paths, the global settings, sizes and sessions.
#include "services/media/auth.h"
#include "services/media/config/desired.h"
#include "services/media/config/globals.h"
#include "services/media/config/settings.h"
#include "services/media/sessions.h"
#include "services/media/size.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void yaml_values(void **state)
{
    static const char text[] = "# a comment\n"
                               "a: yes\nb: 'yes'\nc: 12\nd: 1.5\ne: ~\nf:\ng: :8888\nh: 10s\n"
                               "list: [x, 'y', 3]\nempty: []\n"
                               "paths:\n  cam_1:\n    source: rtsp://h/x\n  '~^x$':\n";
    struct gtv_error err = {0};
    struct gtv_yaml *y = gtv_yaml_parse(GTV_STR(text), &err);
    assert_non_null(y);
    char *json = yyjson_val_write(gtv_yaml_root(y), 0, NULL);
    assert_string_equal(
        json, "{\"a\":true,\"b\":\"yes\",\"c\":12,\"d\":1.5,\"e\":null,\"f\":null,\"g\":\":8888\","
              "\"h\":\"10s\",\"list\":[\"x\",\"y\",3],\"empty\":[],\"paths\":{\"cam_1\":{\"source\":"
              "\"rtsp://h/x\"},\"~^x$\":null}}");
    assert_int_equal(gtv_yaml_line(y, "paths/cam_1/source"), 14);
    assert_int_equal(gtv_yaml_line(y, "paths/cam_1/colour"), 13);
    assert_int_equal(gtv_yaml_line(y, "nothing"), 0);
    free(json);
    gtv_yaml_free(y);
    y = gtv_yaml_parse(GTV_STR(""), &err);
    assert_int_equal(yyjson_obj_size(gtv_yaml_root(y)), 0);
    gtv_yaml_free(y);
}

static void yaml_faults(void **state)
{
    static const char *const bad[] = {
        "a: 1\na: 2\n",       "a: &x 1\nb: *x\n", "a: !!str 1\n", "- a\n- b\n", "text\n",
        "a: 1\n---\nb: 2\n",  "a: [1\n",          "a: {b: 1\n",   "\t- a: b\n", "? [a]\n: b\n",
        "a:\n  - b\n c: d\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gtv_error err = {0};
        assert_null(gtv_yaml_parse(gtv_str_of(bad[i]), &err));
        assert_memory_equal(err.message, "line ", 5);
    }
    char deep[256] = "";
    for (size_t i = 0; i < 100; i++) {
        deep[i] = '[';
    }
    memmove(deep + 3, deep, 100);
    memcpy(deep, "a: ", 3);
    struct gtv_error err = {0};
    assert_null(gtv_yaml_parse(gtv_str_of(deep), &err));
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
        const char *written;
    } good[] = {
        {"50M", 52428800, "50M"},
        {"1.5G", 1610612736, "1.5G"},
        {"512KiB", 524288, "512K"},
        {"0", 0, "0B"},
        {"0B", 0, "0B"},
        {"1000", 1000, "1000B"},
        {"2gb", 2147483648, "2G"},
        {"1025B", 1025, "1025B"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t bytes = -1;
        char out[GTV_SIZE_CAP];
        assert_true(gtv_size_parse(gtv_str_of(good[i].text), &bytes, NULL));
        assert_int_equal(bytes, good[i].bytes);
        assert_string_equal(gtv_size_write(bytes, out), good[i].written);
    }
    static const char *const bad[] = {"", "M", "-1M", "1X", "1.2.3M", "9999999T", "1 M M"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t bytes;
        assert_false(gtv_size_parse(gtv_str_of(bad[i]), &bytes, NULL));
    }
}

static const char *error_of(bool ok, const struct gtv_error *err)
{
    return ok ? "" : err->message;
}

static void load(struct gtv_desired *d, const char *text, const char *expected)
{
    struct gtv_error err = {0};
    struct gtv_yaml *y = gtv_yaml_parse(gtv_str_of(text), &err);
    assert_non_null(y);
    yyjson_val *root = gtv_yaml_root(y);
    bool ok =
        gtv_desired_load_file(d, yyjson_obj_get(root, "pathDefaults"), yyjson_obj_get(root, "paths"), &err);
    assert_string_equal(error_of(ok, &err), expected);
    gtv_yaml_free(y);
}

static void count_bad(void *arg, const char *why)
{
    ++*(size_t *)arg;
}

// What was written comes back in another one, with this file.
static struct gtv_desired *again(const struct gtv_desired *d, const char *file)
{
    struct gtv_desired *other = gtv_desired_create();
    struct gtv_buf out = {0};
    size_t bad = 0;
    gtv_buf_puts(&out, "{");
    gtv_desired_write(d, &out);
    gtv_buf_puts(&out, "}");
    yyjson_doc *doc = yyjson_read(out.data, out.len, 0);
    assert_non_null(doc);
    load(other, file, "");
    gtv_desired_restore(other, yyjson_doc_get_root(doc), count_bad, &bad);
    assert_int_equal(bad, 0);
    yyjson_doc_free(doc);
    gtv_buf_finish(&out);
    return other;
}

static void layers(void **state)
{
    struct gtv_desired *d = gtv_desired_create();
    struct gtv_error err = {0};
    struct gtv_pathconf c;
    static const char file[] = "pathDefaults:\n  maxReaders: 7\npaths:\n  yard:\n    source: rtsp://h/yard\n"
                               "  gate:\n    source: rtsp://u:p@h/gate\n    maxReaders: 3\n";
    load(d, file, "");
    assert_true(gtv_desired_get(d, GTV_STR("yard"), &c));
    assert_int_equal(c.max_readers, 7);
    assert_string_equal(error_of(gtv_desired_add(d, GTV_STR("yard"), GTV_STR("{}"), &err), &err),
                        "path already exists");
    assert_true(gtv_desired_add(d, GTV_STR("cam_1"), GTV_STR("{\"source\":\"rtsp://h/1\"}"), &err));
    // A patch of the API stands while the file's other keys change.
    assert_true(gtv_desired_patch(d, GTV_STR("gate"), GTV_STR("{\"sourceOnDemand\":true}"), &err));
    assert_true(gtv_desired_remove(d, GTV_STR("yard")));
    assert_false(gtv_desired_get(d, GTV_STR("yard"), &c));
    assert_int_equal(gtv_desired_count(d), 2);
    assert_true(gtv_desired_patch_defaults(d, GTV_STR("{\"sourceOnDemandCloseAfter\":\"33s\"}"), &err));
    struct gtv_desired *other = again(
        d, "pathDefaults:\n  maxReaders: 8\npaths:\n  yard:\n    source: rtsp://h/yard\n  gate:\n    source: "
           "rtsp://u:p@h/gate\n    maxReaders: 4\n");
    assert_int_equal(gtv_desired_count(other), 2);
    assert_true(gtv_desired_get(other, GTV_STR("gate"), &c));
    assert_true(c.source_on_demand);
    assert_int_equal(c.max_readers, 4);
    assert_int_equal(c.close_after_ms, 33000);
    assert_string_equal(c.source, "rtsp://u:p@h/gate");
    assert_true(gtv_desired_get(other, GTV_STR("cam_1"), &c));
    assert_int_equal(c.max_readers, 8);
    // A file that is wrong changes nothing and names the place.
    load(other, "paths:\n  gate:\n    colour: red\n", "json: unknown field \"colour\"");
    assert_true(gtv_desired_get(other, GTV_STR("gate"), &c));
    // What the file no longer names goes, and with it what the API had patched.
    load(other, "paths:\n  new:\n", "");
    assert_false(gtv_desired_get(other, GTV_STR("gate"), &c));
    assert_true(gtv_desired_get(other, GTV_STR("cam_1"), &c));
    load(other, file, "");
    assert_true(gtv_desired_get(other, GTV_STR("yard"), &c));
    assert_true(gtv_desired_get(other, GTV_STR("gate"), &c));
    assert_false(c.source_on_demand);
    // A patch that the file's new keys make invalid is forgotten.
    assert_true(gtv_desired_patch(other, GTV_STR("gate"), GTV_STR("{\"sourceOnDemand\":true}"), &err));
    load(other, "paths:\n  gate:\n    source: publisher\n", "");
    assert_true(gtv_desired_get(other, GTV_STR("gate"), &c));
    assert_false(c.source_on_demand);
    // Replaced by API, the file's keys do not count any more.
    assert_true(gtv_desired_replace(other, GTV_STR("gate"), GTV_STR("{\"maxReaders\":1}"), &err));
    load(other, "paths:\n  gate:\n    source: rtsp://h/gate\n", "");
    assert_true(gtv_desired_get(other, GTV_STR("gate"), &c));
    assert_string_equal(c.source, "publisher");
    gtv_desired_destroy(other);
    gtv_desired_destroy(d);
}

static void patterns_in_their_order(void **state)
{
    struct gtv_desired *d = gtv_desired_create();
    struct gtv_error err = {0};
    struct gtv_pathconf c;
    load(d,
         "paths:\n  all_others:\n  '~^cam_(\\d+)$':\n    source: rtsp://u:p@h/ch/$G1\n    sourceOnDemand: "
         "yes\n"
         "  '~^a':\n    maxReaders: 1\n  cam_7:\n    maxReaders: 7\n",
         "");
    assert_true(gtv_desired_match(d, GTV_STR("cam_7"), &c));
    assert_int_equal(c.max_readers, 7);
    assert_string_equal(c.conf_name, "");
    assert_true(gtv_desired_match(d, GTV_STR("cam_12"), &c));
    assert_string_equal(c.source, "rtsp://u:p@h/ch/12");
    assert_string_equal(c.name, "cam_12");
    assert_string_equal(c.conf_name, "~^cam_(\\d+)$");
    assert_true(gtv_desired_match(d, GTV_STR("abc"), &c));
    assert_string_equal(c.conf_name, "~^a");
    assert_true(gtv_desired_match(d, GTV_STR("zzz"), &c));
    assert_string_equal(c.conf_name, "all_others");
    assert_false(gtv_desired_match(d, GTV_STR("a/../b"), &c));
    assert_false(gtv_desired_match(d, GTV_STR("caf\xc3\xa9"), &c));
    assert_string_equal(
        error_of(gtv_desired_add(d, GTV_STR("~^b"), GTV_STR("{\"source\":\"rtsp://h/x\"}"), &err), &err),
        "a path with a regular expression and a source that is dialled must have 'sourceOnDemand' set to "
        "true");
    assert_true(gtv_desired_remove(d, GTV_STR("all_others")));
    assert_false(gtv_desired_match(d, GTV_STR("zzz"), &c));
    // Defaults that would make a path invalid are refused.
    assert_true(gtv_desired_add(d, GTV_STR("p"), GTV_STR("{}"), &err));
    assert_false(gtv_desired_patch_defaults(d, GTV_STR("{\"sourceOnDemand\":true}"), &err));
    assert_false(gtv_desired_patch_defaults(d, GTV_STR("{\"recordPath\":\"/x\"}"), &err));
    gtv_desired_destroy(d);
}

// Every row stands for an option, and what it writes it reads.
static void globals(void **state)
{
    struct gtv_media_options o = {0};
    struct gtv_error err = {0};
    char *argv[] = {"gtv-media", NULL};
    unsetenv("MEDIA_CONFIG");
    assert_true(gtv_config_load(&o, &gtv_media_program, 1, argv, &err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, object);
    for (size_t i = 0; i < gtv_global_count; i++) {
        assert_ptr_equal(gtv_global_find(gtv_str_of(gtv_globals[i].key)), &gtv_globals[i]);
        if (gtv_globals[i].form != GTV_GLOBAL_FIXED) // the two tables say the same
            assert_int_equal(gtv_media_option_table[gtv_global_option(gtv_globals[i].option)].live,
                             gtv_globals[i].live);
        yyjson_mut_obj_add_val(doc, object, gtv_globals[i].key,
                               gtv_global_value(&gtv_globals[i], &o, doc, false));
    }
    char *text = yyjson_mut_write(doc, 0, NULL);
    yyjson_doc *read = yyjson_read(text, strlen(text), 0);
    for (size_t i = 0; i < gtv_global_count; i++) {
        struct gtv_global_texts t;
        yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(read), gtv_globals[i].key);
        assert_true(gtv_global_read(&gtv_globals[i], value, &t, &err));
    }
    assert_non_null(strstr(text, "\"hlsSegmentDuration\":\"1s\""));
    assert_non_null(strstr(text, "\"apiAddress\":\"127.0.0.1:9997\""));
    assert_non_null(strstr(text, "\"logLevel\":\"info\""));
    yyjson_doc_free(read);
    free(text);
    yyjson_mut_doc_free(doc);
    gtv_config_finish(&o, gtv_media_option_table, gtv_media_option_count);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void settings_by_file_environment_and_api(void **state)
{
    char path[] = "/tmp/gtv-settings-XXXXXX";
    int fd = mkstemp(path);
    close(fd);
    write_file(path, "hlsSegmentCount: 9\nhlsSegmentDuration: 2s\nreadTimeout: 20s\nhlsAddress: :1234\n"
                     "authInternalUsers:\n- user: bob\n  pass: x\n  permissions:\n  - action: api\n");
    setenv("MEDIA_HLS_SEGMENTS", "11", 1);
    setenv("MTX_READTIMEOUT", "30s", 1);
    struct gtv_media_options o = {0};
    struct gtv_error err = {0};
    char *argv[] = {"gtv-media", path, NULL};
    struct gtv_settings *s = gtv_settings_create(&o, 2, argv, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(o.segments, 11);
    assert_true(o.segment_seconds > 1.99 && o.segment_seconds < 2.01);
    assert_true(o.stall_seconds > 29.9 && o.stall_seconds < 30.1);
    assert_int_equal(o.hls_port, 1234);
    assert_string_equal(o.hls_host, "0.0.0.0");
    struct gtv_auth *auth = gtv_auth_create();
    assert_true(gtv_settings_configure_auth(s, gtv_settings_yaml(s), auth, &err));
    assert_false(gtv_auth_is_open(auth, GTV_ACT_READ, GTV_STR("x"), GTV_STR("127.0.0.1")));
    // By API: what is live counts at once, what is not waits.
    size_t restart = 0;
    static const char patch[] = "{\"hlsSegmentCount\":5,\"hlsAddress\":\":1235\"}";
    yyjson_doc *body = yyjson_read(patch, sizeof patch - 1, 0);
    assert_true(gtv_settings_patch(s, yyjson_doc_get_root(body), auth, &restart, &err));
    yyjson_doc_free(body);
    assert_int_equal(restart, 1);
    assert_int_equal(o.segments, 5);
    assert_int_equal(o.hls_port, 1234);
    // The file again: wrong ones change nothing and name key and line.
    static const char *const bad[][2] = {
        {"hlsSegmentCount: 9\ncolour: red\n", "line 2: json: unknown field \"colour\""},
        {"hlsSegmentCount: 1\n", "line 1: 'hlsSegmentCount' must be a whole number from 3 to 60, not \"1\""},
        {"\nwebrtc: yes\n", "line 2: 'webrtc' is fixed in this node: only false is accepted"},
        {"hlsSegmentDuration: ten\n", "line 1: hlsSegmentDuration: time: invalid duration \"ten\""},
        {"hlsAddress: 8888\n",
         "line 1: hlsAddress: json: cannot unmarshal number into Go value of type string"},
        {"logLevel: loud\n", "line 1: logLevel: invalid log level: 'loud'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(path, bad[i][0]);
        err = (struct gtv_error){0};
        assert_null(gtv_settings_read(s, &err));
        assert_string_equal(err.message + strlen(path) + 2, bad[i][1]);
    }
    write_file(path, "hlsSegmentDuration: 3s\n");
    struct gtv_settings_change *c = gtv_settings_read(s, &err);
    assert_non_null(c);
    (void)gtv_settings_commit(s, c);
    assert_true(o.segment_seconds > 2.99);
    assert_int_equal(o.segments, 5);
    // What the API set comes back.
    struct gtv_buf out = {0};
    gtv_settings_write_stored(s, &out);
    assert_string_equal(out.data, "{\"hlsAddress\":\":1235\",\"hlsSegmentCount\":5}");
    struct gtv_media_options o2 = {0};
    struct gtv_settings *s2 = gtv_settings_create(&o2, 2, argv, &err);
    yyjson_doc *doc = yyjson_read(out.data, out.len, 0);
    size_t wrong = 0;
    gtv_settings_restore(s2, yyjson_doc_get_root(doc), count_bad, &wrong);
    assert_int_equal(wrong, 0);
    assert_int_equal(o2.segments, 5);
    assert_int_equal(o2.hls_port, 1235);
    yyjson_doc_free(doc);
    gtv_buf_finish(&out);
    gtv_settings_destroy(s2);
    gtv_settings_destroy(s);
    gtv_auth_destroy(auth);
    unlink(path);
    unsetenv("MEDIA_HLS_SEGMENTS");
    unsetenv("MTX_READTIMEOUT");
}

static void sessions(void **state)
{
    struct gtv_sessions *r = gtv_sessions_create();
    struct gtv_session a = {.kind = GTV_CONN_RTMP}, b = {.kind = GTV_CONN_RTMP},
                       c = {.kind = GTV_SESSION_HLS};
    gtv_sessions_add(r, &a);
    gtv_sessions_add(r, &b);
    gtv_sessions_add(r, &c);
    assert_int_equal(strlen(a.id), 36);
    assert_int_equal(a.id[14], '4');
    assert_string_not_equal(a.id, b.id);
    assert_int_equal(gtv_sessions_count(r, GTV_CONN_RTMP), 2);
    assert_ptr_equal(gtv_sessions_next(r, GTV_CONN_RTMP, NULL), &a);
    assert_ptr_equal(gtv_sessions_next(r, GTV_CONN_RTMP, &a), &b);
    assert_null(gtv_sessions_next(r, GTV_CONN_RTMP, &b));
    assert_ptr_equal(gtv_sessions_find(r, GTV_CONN_RTMP, gtv_str_of(b.id)), &b);
    assert_null(gtv_sessions_find(r, GTV_SESSION_HLS, gtv_str_of(b.id)));
    gtv_sessions_remove(&a);
    gtv_sessions_remove(&a);
    assert_ptr_equal(gtv_sessions_next(r, GTV_CONN_RTMP, NULL), &b);
    gtv_sessions_remove(&b);
    gtv_sessions_add(r, &a);
    assert_ptr_equal(gtv_sessions_next(r, GTV_CONN_RTMP, NULL), &a);
    gtv_sessions_destroy(r);
    assert_null(c.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_values),
        cmocka_unit_test(yaml_faults),
        cmocka_unit_test(sizes),
        cmocka_unit_test(layers),
        cmocka_unit_test(patterns_in_their_order),
        cmocka_unit_test(globals),
        cmocka_unit_test(settings_by_file_environment_and_api),
        cmocka_unit_test(sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
