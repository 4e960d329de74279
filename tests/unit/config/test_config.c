#include "lib/config/config.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    char *url, *password;
    int64_t port;
    double share;
    bool demo;
};

static const struct gtv_option table[] = {
    {"T_URL", GTV_OPT_STRING, offsetof(struct settings, url), "http://h", 0, 0, false, "An address."},
    {"T_PASSWORD", GTV_OPT_STRING, offsetof(struct settings, password), NULL, 0, 0, true, "A secret."},
    {"T_PORT", GTV_OPT_INT, offsetof(struct settings, port), "80", 1, 65535, false, "A port."},
    {"T_SHARE", GTV_OPT_DOUBLE, offsetof(struct settings, share), "0.5", 0, 1, false, "A share."},
    {"T_DEMO", GTV_OPT_BOOL, offsetof(struct settings, demo), "true", 0, 0, false, "A switch."},
};
enum { N = sizeof(table) / sizeof(table[0]) };

static const struct gtv_program program = {"gtv-test", "a test", table, N, sizeof(struct settings), NULL};
static struct gtv_error err;

// The arguments are copied, because secrets among them are written over.
static bool load(struct settings *s, int argc, const char *const *args, char copies[8][128])
{
    char *argv[9] = {NULL};
    for (int i = 0; i < argc; i++) {
        assert_true(gtv_str_copy(copies[i], 128, gtv_str_of(args[i])));
        argv[i] = copies[i];
    }
    memset(s, 0, sizeof(*s));
    memset(&err, 0, sizeof(err));
    return gtv_config_load(s, &program, argc, argv, &err);
}

static void defaults(void **state)
{
    struct settings s;
    char copies[8][128];
    assert_true(load(&s, 1, (const char *[]){"test"}, copies));
    assert_string_equal(s.url, "http://h");
    assert_null(s.password);
    assert_int_equal(s.port, 80);
    assert_true(s.share == 0.5 && s.demo);
    gtv_config_finish(&s, table, N);
    assert_null(s.url);
    gtv_config_finish(&s, table, N);
}

static void later_sources_win(void **state)
{
    char path[] = "/tmp/gtv-config-XXXXXX", copies[8][128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const char *text =
        "# a comment\n\nT_URL = \"http://file\"\r\nT_SHARE=0.75\nSOMEBODY_ELSES=1\nT_DEMO=off\n";
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    setenv("T_URL", "http://env", 1);
    setenv("T_PORT", "81", 1);
    setenv("T_SHARE", "", 1);
    struct settings s;
    assert_true(
        load(&s, 6, (const char *[]){"test", "--t-port=82", "--config", path, "--t-demo", "--t-password=xyz"},
             copies));
    assert_string_equal(s.url, "http://file");
    assert_int_equal(s.port, 82);
    assert_true(s.share == 0.75 && s.demo);
    assert_string_equal(s.password, "xyz");
    assert_string_equal(copies[5], "--t-password=***");
    gtv_config_finish(&s, table, N);
    unsetenv("T_URL");
    unsetenv("T_PORT");
    unsetenv("T_SHARE");
    unlink(path);
}

static void flags(void **state)
{
    struct settings s;
    char copies[8][128];
    assert_true(load(&s, 4, (const char *[]){"test", "--t-port", "9", "--no-t-demo"}, copies));
    assert_int_equal(s.port, 9);
    assert_false(s.demo);
    gtv_config_finish(&s, table, N);
    assert_true(load(&s, 3, (const char *[]){"test", "--t-demo=no", "--t-url="}, copies));
    assert_string_equal(s.url, "");
    assert_false(s.demo);
    gtv_config_finish(&s, table, N);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *arg, *in_message;
    } cases[] = {{"--t-port=0", "T_PORT"},       {"--t-port=x", "\"x\""},
                 {"--t-port", "needs a value"},  {"--t-share=2", "T_SHARE"},
                 {"--t-demo=maybe", "maybe"},    {"--unknown=secret", "--unknown"},
                 {"--no-t-port", "--no-t-port"}, {"stray", "stray"},
                 {"--config", "needs a file"},   {"--config=/nowhere/x", "/nowhere/x"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings s;
        char copies[8][128];
        assert_false(load(&s, 2, (const char *[]){"test", cases[i].arg}, copies));
        assert_int_equal(err.code, GTV_E_INVALID);
        assert_non_null(strstr(err.message, cases[i].in_message));
        assert_null(strstr(err.message, "secret"));
        gtv_config_finish(&s, table, N);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(flags),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
