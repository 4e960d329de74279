#include "services/supervisor/output.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[32];
static int kept_stderr;

static int setup(void **state)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/gtv-output-XXXXXX");
    kept_stderr = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY);
    bool ok = mkdtemp(folder) && null >= 0 && dup2(null, STDERR_FILENO) >= 0;
    close(null);
    return ok ? 0 : -1;
}

static int teardown(void **state)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/x.log", folder);
    unlink(path);
    (void)snprintf(path, sizeof(path), "%s/x.log.1", folder);
    unlink(path);
    (void)dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    return rmdir(folder);
}

static struct gtv_str read_log(const char *name, char *text, size_t cap)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, cap, f);
    (void)fclose(f);
    return (struct gtv_str){text, n};
}

static void feed(struct output *o, const char *text)
{
    output_feed(o, text, strlen(text));
}

static void lines_are_put_together_and_redacted(void **state)
{
    char text[1024];
    struct output *o = output_create(folder, "x");
    feed(o, "ts=1 url=rtsp://user:sec");
    feed(o, "ret@h/x\n\nplain ");
    feed(o, "line\nlast");
    output_destroy(o);
    assert_str(read_log("x.log", text, sizeof(text)), "ts=1 url=rtsp://***@h/x\nplain line\nlast\n");
}

static void long_lines_are_broken(void **state)
{
    static char text[32 * 1024];
    char *line = malloc(20001);
    assert_non_null(line);
    memset(line, 'a', 20000);
    line[20000] = '\0';
    struct output *o = output_create(folder, "x");
    feed(o, line);
    feed(o, "\n");
    output_destroy(o);
    free(line);
    assert_int_equal(read_log("x.log", text, sizeof(text)).n, 20003);
}

static void files_are_rotated(void **state)
{
    char line[4097], path[64];
    memset(line, 'b', 4096);
    line[4095] = '\n';
    line[4096] = '\0';
    struct output *o = output_create(folder, "x");
    for (int i = 0; i < 6000; i++) // 24 MB
        feed(o, line);
    output_destroy(o);
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/x.log", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, 1, 10 * 1024 * 1024);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)snprintf(path, sizeof(path), "%s/x.log.1", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, 1, 10 * 1024 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_put_together_and_redacted, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_broken, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_rotated, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
