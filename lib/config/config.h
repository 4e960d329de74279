// One options table a program: defaults, then environment, then file (KEY=value lines, the environment's
// names), then flags.
#ifndef GTV_CONFIG_CONFIG_H
#define GTV_CONFIG_CONFIG_H

#include "lib/base/str.h"

enum gtv_option_type {
    GTV_OPT_STRING, // char *, owned by the config struct
    GTV_OPT_INT,    // int64_t within [min, max]
    GTV_OPT_DOUBLE, // double within [min, max]
    GTV_OPT_BOOL,   // bool
};

struct gtv_option {
    const char *env; // "REDIS_URL"; the flag is the same in lower case with dashes: --redis-url
    enum gtv_option_type type;
    size_t offset;    // offsetof(struct my_config, field)
    const char *def;  // default as text; NULL for a string that may stay NULL
    double min, max;  // for numbers
    bool secret;      // never printed
    const char *help; // one sentence
};

// Fills *config (zeroed by the caller) by the table. Handles --help (prints the table, exit 0), --version,
// --config FILE,
// --check-config (exit 0 when all is well). A wrong value or an unknown flag: false with one sentence naming
// the option.
bool gtv_config_load(void *config, const struct gtv_option *table, size_t n, const char *program,
                     const char *purpose, int argc, char **argv, struct gtv_error *err) GTV_WARN_UNUSED;
// Sets one option of *config, as the environment would. False with *err, and nothing is changed.
bool gtv_config_set(void *config, const struct gtv_option *option, struct gtv_str value,
                    struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_config_finish(void *config, const struct gtv_option *table, size_t n); // frees the strings

#endif
