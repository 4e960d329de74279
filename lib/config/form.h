// What a text option must look like, for the options tables. Pure; any thread.
#ifndef GTV_CONFIG_FORM_H
#define GTV_CONFIG_FORM_H

#include "lib/base/str.h"

struct gtv_form {
    const char *wanted; // "an http:// or https:// address": follows "must be"
    bool (*fits)(const struct gtv_form *form, struct gtv_str value);
    const char *const *words; // for the two below: those allowed, up to NULL
};

bool gtv_form_fits_words(const struct gtv_form *form, struct gtv_str value); // one of the words
bool gtv_form_fits_list(const struct gtv_form *form,
                        struct gtv_str value); // one or more of them, with commas

extern const struct gtv_form gtv_form_level;      // as LOG_LEVEL takes it
extern const struct gtv_form gtv_form_log_format; // as LOG_FORMAT takes it
extern const struct gtv_form gtv_form_host;       // an IP address to listen on
extern const struct gtv_form gtv_form_addresses;  // IP addresses and CIDRs, comma-separated, 64 at most
extern const struct gtv_form gtv_form_peers;      // the same, 32 at most: as an HTTP server takes them
extern const struct gtv_form gtv_form_http_url;   // one address
extern const struct gtv_form gtv_form_redis_url;  // redis://... or unix://...
extern const struct gtv_form gtv_form_folder;     // that exists
extern const struct gtv_form gtv_form_key;        // a secret of GTV_KEY_BYTES or more

enum { GTV_KEY_BYTES = 16 };

#endif
