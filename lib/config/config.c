#include "lib/config/config.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/config/internal.h"
#include "lib/log/log.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHOWN_MAX = 80 }; // of a wrong value, in the sentence about it

struct load {
    char *config; // the program's struct
    const struct gtv_program *program;
    const struct gtv_option *table;
    size_t n;
    struct gtv_log log;
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
        gtv_error_set(l->err, GTV_E_INVALID, o->env, "%s must be %s, not \"%.*s\"", o->env, wanted,
                      value.n > SHOWN_MAX ? SHOWN_MAX : (int)value.n, value.p);
    return false;
}

// Where nothing is a default, nothing can be said as well.
static bool well_formed(const struct gtv_option *o, struct gtv_str value)
{
    bool may_be_empty = !o->def || !o->def[0];
    return !o->form || (value.n == 0 && may_be_empty) || o->form->fits(o->form, value);
}

static bool set_string(const struct load *l, const struct gtv_option *o, struct gtv_str value)
{
    if (value.n && memchr(value.p, '\0', value.n)) {
        gtv_error_set(l->err, GTV_E_INVALID, o->env, "%s must be text: it holds a NUL byte", o->env);
        return false;
    }
    free(*string_field(l, o));
    *string_field(l, o) = gtv_strndup(value);
    return true;
}

static bool set(const struct load *l, const struct gtv_option *o, struct gtv_str value)
{
    char wanted[96];
    switch (o->type) {
    case GTV_OPT_STRING:
        return well_formed(o, value) ? set_string(l, o, value) : refuse(l, o, value, o->form->wanted);
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

// What the table itself says is right, although a folder of it may not be there.
static bool load_defaults(const struct load *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct gtv_option *o = &l->table[i];
        if (o->def && !(o->type == GTV_OPT_STRING ? set_string(l, o, gtv_str_of(o->def))
                                                  : set(l, o, gtv_str_of(o->def))))
            return false;
    }
    return true;
}

// ---- Values that stand in files of their own ----

// The content of a file without its last newline. `what` names the one that said so: "REDIS_URL_FILE".
static bool set_from_file(const struct load *l, const struct gtv_option *o, const char *what,
                          const char *path)
{
    struct gtv_buf text;
    gtv_buf_init(&text, CONFIG_FILE_MAX);
    bool ok = config_read_file(path, what, &text, l->err);
    struct gtv_str value = gtv_buf_str(&text);
    if (ok && gtv_str_ends(value, GTV_STR("\n")))
        value.n--;
    if (ok && gtv_str_ends(value, GTV_STR("\r")))
        value.n--;
    if (ok && value.n == 0) {
        gtv_error_set(l->err, GTV_E_INVALID, o->env, "%s %s: the file is empty", what, path);
        ok = false;
    }
    ok = ok && set(l, o, value);
    if (text.data) // it may be a secret
        explicit_bzero(text.data, text.cap);
    gtv_buf_finish(&text);
    return ok;
}

static void file_name_of(const struct gtv_option *o, char out[CONFIG_NAME_CAP])
{
    snprintf(out, CONFIG_NAME_CAP, "%s_FILE", o->env);
}

static void warn_about_both(const struct load *l, const struct gtv_option *o, const char *where)
{
    gtv_log_warn(&l->log, "an option is given twice: the file's value counts",
                 "option=%s file=%s_FILE in=\"%s\"", o->env, o->env, where);
}

// An empty variable counts as none: that is how compose files pass on what nobody set.
static bool load_environment(const struct load *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct gtv_option *o = &l->table[i];
        char file_name[CONFIG_NAME_CAP];
        file_name_of(o, file_name);
        const char *value = getenv(o->env), *path = getenv(file_name);
        bool has_value = value && value[0], has_path = path && path[0];
        if (has_value && has_path)
            warn_about_both(l, o, "the environment");
        if (has_path ? !set_from_file(l, o, file_name, path) : has_value && !set(l, o, gtv_str_of(value)))
            return false;
    }
    return true;
}

static bool load_credential(const struct load *l, const struct gtv_option *o, const char *folder, bool lower)
{
    char name[CONFIG_NAME_CAP], path[PATH_MAX];
    snprintf(name, sizeof(name), "%s", o->env);
    for (char *p = name; lower && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof(path) || (access(path, F_OK) != 0 && errno == ENOENT))
        return true;
    return set_from_file(l, o, "credential", path);
}

