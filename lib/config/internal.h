// Between the files of lib/config.
#ifndef GTV_CONFIG_INTERNAL_H
#define GTV_CONFIG_INTERNAL_H

#include "lib/base/buf.h"
#include "lib/config/config.h"

enum {
    CONFIG_FILE_MAX = 64 * 1024, // of --config, and of the file behind NAME_FILE
    CONFIG_FLAG_CAP = 64,
    CONFIG_NAME_CAP = 72, // of NAME_FILE
};

// Writes the flag of an option, without dashes in front.
void config_flag_of(const struct gtv_option *o, char out[CONFIG_FLAG_CAP]);

// The table in three shapes, on stdout.
void config_print_help(const struct gtv_program *p);
void config_print_json(const struct gtv_program *p);
void config_print_markdown(const struct gtv_program *p);

// Appends the whole file. On failure *err says "<what> <path>: <why>".
bool config_read_file(const char *path, const char *what, struct gtv_buf *text, struct gtv_error *err);

// The name in the table that a wrong one was probably meant to be: at most two letters away,
// and not the first. NULL: none.
const char *config_nearest(const struct gtv_program *p, struct gtv_str name);

#endif
