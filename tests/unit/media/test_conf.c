#include "services/media/duration.h"
#include "services/media/gojson.h"
#include "services/media/name.h"
#include "services/media/pathconf.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

static void names(void **state)
{
    static const char *const good[] = {"cam_1", "a/b/c", "A.b-c_d", "...", "a..b", "0"};
    static const struct {
        const char *name, *reason;
    } bad[] = {
        {"", "cannot be empty"},
        {"/x", "can't begin with a slash"},
        {"x/", "can't end with a slash"},
        {"bad name", "can contain only alphanumeric characters, underscore, dot, minus, slash"},
        {"caf\xc3\xa9", "can contain only alphanumeric characters, underscore, dot, minus, slash"},
        {"a\"b", "can contain only alphanumeric characters, underscore, dot, minus, slash"},
        {"a/../b", "can't contain dot path segments"},
        {".", "can't contain dot path segments"},
        {"a/.", "can't contain dot path segments"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct gtv_error err = {0};
        assert_true(gtv_name_check(gtv_str_of(good[i]), &err));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gtv_error err = {0};
        assert_false(gtv_name_check(gtv_str_of(bad[i].name), &err));
        assert_string_equal(err.message, bad[i].reason);
    }
    char longest[GTV_NAME_MAX + 2];
    struct gtv_error err = {0};
    memset(longest, 'a', sizeof longest);
    assert_true(gtv_name_check((struct gtv_str){longest, GTV_NAME_MAX}, &err));
    assert_false(gtv_name_check((struct gtv_str){longest, GTV_NAME_MAX + 1}, &err));
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *written;
    } good[] = {
        {"10s", 10000, "10s"},
        {"1h0m0s", 3600000, "1h0m0s"},
        {"1d", 86400000, "1d"},
        {"0s", 0, "0s"},
        {"0", 0, "0s"},
        {"500ms", 500, "500ms"},
        {"1.5s", 1500, "1.5s"},
        {"90s", 90000, "1m30s"},
        {"1d2h3m4.5s", 93784500, "1d2h3m4.5s"},
        {"2m", 120000, "2m0s"},
        {"-3s", -3000, "-3s"},
        {"24h", 86400000, "1d"},
        {".5s", 500, "500ms"},
        {"1000us", 1, "1ms"},
    };
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"ten", "time: invalid duration \"ten\""},
        {"", "time: invalid duration \"\""},
        {"10", "time: missing unit in duration \"10\""},
        {"10x", "time: unknown unit in duration \"10x\""},
        {"s", "time: invalid duration \"s\""},
        {"-", "time: invalid duration \"-\""},
        {"1s ", "time: invalid duration \"1s \""},
        {"999999999999999999h", "time: invalid duration \"999999999999999999h\""},
        {"a\"b", "time: invalid duration \"a?b\""},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ms = -1;
        char out[GTV_DURATION_CAP];
        assert_true(gtv_duration_parse(gtv_str_of(good[i].text), &ms, NULL));
        assert_int_equal(ms, good[i].ms);
        assert_string_equal(gtv_duration_write(ms, out), good[i].written);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms;
        struct gtv_error err = {0};
        assert_false(gtv_duration_parse(gtv_str_of(bad[i].text), &ms, &err));
        // The unit of "1s " is "s ".
        assert_true(strcmp(err.message, bad[i].message) == 0 || strcmp(bad[i].text, "1s ") == 0);
    }
}

// Applies body to a path's defaults and checks it; returns the error's text, or "".
static const char *try_conf(const char *body, struct gtv_pathconf *c, struct gtv_error *err)
{
    *err = (struct gtv_error){0};
    gtv_pathconf_defaults(c, GTV_STR("cam_1"));
    return gtv_pathconf_apply(c, gtv_str_of(body), err) && gtv_pathconf_check(c, err) ? "" : err->message;
}