static bool load_credentials(const struct load *l)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    for (size_t i = 0; folder && folder[0] && i < l->n; i++) {
        if (!load_credential(l, &l->table[i], folder, true) ||
            !load_credential(l, &l->table[i], folder, false))
            return false;
    }
    return true;
}

// ---- The file of --config ----

static struct gtv_str unquote(struct gtv_str v)
{
    if (v.n >= 2 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.n - 1] == v.p[0])
        return (struct gtv_str){v.p + 1, v.n - 2};
    return v;
}

bool config_read_file(const char *path, const char *what, struct gtv_buf *text, struct gtv_error *err)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        gtv_error_set(err, GTV_E_INVALID, what, "%s %s: %s", what, path, strerror(errno));
        return false;
    }
    char piece[4096];
    size_t n;
    errno = 0;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        gtv_buf_append(text, piece, n);
    int failed = ferror(f) ? errno : 0;
    fclose(f);
    explicit_bzero(piece, sizeof(piece));
    if (failed || text->failed) {
        gtv_error_set(err, GTV_E_INVALID, what, "%s %s: %s", what, path,
                      failed ? strerror(failed) : "larger than 64 KiB");
        return false;
    }
    return true;
}

// Which options a file has named so far.
struct seen {
    bool value, file;
};

// False: no option of this program.
static bool find_name(const struct load *l, struct gtv_str name, size_t *at, bool *is_file)
{
    static const struct gtv_str suffix = {"_FILE", 5};
    for (size_t i = 0; i < l->n; i++) {
        struct gtv_str env = gtv_str_of(l->table[i].env);
        *at = i;
        *is_file = !gtv_str_eq(name, env);
        if (!*is_file ||
            (name.n == env.n + suffix.n && gtv_str_starts(name, env) && gtv_str_ends(name, suffix)))
            return true;
    }
    return false;
}

// One file may serve all programs, so that a name which this one does not know is left alone, unless it looks
// like one that was meant.
static void warn_about_unknown(const struct load *l, struct gtv_str name, const char *path, int line)
{
    const char *meant = config_nearest(l->program, name);
    if (meant)
        gtv_log_warn(&l->log, "an unknown name in the configuration file has no effect",
                     "name=\"" GTV_STR_FMT "\" meant=%s file=\"%s\" line=%d", GTV_STR_ARG(name), meant, path,
                     line);
}

static bool apply_line(const struct load *l, struct gtv_str name, struct gtv_str value, struct seen *seen,
                       const char *path, int line)
{
    size_t at;
    bool is_file;
    if (!find_name(l, name, &at, &is_file)) {
        warn_about_unknown(l, name, path, line);
        return true;
    }
    const struct gtv_option *o = &l->table[at];
    seen[at].value = seen[at].value || !is_file;
    seen[at].file = seen[at].file || is_file;
    if (seen[at].value && seen[at].file)
        warn_about_both(l, o, path);
    if (!is_file)
        return seen[at].file || set(l, o, value);
    char file_name[CONFIG_NAME_CAP], file_path[PATH_MAX];
    file_name_of(o, file_name);
    if (value.n == 0 || !gtv_str_copy(file_path, sizeof(file_path), value)) {
        gtv_error_set(l->err, GTV_E_INVALID, o->env, "%s must be a file's path", file_name);
        return false;
    }
    return set_from_file(l, o, file_name, file_path);
}

static bool load_file(const struct load *l, const char *path)
{
    struct gtv_buf text;
    gtv_buf_init(&text, CONFIG_FILE_MAX);
    struct seen *seen = gtv_alloc(l->n * sizeof(*seen));
    bool ok = config_read_file(path, "--config", &text, l->err);
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
        if (!assigns) {
            gtv_error_set(l->err, GTV_E_INVALID, "config", "--config %s, line %d: KEY=value is expected",
                          path, line);
            ok = false;
        } else {
            ok = apply_line(l, name, unquote(gtv_str_trim(value)), seen, path, line);
        }
    }
    free(seen);
    if (text.data)
        explicit_bzero(text.data, text.cap);
    gtv_buf_finish(&text);
    return ok;
}

// ---- The command line ----

