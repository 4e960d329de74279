// One options table a program, from which come its values, --help, --check-config and docs/configuration.md.
// Where a value comes from, in rising weight: the default; the environment; systemd's credentials
// ($CREDENTIALS_DIRECTORY/NAME or /name); --config FILE (KEY=value lines, the environment's names); the
// command line. Wherever NAME may stand, NAME_FILE may: the value is that file's content without its last
// newline.
#ifndef GTV_CONFIG_CONFIG_H
#define GTV_CONFIG_CONFIG_H

#include "lib/base/str.h"
#include "lib/config/form.h"

struct gtv_log;

enum gtv_option_type {
    GTV_OPT_STRING, // char *, owned by the config struct
    GTV_OPT_INT,    // int64_t within [min, max]
    GTV_OPT_DOUBLE, // double within [min, max]
    GTV_OPT_BOOL,   // bool
};

struct gtv_option {
    const char *env; // "REDIS_URL"; the flag is the same in lower case with dashes: --redis-url
    enum gtv_option_type type;
    size_t offset;               // offsetof(struct my_config, field)
    const char *def;             // default as text; NULL for a string that may stay NULL
    double min, max;             // for numbers
    bool secret;                 // never printed
    const char *help;            // one sentence or two
    bool live;                   // gtv_config_reload takes it over while the program runs
    const struct gtv_form *form; // what a string must look like; NULL: anything. The default is not checked.
};

// The rows about its log, which every program has; its struct has fields of these names. AT(field): their
// offset.
#define GTV_LOG_OPTIONS(AT)                                                                                  \
    {"LOG_LEVEL",  GTV_OPT_STRING,         AT(log_level), "INFO", .help = "DEBUG, INFO, WARNING or ERROR.",  \
     .live = true, .form = &gtv_form_level},                                                                 \
        {"LOG_FORMAT",                                                                                       \
         GTV_OPT_STRING,                                                                                     \
         AT(log_format),                                                                                     \
         "logfmt",                                                                                           \
         .help = "Form of the log lines on stderr.",                                                         \
         .form = &gtv_form_log_format},                                                                      \
    {                                                                                                        \
        "GTV_ACCESS_LOG", GTV_OPT_BOOL, AT(access_log), "false",                                             \
            .help = "A log line for each request: method, path, status, bytes, time, id."                    \
    }

// Something that a program does instead of its work, asked for on the command line only: --import FILE.
struct gtv_command {
    const char *flag, *value, *help; // flag without dashes; value: a word for its argument
    size_t offset;                   // offsetof(struct my_config, field): const char *, into argv; else NULL
};

struct gtv_program {
    const char *name;    // "gtv-streaming"
    const char *purpose; // half a sentence: "serves HLS from a cache"
    const struct gtv_option *table;
    size_t count;
    size_t size; // of the config struct
    // What no single option says: one that needs another, a list whose entries have a meaning. May be NULL.
    bool (*check)(const void *config, struct gtv_error *err);
    const struct gtv_command *commands; // may be NULL
    size_t command_count;
};

// Fills *config (zeroed by the caller) by the table. Handles --help, --options-json and --options-markdown
// (they print the table and exit 0), --config FILE and --check-config (exit 0 when all is well). A wrong
// value, a file that cannot be read or an unknown flag: false with one sentence naming the option. Warnings
// go to the log.
bool gtv_config_load(void *config, const struct gtv_program *program, int argc, char **argv,
                     struct gtv_error *err) GTV_WARN_UNUSED;
// Sets one option of *config, as the environment would. False with *err, and nothing is changed.
bool gtv_config_set(void *config, const struct gtv_option *option, struct gtv_str value,
                    struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_config_finish(void *config, const struct gtv_option *table, size_t n); // frees the strings

// Sets the log's level to what LOG_LEVEL says; what is no level changes nothing. Any thread.
void gtv_config_set_level(const char *log_level);

// ---- Reading again, on SIGHUP ----

// Where a program's options came from. Create it before gtv_config_load, which wipes secrets off argv.
struct gtv_config_source;
struct gtv_config_source *gtv_config_source_create(const struct gtv_program *program, int argc, char **argv);
void gtv_config_source_destroy(struct gtv_config_source *s); // after the last reader; NULL is accepted

// Reads everything anew and takes over into *config what is live. One thread calls it; others may read live
// options meanwhile through gtv_live_*. What is wrong leaves all as it was. Logs one line: what changed and
// what waits for a restart, or what is wrong. True when a live option changed. Texts that were replaced stay
// until gtv_config_source_destroy, for those who still read them.
bool gtv_config_reload(struct gtv_config_source *s, void *config, const struct gtv_log *log);

static inline int64_t gtv_live_int(const int64_t *option)
{
    return __atomic_load_n(option, __ATOMIC_RELAXED);
}

static inline bool gtv_live_bool(const bool *option)
{
    return __atomic_load_n(option, __ATOMIC_RELAXED);
}

static inline double gtv_live_double(const double *option)
{
    double value;
    __atomic_load(option, &value, __ATOMIC_RELAXED);
    return value;
}

static inline const char *gtv_live_text(char *const *option)
{
    return __atomic_load_n(option, __ATOMIC_ACQUIRE);
}

#endif
