#include "lib/log/log.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <yyjson.h>

static const struct gtv_log camera_log = {"streaming", "camera", "cam_1"};
static char caught[64 * 1024];

// What write() put on stderr while fn ran.
static const char *catch_stderr(void (*fn)(void))
{
    int ends[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    fn();
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], caught + len, sizeof(caught) - 1 - len)) > 0)
        len += (size_t)n;
    close(ends[0]);
    caught[len] = '\0';
    return caught;
}

static void write_plain(void)
{
    errno = ENOENT;
    gtv_log_info(&camera_log, "started", "url=%s n=%d", "rtsp://u:secret@h/x", 3);
    assert_int_equal(errno, ENOENT);
}

static void lines_have_a_form_and_no_password(void **state)
{
    const char *line = catch_stderr(write_plain);
    assert_int_equal(strncmp(line, "ts=20", 5), 0);
    assert_non_null(
        strstr(line, "Z level=info comp=streaming camera=cam_1 msg=\"started\" url=rtsp://***@h/x n=3\n"));
}

static void write_hostile(void)
{
    gtv_log_error(&camera_log, "a \"quoted\"\nthing", "err=\"%s\" next=1", "say \"no\"\r\n\x01\xff\xc3\xa7");
}

static void lines_cannot_be_forged(void **state)
{
    const char *line = catch_stderr(write_hostile);
    assert_non_null(strstr(line, "msg=\"a \\\"quoted\\\"\\nthing\""));
    assert_non_null(strstr(line, "err=\"say \\\"no\\\"\\r\\n\\x01\\xff\xc3\xa7\" next=1\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void write_long(void)
{
    char pass[10000];
    memset(pass, 'p', sizeof(pass));
    pass[sizeof(pass) - 1] = '\0';
    gtv_log_warn(&camera_log, "long", "url=rtsp://u:%s@h/x rest=\"%s\"", pass, "kept");
    gtv_log_warn(&camera_log, "longer", "text=\"%s\"", pass);
}

static void long_lines_are_redacted_before_they_are_cut(void **state)
{
    const char *line = catch_stderr(write_long);
    assert_non_null(strstr(line, "url=rtsp://***@h/x rest=\"kept\"\n"));
    const char *second = strstr(line, "msg=\"longer\"");
    assert_non_null(second);
    assert_true(strlen(second) < 8192);
    assert_string_equal(second + strlen(second) - 3, "p\"\n");
}

static void write_by_level(void)
{
    gtv_log_set_level(GTV_LOG_WARNING);
    gtv_log_info(NULL, "hidden", NULL);
    gtv_log_warn(NULL, "shown", NULL);
    gtv_log_set_level(GTV_LOG_INFO);
}

static void levels_hide(void **state)
{
    const char *line = catch_stderr(write_by_level);
    assert_null(strstr(line, "hidden"));
    assert_non_null(strstr(line, " level=warning comp=gtv msg=\"shown\"\n"));
}

static void level_names(void **state)
{
    enum gtv_log_level level;
    assert_true(gtv_log_level_parse(GTV_STR("DEBUG"), &level) && level == GTV_LOG_DEBUG);
    assert_true(gtv_log_level_parse(GTV_STR("Warning"), &level) && level == GTV_LOG_WARNING);
    assert_true(gtv_log_level_parse(GTV_STR("CRITICAL"), &level) && level == GTV_LOG_ERROR);
    assert_false(gtv_log_level_parse(GTV_STR("loud"), &level));
}

static const struct gtv_cause cause = {.request = "abc-1", .trace = "4bf92f3577b34da6a3ce929d0e0e4736"};

static void write_caused(void)
{
    const struct gtv_log log = {"streaming", "camera", "cam 1\n", &cause};
    gtv_log_info(&log, "asked", "bytes=%d", 7);
}

static void lines_carry_their_cause(void **state)
{
    const char *line = catch_stderr(write_caused);
    assert_non_null(strstr(line, " camera=\"cam 1\\n\" request_id=abc-1 "
                                 "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 msg=\"asked\" bytes=7\n"));
}

static void write_forged(void)
{
    gtv_log_info(&camera_log, "f", "path=\"%s\" status=%d", "/x\" status=200 admin=\"yes", 404);
}

static void values_forge_no_field(void **state)
{
    assert_non_null(
        strstr(catch_stderr(write_forged), " path=\"/x\\\" status=200 admin=\\\"yes\" status=404\n"));
}

static void write_backslash(void)
{
    gtv_log_info(&camera_log, "b", "path=\"%s\" n=%d", "C:\\", 1);
}

static void a_backslash_ends_no_value(void **state)
{
    assert_non_null(strstr(catch_stderr(write_backslash), " path=\"C:\\\\\" n=1\n"));
}

// ---- JSON ----

static const char *catch_json(void (*fn)(void))
{
    gtv_log_set_format(GTV_LOG_JSON);
    const char *line = catch_stderr(fn);
    gtv_log_set_format(GTV_LOG_LOGFMT);
    return line;
}

// The whole output as one object; the caller frees it.
static yyjson_doc *parse(const char *line)
{
    size_t n = strlen(line);
    assert_true(n > 0 && line[n - 1] == '\n');
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
    yyjson_doc *doc = yyjson_read(line, n - 1, 0);
    assert_non_null(doc);
    assert_true(yyjson_is_obj(yyjson_doc_get_root(doc)));
    return doc;
}

static const char *text_of(yyjson_doc *doc, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), key));
}

