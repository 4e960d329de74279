// The table of global settings: MediaMTX's keys, and ours beside them.
#ifndef GTV_MEDIA_GLOBALS_H
#define GTV_MEDIA_GLOBALS_H

#include "lib/json/json.h"
#include "services/media/options.h"

enum gtv_global_form {
    GTV_GLOBAL_FIXED, // of MediaMTX, not of this node: accepted with one value only
    GTV_GLOBAL_TEXT,
    GTV_GLOBAL_LIST, // an array of strings; the option has commas
    GTV_GLOBAL_BOOL,
    GTV_GLOBAL_INT,
    GTV_GLOBAL_DURATION, // "1s"; the option counts seconds
    GTV_GLOBAL_SIZE,     // "50M"; the option counts bytes
    GTV_GLOBAL_ADDRESS,  // "127.0.0.1:9997", ":8888" (all addresses); two options, port and host
    GTV_GLOBAL_CHOICE,   // one word of several
    GTV_GLOBAL_LEVEL,    // "error", "warn", "info", "debug"
};

struct gtv_global {
    const char *key;
    enum gtv_global_form form;
    const char *option;  // its name in options.c; of fixed ones: the JSON of the value
    const char *host;    // ADDRESS: the host's option
    bool live;           // a change counts at once, else after a restart
    const char *choices; // CHOICE: "a|b"
};

extern const struct gtv_global gtv_globals[];
extern const size_t gtv_global_count;

const struct gtv_global *gtv_global_find(struct gtv_str key); // NULL: unknown
// The option of this name; it must be there.
size_t gtv_global_option(const char *name);

// A value as the texts of its option, and of the host's (ADDRESS). False with *err: the type, or the form.
// The options' limits are not looked at.
enum { GTV_GLOBAL_TEXT_MAX = 2048 };
struct gtv_global_texts {
    char option[GTV_GLOBAL_TEXT_MAX], host[256];
};
bool gtv_global_read(const struct gtv_global *g, yyjson_val *value, struct gtv_global_texts *out,
                     struct gtv_error *err) GTV_WARN_UNUSED;
// The same of a text, as the environment has it.
bool gtv_global_read_text(const struct gtv_global *g, struct gtv_str text, struct gtv_global_texts *out,
                          struct gtv_error *err) GTV_WARN_UNUSED;
// The value as options has it; secrets read "***" when redacted.
yyjson_mut_val *gtv_global_value(const struct gtv_global *g, const struct gtv_media_options *options,
                                 yyjson_mut_doc *doc, bool redacted);

#endif