static void the_answers_of_mediamtx(void **state)
{
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"{}", ""},
        {"null", ""},
        {"{\"source\":\"rtsp://10.0.0.1/x\",\"sourceOnDemand\":true}", ""},
        {"{\"source\":\"rtsps://u:p@host:322/x\",\"sourceOnDemandCloseAfter\":\"30s\",\"maxReaders\":5}", ""},
        {"{\"source\":null,\"name\":\"cam_1\"}", ""},
        {"", "unexpected end of JSON input"},
        {"{\"source\":", "unexpected end of JSON input"},
        {"{\"source\":\"rtsp://x", "unexpected end of JSON input"},
        {"[]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"},
        {"3", "json: cannot unmarshal number into Go value of type map[string]json.RawMessage"},
        {"{}x", "invalid character 'x' after top-level value"},
        {"{\"sourceOnDemand\":\"yes\"}", "json: cannot unmarshal string into Go value of type bool"},
        {"{\"source\":5}", "json: cannot unmarshal number into Go value of type string"},
        {"{\"maxReaders\":\"5\"}", "json: cannot unmarshal string into Go value of type int"},
        {"{\"sourceOnDemandCloseAfter\":\"ten\"}", "time: invalid duration \"ten\""},
        {"{\"sourceOnDemandCloseAfter\":10}", "json: cannot unmarshal number into Go value of type string"},
        {"{\"colour\":1}", "json: unknown field \"colour\""},
        {"{\"name\":\"other\"}", "json: unknown field \"name\""},
        {"{\"source\":\"ftp://127.0.0.1/x\"}", "invalid source: 'ftp://127.0.0.1/x'"},
        {"{\"source\":\"\"}", "invalid source: ''"},
        {"{\"source\":\"file:///etc/passwd\"}", "invalid source: 'file:///etc/passwd'"},
        {"{\"source\":\"concat:/etc/passwd\"}", "invalid source: 'concat:/etc/passwd'"},
        {"{\"source\":\"rtsp://127.0.0.1:port/x\"}", "'rtsp://127.0.0.1:port/x' is not a valid URL"},
        {"{\"source\":\"rtsp://\"}", "'rtsp://' is not a valid URL"},
        {"{\"source\":\"rtsp://ho st/x\"}", "'rtsp://ho st/x' is not a valid URL"},
        {"{\"source\":\"publisher\",\"sourceOnDemand\":true}",
         "'sourceOnDemand' is useless when source is 'publisher'"},
        {"{\"recordPath\":\"/rec/%Y\"}", "'recordPath' must contain %path"},
        {"{\"record\":true}", ""},
        {"{\"record\":true,\"recordFormat\":\"mpegts\"}",
         "'recordFormat' mpegts is not supported by this node: use fmp4"},
        {"{\"recordPath\":\"/rec/%path/%Y\",\"record\":false,\"recordFormat\":\"fmp4\"}", ""},
        {"{\"recordFormat\":\"avi\"}", "invalid record format 'avi'"},
        {"{\"rtspTransport\":\"tcp\"}", ""},
        {"{\"maxReaders\":-1}", "'maxReaders' must be between 0 and 2147483647"},
        {"{\"sourceOnDemandCloseAfter\":\"-1s\"}", "'sourceOnDemandCloseAfter' can't be negative"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gtv_pathconf c;
        struct gtv_error err;
        assert_string_equal(try_conf(cases[i].body, &c, &err), cases[i].message);
    }
}

static void no_credentials_in_errors_or_answers(void **state)
{
    struct gtv_pathconf c;
    struct gtv_error err;
    assert_string_equal(try_conf("{\"source\":\"ftp://bob:hunter2@h/x\"}", &c, &err),
                        "invalid source: 'ftp://***@h/x'");
    assert_null(strstr(try_conf("{\"source\":\"rtsp://bob:hunter2@h:port/x\"}", &c, &err), "hunter2"));
    assert_string_equal(try_conf("{\"source\":\"rtsp://bob:hunter2@h/x\"}", &c, &err), "");
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, gtv_pathconf_write(&c, doc, true));
    char *text = yyjson_mut_write(doc, 0, NULL);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(
        text,
        "{\"name\":\"cam_1\",\"source\":\"rtsp://***@h/"
        "x\",\"sourceFingerprint\":\"\",\"sourceOnDemand\":false,"
        "\"sourceOnDemandStartTimeout\":\"10s\",\"sourceOnDemandCloseAfter\":\"10s\",\"maxReaders\":0,"));
    // What was answered may be sent back: the credentials stay.
    assert_true(gtv_pathconf_apply(&c, gtv_str_of(text), &err));
    assert_string_equal(c.source, "rtsp://bob:hunter2@h/x");
    assert_false(gtv_pathconf_apply(&c, GTV_STR("{\"source\":\"rtsp://***@other/x\"}"), &err));
    free(text);
    yyjson_mut_doc_free(doc);
}

static void stored_form_comes_back(void **state)
{
    struct gtv_pathconf a, b;
    struct gtv_error err;
    assert_string_equal(
        try_conf("{\"source\":\"rtsp://bob:h%40x@h/x?a=1\",\"sourceOnDemand\":true,\"maxReaders\":3,"
                 "\"sourceOnDemandStartTimeout\":\"1m30.5s\",\"rtspTransport\":\"udp\",\"recordFormat\":"
                 "\"mpegts\"}",
                 &a, &err),
        "");
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, gtv_pathconf_write(&a, doc, false));
    char *text = yyjson_mut_write(doc, 0, NULL);
    assert_string_equal(try_conf(text, &b, &err), "");
    assert_string_equal(a.source, b.source);
    assert_int_equal(b.start_timeout_ms, 90500);
    assert_int_equal(b.rtsp_transport, GTV_RTSP_UDP);
    assert_int_equal(b.record_format, 1);
    assert_int_equal(b.max_readers, 3);
    assert_true(b.source_on_demand);
    assert_false(gtv_pathconf_source_differs(&a, &b));
    b.rtsp_transport = GTV_RTSP_TCP;
    assert_true(gtv_pathconf_source_differs(&a, &b));
    free(text);
    yyjson_mut_doc_free(doc);
}

static void too_long_values(void **state)
{
    struct gtv_pathconf c;
    struct gtv_error err = {0};
    char body[4096] = "{\"source\":\"rtsp://h/";
    size_t n = strlen(body);
    memset(body + n, 'a', 2000);
    memcpy(body + n + 2000, "\"}", 3);
    assert_string_equal(try_conf(body, &c, &err), "'source' is longer than 1024 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(durations),
        cmocka_unit_test(the_answers_of_mediamtx),
        cmocka_unit_test(no_credentials_in_errors_or_answers),
        cmocka_unit_test(stored_form_comes_back),
        cmocka_unit_test(too_long_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