static void objects_say_the_same(void **state)
{
    yyjson_doc *doc = parse(catch_json(write_plain));
    assert_int_equal(strncmp(text_of(doc, "ts"), "20", 2), 0);
    assert_string_equal(text_of(doc, "level"), "info");
    assert_string_equal(text_of(doc, "comp"), "streaming");
    assert_string_equal(text_of(doc, "camera"), "cam_1");
    assert_string_equal(text_of(doc, "msg"), "started");
    assert_string_equal(text_of(doc, "url"), "rtsp://***@h/x");
    assert_int_equal(yyjson_get_int(yyjson_obj_get(yyjson_doc_get_root(doc), "n")), 3);
    yyjson_doc_free(doc);
    doc = parse(catch_json(write_caused));
    assert_string_equal(text_of(doc, "camera"), "cam 1\n");
    assert_string_equal(text_of(doc, "request_id"), "abc-1");
    assert_string_equal(text_of(doc, "trace_id"), cause.trace);
    yyjson_doc_free(doc);
}

static void objects_cannot_be_forged(void **state)
{
    yyjson_doc *doc = parse(catch_json(write_hostile));
    assert_string_equal(text_of(doc, "msg"), "a \"quoted\"\nthing");
    assert_string_equal(text_of(doc, "err"), "say \"no\"\r\n\x01\\xff\xc3\xa7");
    yyjson_doc_free(doc);
    doc = parse(catch_json(write_backslash));
    assert_string_equal(text_of(doc, "path"), "C:\\");
    yyjson_doc_free(doc);
}

static void fields_cannot_be_forged(void **state)
{
    yyjson_doc *doc = parse(catch_json(write_forged));
    assert_string_equal(text_of(doc, "path"), "/x\" status=200 admin=\"yes");
    assert_int_equal(yyjson_get_int(yyjson_obj_get(yyjson_doc_get_root(doc), "status")), 404);
    assert_null(text_of(doc, "admin"));
    yyjson_doc_free(doc);
}

static void write_values(void)
{
    gtv_log_info(
        &camera_log, "v",
        "level=high a=-1.50 b=007 c=true d=\"1\" e=1e5 f= g=two words h=\"x=1 y\" i=\"\" j=1234567890123456");
    gtv_log_info(&camera_log, "w", "words alone");
}

static void values_keep_their_kind(void **state)
{
    static char first[4096];
    const char *lines = catch_json(write_values), *second = strchr(lines, '\n') + 1;
    snprintf(first, sizeof(first), "%.*s", (int)(second - lines), lines);
    yyjson_doc *doc = parse(first);
    yyjson_val *o = yyjson_doc_get_root(doc);
    assert_string_equal(text_of(doc, "level"), "info");
    assert_string_equal(text_of(doc, "level_"), "high");
    assert_true(yyjson_get_real(yyjson_obj_get(o, "a")) == -1.5);
    assert_string_equal(text_of(doc, "b"), "007");
    assert_true(yyjson_is_true(yyjson_obj_get(o, "c")));
    assert_string_equal(text_of(doc, "d"), "1");
    assert_string_equal(text_of(doc, "e"), "1e5");
    assert_string_equal(text_of(doc, "f"), "");
    assert_string_equal(text_of(doc, "g"), "two words");
    assert_string_equal(text_of(doc, "h"), "x=1 y");
    assert_string_equal(text_of(doc, "i"), "");
    assert_string_equal(text_of(doc, "j"), "1234567890123456");
    yyjson_doc_free(doc);
    doc = parse(second);
    assert_string_equal(text_of(doc, "text"), "words alone");
    yyjson_doc_free(doc);
}

static int fill;

static void write_filled(void)
{
    static char text[9000];
    memset(text, fill % 2 ? 'p' : '"', sizeof(text));
    text[(size_t)fill < sizeof(text) ? (size_t)fill : sizeof(text) - 1] = '\0';
    gtv_log_info(&camera_log, "f", "a=\"%s\" number=12345 flag=true last=\"end\"", text);
}

// Wherever the line ends for lack of room, it is one whole object, and no number in it is half a number.
static void cut_objects_are_whole(void **state)
{
    bool was_cut = false;
    for (fill = 3900; fill < 8300; fill += fill < 8000 && fill > 4200 ? 997 : 1) {
        yyjson_doc *doc = parse(catch_json(write_filled));
        yyjson_val *o = yyjson_doc_get_root(doc), *number = yyjson_obj_get(o, "number");
        bool cut = yyjson_is_true(yyjson_obj_get(o, "cut"));
        was_cut |= cut;
        assert_true(cut || yyjson_get_int(number) == 12345);
        assert_true(!number || yyjson_get_int(number) == 12345 || yyjson_get_int(number) == 0);
        yyjson_doc_free(doc);
    }
    assert_true(was_cut);
}

static void format_names(void **state)
{
    enum gtv_log_format format;
    assert_true(gtv_log_format_parse(GTV_STR("json"), &format) && format == GTV_LOG_JSON);
    assert_true(gtv_log_format_parse(GTV_STR("LogFmt"), &format) && format == GTV_LOG_LOGFMT);
    assert_false(gtv_log_format_parse(GTV_STR("xml"), &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_a_form_and_no_password),
        cmocka_unit_test(lines_cannot_be_forged),
        cmocka_unit_test(long_lines_are_redacted_before_they_are_cut),
        cmocka_unit_test(levels_hide),
        cmocka_unit_test(level_names),
        cmocka_unit_test(lines_carry_their_cause),
        cmocka_unit_test(values_forge_no_field),
        cmocka_unit_test(a_backslash_ends_no_value),
        cmocka_unit_test(objects_say_the_same),
        cmocka_unit_test(objects_cannot_be_forged),
        cmocka_unit_test(fields_cannot_be_forged),
        cmocka_unit_test(values_keep_their_kind),
        cmocka_unit_test(cut_objects_are_whole),
        cmocka_unit_test(format_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
