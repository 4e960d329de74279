#include "lib/config/config.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 64 * 1024, FLAG_CAP = 64 };

struct load {
    char *config; // the program's struct
    const struct gtv_option *table;
    size_t n;
    struct gtv_error *err;
};

static void *field(const struct load *l, const struct gtv_option *o)
{
    return l->config + o->offset;
}

static char **string_field(const struct load *l, const struct gtv_option *o)
{
    return field(l, o);
}

static bool refuse(const struct load *l, const struct gtv_option *o, struct gtv_str value, const char *wanted)
{
    if (o->secret)
        gtv_error_set(l->err, GTV_E_INVALID, o->env, "%s must be %s", o->env, wanted);
    else
        gtv_error_set(l->err, GTV_E_INVALID, o->env, "%s must be %s, not \"" GTV_STR_FMT "\"", o->env, wanted,
                      GTV_STR_ARG(value));
    return false;
}

static bool set(const struct load *l, const struct gtv_option *o, struct gtv_str value)
{
    char wanted[96];
    switch (o->type) {
    case GTV_OPT_STRING:
        free(*string_field(l, o));
        *string_field(l, o) = gtv_strndup(value);
        return true;
    case GTV_OPT_INT:
        snprintf(wanted, sizeof(wanted), "a whole number from %.0f to %.0f", o->min, o->max);
        return gtv_parse_int(value, (int64_t)o->min, (int64_t)o->max, field(l, o)) ||
               refuse(l, o, value, wanted);
    case GTV_OPT_DOUBLE:
        snprintf(wanted, sizeof(wanted), "a number from %g to %g", o->min, o->max);
        return gtv_parse_double(value, o->min, o->max, field(l, o)) || refuse(l, o, value, wanted);
    case GTV_OPT_BOOL:
        return gtv_parse_bool(value, field(l, o)) || refuse(l, o, value, "true or false");
    }
    return false;
}

static bool load_defaults(const struct load *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct gtv_option *o = &l->table[i];
        if (o->def && !set(l, o, gtv_str_of(o->def)))
            return false;
    }
    return true;
}

// An empty variable counts as none: that is how compose files pass on what nobody set.
static bool load_environment(const struct load *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const char *value = getenv(l->table[i].env);
        if (value && value[0] && !set(l, &l->table[i], gtv_str_of(value)))
            return false;
    }
    return true;
}

static struct gtv_str unquote(struct gtv_str v)
{
    if (v.n >= 2 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.n - 1] == v.p[0])
        return (struct gtv_str){v.p + 1, v.n - 2};
    return v;
}

static bool read_file(const struct load *l, const char *path, struct gtv_buf *text)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        gtv_error_set(l->err, GTV_E_INVALID, "config", "--config %s: %s", path, strerror(errno));
        return false;
    }
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        gtv_buf_append(text, piece, n);
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed || text->failed) {
        gtv_error_set(l->err, GTV_E_INVALID, "config", "--config %s: %s", path,
                      failed ? "cannot be read" : "larger than 64 KiB");
        return false;
    }
    return true;
}

// Names that this program does not know are left alone: one file may serve all programs.
static bool load_file(const struct load *l, const char *path)
{
    struct gtv_buf text;
    gtv_buf_init(&text, FILE_MAX);
    bool ok = read_file(l, path, &text);
    struct gtv_str rest = gtv_buf_str(&text);
    for (int line = 1; ok && rest.n; line++) {
        struct gtv_str value = gtv_str_cut(&rest, '\n');
        if (gtv_str_ends(value, GTV_STR("\r")))
            value.n--;
        value = gtv_str_trim(value);
        if (value.n == 0 || value.p[0] == '#')
            continue;
        bool assigns = gtv_str_find(value, '=') > 0;
        struct gtv_str name = gtv_str_trim(gtv_str_cut(&value, '='));
        value = unquote(gtv_str_trim(value));
        if (!assigns) {
            gtv_error_set(l->err, GTV_E_INVALID, "config", "--config %s, line %d: KEY=value is expected",
                          path, line);
            ok = false;
        }
        for (size_t i = 0; ok && i < l->n; i++) {
            if (gtv_str_eq(name, gtv_str_of(l->table[i].env)))
                ok = set(l, &l->table[i], value);
        }
    }
    gtv_buf_finish(&text);
    return ok;
}

