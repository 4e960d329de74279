#include "lib/config/config.h"
#include "lib/config/internal.h"
#include "lib/log/log.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    char *url, *password, *level, *peers;
    int64_t port;
    double share;
    bool demo;
    const char *copy;
};

static const struct gtv_option table[] = {
    {"T_URL", GTV_OPT_STRING, offsetof(struct settings, url), "http://h", 0, 0, false, "An address."},
    {"T_PASSWORD", GTV_OPT_STRING, offsetof(struct settings, password), NULL, 0, 0, true, "A secret."},
    {"T_PORT", GTV_OPT_INT, offsetof(struct settings, port), "80", 1, 65535, false, "A port.", .live = true},
    {"T_SHARE", GTV_OPT_DOUBLE, offsetof(struct settings, share), "0.5", 0, 1, false, "A share."},
    {"T_LEVEL", GTV_OPT_STRING, offsetof(struct settings, level), "INFO", 0, 0, false, "A level.",
     .live = true, .form = &gtv_form_level},
    {"T_PEERS", GTV_OPT_STRING, offsetof(struct settings, peers), NULL, 0, 0, false, "Peers.",
     .form = &gtv_form_peers},
    {"T_DEMO", GTV_OPT_BOOL, offsetof(struct settings, demo), "true", 0, 0, false, "A switch."},
};
enum { N = sizeof(table) / sizeof(table[0]) };

static const struct gtv_command commands[] = {
    {"copy", "FILE", "Copies a file.", offsetof(struct settings, copy)}};
static const struct gtv_program program = {.name = "gtv-test",
                                           .purpose = "a test",
                                           .table = table,
                                           .count = N,
                                           .size = sizeof(struct settings),
                                           .commands = commands,
                                           .command_count = 1};
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

