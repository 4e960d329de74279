#include "lib/log/log.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_a_form_and_no_password),
        cmocka_unit_test(lines_cannot_be_forged),
        cmocka_unit_test(long_lines_are_redacted_before_they_are_cut),
        cmocka_unit_test(levels_hide),
        cmocka_unit_test(level_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