// With a name that ends in "-file", *from_file is set.
static const struct gtv_option *find_flag(const struct load *l, struct gtv_str name, bool *from_file)
{
    static const struct gtv_str suffix = {"-file", 5};
    char flag[CONFIG_FLAG_CAP];
    for (size_t i = 0; i < l->n; i++) {
        config_flag_of(&l->table[i], flag);
        struct gtv_str known = gtv_str_of(flag);
        *from_file = !gtv_str_eq(name, known);
        if (!*from_file ||
            (name.n == known.n + suffix.n && gtv_str_starts(name, known) && gtv_str_ends(name, suffix)))
            return &l->table[i];
    }
    *from_file = false;
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
    bool from_file;
    if (strncmp(text, "--", 2) != 0 || !text[2])
        return unknown(l, text);
    struct argument a = split_argument(text);
    const struct gtv_option *o = find_flag(l, a.name, &from_file);
    if (!o && gtv_str_starts(a.name, GTV_STR("no-")) && !a.has_value) {
        o = find_flag(l, (struct gtv_str){a.name.p + 3, a.name.n - 3}, &from_file);
        return o && o->type == GTV_OPT_BOOL && !from_file ? set(l, o, GTV_STR("false")) : unknown(l, text);
    }
    if (!o)
        return unknown(l, text);
    if (!a.has_value && o->type == GTV_OPT_BOOL && !from_file) {
        a.value = GTV_STR("true");
    } else if (!a.has_value) {
        if (*i + 1 >= argc) {
            gtv_error_set(l->err, GTV_E_INVALID, o->env, "%s needs a value", text);
            return false;
        }
        a.value = gtv_str_of(argv[++*i]);
    }
    if (from_file) {
        char file_name[CONFIG_NAME_CAP];
        file_name_of(o, file_name);
        return set_from_file(l, o, file_name, a.value.p);
    }
    bool ok = set(l, o, a.value);
    if (o->secret && o->type != GTV_OPT_BOOL)
        hide(a.value.p);
    return ok;
}

// Asked for help, a program answers even when its environment is wrong.
static void answer_questions(const struct gtv_program *p, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            config_print_help(p);
        else if (strcmp(argv[i], "--options-json") == 0)
            config_print_json(p);
        else if (strcmp(argv[i], "--options-markdown") == 0)
            config_print_markdown(p);
        else
            continue;
        exit(0);
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

// Marks in `taken` what is a command or its argument.
static bool take_commands(const struct load *l, int argc, char **argv, bool *taken)
{
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; !taken[i] && k < l->program->command_count; k++) {
            const struct gtv_command *c = &l->program->commands[k];
            size_t n = strlen(c->flag);
            if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, c->flag, n) != 0)
                continue;
            const char *rest = argv[i] + 2 + n, *value = *rest == '=' ? rest + 1 : NULL;
            if (*rest && !value)
                continue;
            taken[i] = true;
            if (!value && i + 1 < argc && !taken[i + 1]) {
                value = argv[++i];
                taken[i] = true;
            }
            if (!value || !*value) {
                gtv_error_set(l->err, GTV_E_INVALID, NULL, "--%s needs %s", c->flag, c->value);
                return false;
            }
            memcpy(l->config + c->offset, &value, sizeof value);
        }
    }
    return true;
}

// The log's component is the program's name without the house's: "streaming".
static const char *component_of(const char *name)
{
    return strncmp(name, "gtv-", 4) == 0 ? name + 4 : name;
}

bool gtv_config_load(void *config, const struct gtv_program *program, int argc, char **argv,
                     struct gtv_error *err)
{
    struct load l = {.config = config,
                     .program = program,
                     .table = program->table,
                     .n = program->count,
                     .log = {component_of(program->name), NULL, NULL},
                     .err = err};
    answer_questions(program, argc, argv);
    bool *taken = gtv_alloc((size_t)(argc > 0 ? argc : 1) * sizeof(*taken));
    bool check = false;
    bool ok = load_defaults(&l) && load_environment(&l) && load_credentials(&l) &&
              load_files(&l, argc, argv, taken, &check) && take_commands(&l, argc, argv, taken);
    for (int i = 1; ok && i < argc; i++) {
        if (!taken[i])
            ok = apply_flag(&l, argv, argc, &i);
    }
    free(taken);
    ok = ok && (!program->check || program->check(config, err));
    if (ok && check) {
        printf("%s: the configuration is well-formed\n", program->name);
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

void gtv_config_set_level(const char *log_level)
{
    enum gtv_log_level level;
    if (gtv_log_level_parse(gtv_str_of(log_level), &level))
        gtv_log_set_level(level);
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