static void commands_stand_on_the_command_line_only(void **state)
{
    struct settings s;
    char copies[8][128];
    setenv("COPY", "/from/environment", 1);
    assert_true(load(&s, 1, (const char *[]){"test"}, copies));
    assert_null(s.copy);
    gtv_config_finish(&s, table, N);
    unsetenv("COPY");
    assert_true(load(&s, 5, (const char *[]){"test", "--t-port", "81", "--copy", "a.db"}, copies));
    assert_string_equal(s.copy, "a.db");
    assert_int_equal(s.port, 81);
    gtv_config_finish(&s, table, N);
    assert_true(load(&s, 2, (const char *[]){"test", "--copy=b.db"}, copies));
    assert_string_equal(s.copy, "b.db");
    gtv_config_finish(&s, table, N);
    static const char *const wrong[] = {"--copy", "--copy=", "--copyx"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(load(&s, 2, (const char *[]){"test", wrong[i]}, copies));
        assert_non_null(strstr(err.message, i < 2 ? "--copy needs FILE" : "--copyx"));
        gtv_config_finish(&s, table, N);
    }
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

// ---- Values in files, credentials, reading again ----

static const char *write_file(char path[64], const char *name, const char *text)
{
    snprintf(path, 64, "/tmp/gtv-config-%d-%s", (int)getpid(), name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    return path;
}

static void values_from_files(void **state)
{
    char path[64], other[64], copies[8][128];
    struct settings s;
    setenv("T_PASSWORD_FILE", write_file(path, "a", "s3 cret\n\n"), 1);
    setenv("T_PASSWORD", "weak", 1);
    assert_true(load(&s, 1, (const char *[]){"test"}, copies));
    assert_string_equal(s.password, "s3 cret\n"); // the last newline only
    gtv_config_finish(&s, table, N);
    write_file(path, "a", "windows\r\n");
    assert_true(load(&s, 3, (const char *[]){"test", "--t-port-file", write_file(other, "b", "81")}, copies));
    assert_string_equal(s.password, "windows");
    assert_int_equal(s.port, 81);
    gtv_config_finish(&s, table, N);
    // In the file of --config, which counts more than the environment; the order of lines does not matter.
    char text[256], config[64];
    snprintf(text, sizeof(text), "T_PASSWORD_FILE=%s\nT_PASSWORD=plain\n", other);
    assert_true(load(&s, 3, (const char *[]){"test", "--config", write_file(config, "c", text)}, copies));
    assert_string_equal(s.password, "81");
    gtv_config_finish(&s, table, N);
    static const struct {
        const char *text, *in_message;
    } wrong[] = {{"", "empty"}, {"\n", "empty"}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        write_file(path, "a", wrong[i].text);
        assert_false(load(&s, 1, (const char *[]){"test"}, copies));
        assert_non_null(strstr(err.message, "T_PASSWORD_FILE"));
        assert_non_null(strstr(err.message, wrong[i].in_message));
        gtv_config_finish(&s, table, N);
    }
    unlink(path);
    assert_false(load(&s, 1, (const char *[]){"test"}, copies));
    assert_non_null(strstr(err.message, path));
    gtv_config_finish(&s, table, N);
    unsetenv("T_PASSWORD_FILE");
    unsetenv("T_PASSWORD");
    unlink(other);
    unlink(config);
}

static void credentials(void **state)
{
    char folder[] = "/tmp/gtv-credentials-XXXXXX", copies[8][128], path[96];
    assert_non_null(mkdtemp(folder));
    static const struct {
        const char *name, *text;
    } files[] = {{"t_url", "http://lower\n"}, {"T_PASSWORD", "upper"}, {"t_password", "lower"}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
        FILE *f = fopen(path, "we");
        assert_true(f && fputs(files[i].text, f) >= 0);
        fclose(f);
    }
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    setenv("T_URL", "http://environment", 1);
    struct settings s;
    assert_true(load(&s, 1, (const char *[]){"test"}, copies));
    assert_string_equal(s.url, "http://lower");
    assert_string_equal(s.password, "upper");
    gtv_config_finish(&s, table, N);
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("T_URL");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void forms(void **state)
{
    static const struct {
        const struct gtv_form *form;
        const char *value;
        bool fits;
    } cases[] = {
        {&gtv_form_level, "warning", true},
        {&gtv_form_level, "loud", false},
        {&gtv_form_host, "0.0.0.0", true},
        {&gtv_form_host, "::", true},
        {&gtv_form_host, "localhost", false},
        {&gtv_form_peers, "127.0.0.1,::1, 10.0.0.0/8", true},
        {&gtv_form_peers, "10.0.0.0/40", false},
        {&gtv_form_http_url, "https://h:8/x", true},
        {&gtv_form_http_url, "h:8", false},
        {&gtv_form_redis_url, "unix:///run/r.sock?db=2", true},
        {&gtv_form_redis_url, "redis://:p@h/2", true},
        {&gtv_form_redis_url, "http://h", false},
        {&gtv_form_folder, "/tmp", true},
        {&gtv_form_folder, "/tmp/nothing/here", false},
        {&gtv_form_key, "0123456789abcdef", true},
        {&gtv_form_key, "0123456789abcde", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(cases[i].form->fits(cases[i].form, gtv_str_of(cases[i].value)), cases[i].fits);
    struct settings s;
    char copies[8][128];
    assert_true(load(&s, 2, (const char *[]){"test", "--t-peers="}, copies)); // as if it was not given
    gtv_config_finish(&s, table, N);
    assert_false(load(&s, 2, (const char *[]){"test", "--t-level="}, copies));
    gtv_config_finish(&s, table, N);
}

static void misspelt_names(void **state)
{
    static const struct {
        const char *name, *meant;
    } cases[] = {{"T_PROT", "T_PORT"},
                 {"T_PASWORD", "T_PASSWORD"},
                 {"T_PORTS", "T_PORT"},
                 {"OTHER_PORT", NULL},
                 {"T", NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *meant = config_nearest(&program, gtv_str_of(cases[i].name));
        if (cases[i].meant)
            assert_string_equal(meant, cases[i].meant);
        else
            assert_null(meant);
    }
}

struct reader {
    const struct settings *settings;
    atomic_bool ending;
    int64_t sum;
};

// What other threads do meanwhile: ThreadSanitizer looks on.
static void *read_on(void *arg)
{
    struct reader *r = arg;
    while (!atomic_load(&r->ending))
        r->sum += gtv_live_int(&r->settings->port) + (int64_t)strlen(gtv_live_text(&r->settings->level));
    return NULL;
}

static void reading_again(void **state)
{
    static const struct gtv_log log = {"test", NULL, NULL};
    char path[64], copies[8][128], arg[8][128];
    const char *args[] = {"test", "--config", write_file(path, "d", "T_PORT=81\nT_URL=http://a\n")};
    char *argv[] = {arg[0], arg[1], arg[2], NULL};
    for (int i = 0; i < 3; i++)
        assert_true(gtv_str_copy(arg[i], sizeof(arg[i]), gtv_str_of(args[i])));
    struct gtv_config_source *source = gtv_config_source_create(&program, 3, argv);
    struct settings s;
    assert_true(load(&s, 3, args, copies));
    const char *level = s.level;
    struct reader reader = {.settings = &s};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
    assert_false(gtv_config_reload(source, &s, &log)); // nothing changed
    write_file(path, "d", "T_PORT=82\nT_URL=http://b\nT_LEVEL=DEBUG\n");
    assert_true(gtv_config_reload(source, &s, &log));
    assert_int_equal(gtv_live_int(&s.port), 82);
    assert_string_equal(gtv_live_text(&s.level), "DEBUG");
    assert_string_equal(level, "INFO");     // who still reads it may
    assert_string_equal(s.url, "http://a"); // not live
    write_file(path, "d", "T_PORT=83\nT_LEVEL=LOUD\n");
    assert_false(gtv_config_reload(source, &s, &log));
    assert_int_equal(s.port, 82);
    unlink(path);
    assert_false(gtv_config_reload(source, &s, &log));
    assert_int_equal(s.port, 82);
    atomic_store(&reader.ending, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    gtv_config_finish(&s, table, N);
    gtv_config_source_destroy(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),           cmocka_unit_test(commands_stand_on_the_command_line_only),
        cmocka_unit_test(later_sources_win),  cmocka_unit_test(flags),
        cmocka_unit_test(mistakes_are_named), cmocka_unit_test(values_from_files),
        cmocka_unit_test(credentials),        cmocka_unit_test(forms),
        cmocka_unit_test(misspelt_names),     cmocka_unit_test(reading_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