static void flag_of(const struct gtv_option *o, char out[FLAG_CAP])
{
    size_t i = 0;
    for (; o->env[i] && i + 1 < FLAG_CAP; i++) {
        char c = o->env[i];
        out[i] = (char)(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    assert(!o->env[i]);
    out[i] = '\0';
}

static const struct gtv_option *find_flag(const struct load *l, struct gtv_str name)
{
    char flag[FLAG_CAP];
    for (size_t i = 0; i < l->n; i++) {
        flag_of(&l->table[i], flag);
        if (gtv_str_eq(name, gtv_str_of(flag)))
            return &l->table[i];
    }
    return NULL;
}

// One argument: its name without dashes, its value if it came with one.
struct argument {
    struct gtv_str name, value;
    bool has_value;
};

static struct argument split_argument(const char *text)
{
    struct argument a = {.value = gtv_str_of(text + 2)};
    a.has_value = gtv_str_find(a.value, '=') >= 0;
    a.name = gtv_str_cut(&a.value, '=');
    return a;
}

static bool unknown(const struct load *l, const char *text)
{
    struct gtv_str name = gtv_str_of(text);
    name = gtv_str_cut(&name, '='); // the value may be a secret
    gtv_error_set(l->err, GTV_E_INVALID, NULL, "Unknown option \"" GTV_STR_FMT "\"; --help lists all",
                  GTV_STR_ARG(name));
    return false;
}

// Every user of the machine can read a command line; what was given there anyway shall not stay there.
static void hide(const char *value)
{
    char *p = (char *)(uintptr_t)value;
    while (*p)
        *p++ = '*';
}

static bool apply_flag(const struct load *l, char **argv, int argc, int *i)
{
    const char *text = argv[*i];
    if (strncmp(text, "--", 2) != 0 || !text[2])
        return unknown(l, text);
    struct argument a = split_argument(text);
    const struct gtv_option *o = find_flag(l, a.name);
    if (!o && gtv_str_starts(a.name, GTV_STR("no-")) && !a.has_value) {
        o = find_flag(l, (struct gtv_str){a.name.p + 3, a.name.n - 3});
        return o && o->type == GTV_OPT_BOOL ? set(l, o, GTV_STR("false")) : unknown(l, text);
    }
    if (!o)
        return unknown(l, text);
    if (!a.has_value && o->type == GTV_OPT_BOOL) {
        a.value = GTV_STR("true");
    } else if (!a.has_value) {
        if (*i + 1 >= argc) {
            gtv_error_set(l->err, GTV_E_INVALID, o->env, "%s needs a value", text);
            return false;
        }
        a.value = gtv_str_of(argv[++*i]);
    }
    bool ok = set(l, o, a.value);
    if (o->secret && o->type != GTV_OPT_BOOL)
        hide(a.value.p);
    return ok;
}

static void print_help(const struct load *l, const char *program, const char *purpose)
{
    static const char *const types[] = {"TEXT", "N", "X", "[=true|false]"};
    printf("%s %s: %s\n\nUsage: %s [OPTION]...\n\n"
           "Each option is taken from its default, then the environment, then the --config file, then the "
           "command line.\n\n"
           "  --config FILE    lines of KEY=value with the environment's names\n"
           "  --check-config   exit 0 if the configuration is well-formed\n"
           "  --version        print the version\n"
           "  --help           print this\n",
           program, GTV_VERSION, purpose, program);
    for (size_t i = 0; i < l->n; i++) {
        const struct gtv_option *o = &l->table[i];
        char flag[FLAG_CAP];
        flag_of(o, flag);
        printf("\n  --%s%s%s   (%s)\n      %s\n", flag, o->type == GTV_OPT_BOOL ? "" : " ", types[o->type],
               o->env, o->help);
        if (o->type == GTV_OPT_INT || o->type == GTV_OPT_DOUBLE)
            printf("      From %.15g to %.15g.\n", o->min, o->max);
        if (o->def && o->def[0] && !o->secret)
            printf("      Default: %s\n", o->def);
    }
}

// Asked for help, a program answers even when its environment is wrong.
static void answer_questions(const struct load *l, const char *program, const char *purpose, int argc,
                             char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(l, program, purpose);
            exit(0);
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("%s %s\n", program, GTV_VERSION);
            exit(0);
        }
    }
}

// --config and --check-config, wherever they stand, because the file comes before the flags. Marks in `taken`
// what is done with.
static bool load_files(const struct load *l, int argc, char **argv, bool *taken, bool *check)
{
    for (int i = 1; i < argc; i++) {
        const char *path = NULL;
        if (strcmp(argv[i], "--check-config") == 0) {
            *check = taken[i] = true;
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            taken[i] = true;
            path = argv[i] + 9;
        } else if (strcmp(argv[i], "--config") == 0) {
            if (i + 1 >= argc) {
                gtv_error_set(l->err, GTV_E_INVALID, "config", "--config needs a file");
                return false;
            }
            taken[i] = taken[i + 1] = true;
            path = argv[++i];
        }
        if (path && !load_file(l, path))
            return false;
    }
    return true;
}

bool gtv_config_load(void *config, const struct gtv_option *table, size_t n, const char *program,
                     const char *purpose, int argc, char **argv, struct gtv_error *err)
{
    struct load l = {.config = config, .table = table, .n = n, .err = err};
    answer_questions(&l, program, purpose, argc, argv);
    bool *taken = gtv_alloc((size_t)(argc > 0 ? argc : 1) * sizeof(*taken));
    bool check = false;
    bool ok = load_defaults(&l) && load_environment(&l) && load_files(&l, argc, argv, taken, &check);
    for (int i = 1; ok && i < argc; i++) {
        if (!taken[i])
            ok = apply_flag(&l, argv, argc, &i);
    }
    free(taken);
    if (ok && check) {
        printf("%s: the configuration is well-formed\n", program);
        exit(0);
    }
    return ok;
}

bool gtv_config_set(void *config, const struct gtv_option *option, struct gtv_str value,
                    struct gtv_error *err)
{
    const struct load l = {.config = config, .table = option, .n = 1, .err = err};
    return set(&l, option, value);
}

void gtv_config_finish(void *config, const struct gtv_option *table, size_t n)
{
    struct load l = {.config = config, .table = table, .n = n};
    for (size_t i = 0; i < n; i++) {
        if (table[i].type != GTV_OPT_STRING)
            continue;
        char **s = string_field(&l, &table[i]);
        free(*s);
        *s = NULL;
    }
}
