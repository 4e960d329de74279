// One entry of the watch-list: which plates, and what is said when one is seen. Its JSON is that of the API
// and of Redis alike.
#ifndef GTV_AI_WATCHLIST_ENTRY_H
#define GTV_AI_WATCHLIST_ENTRY_H

#include "lib/json/json.h"
#include "services/ai/plate/match.h"

enum {
    GTV_WATCHLIST_MAX = 10000, // entries
    GTV_WATCHLIST_ID_CAP = 24,
    GTV_WATCHLIST_PATTERN_CAP = GTV_PLATE_PATTERN_MAX + 1,
    GTV_WATCHLIST_LABEL_CAP = 81,
    GTV_WATCHLIST_NOTE_CAP = 401,
};

struct gtv_watchlist_entry {
    char id[GTV_WATCHLIST_ID_CAP];           // made of the pattern: the same plate is the same entry
    char pattern[GTV_WATCHLIST_PATTERN_CAP]; // "plate": upper case, letters, digits, * and ?
    char label[GTV_WATCHLIST_LABEL_CAP], note[GTV_WATCHLIST_NOTE_CAP];
    char severity[8];               // low, medium [medium], high
    bool exact;                     // "match": "similar" [similar] or "exact"
    double tolerance;               // of similar ones, in nats; 0 [0]: the matcher's own
    int64_t expires_ms, created_ms; // "expires_at", "created_at"; 0: never
    bool enabled;                   // [true]
};

// From the object of a request or of Redis. False with GTV_E_INVALID and the field.
bool gtv_watchlist_entry_parse(yyjson_val *object, struct gtv_watchlist_entry *out,
                               struct gtv_error *err) GTV_WARN_UNUSED;
// Sets the pattern, and the id that follows from it. False as above.
bool gtv_watchlist_entry_name(struct gtv_watchlist_entry *e, struct gtv_str pattern,
                              struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_watchlist_entry_severity(struct gtv_watchlist_entry *e, struct gtv_str word,
                                  struct gtv_error *err) GTV_WARN_UNUSED;
// ISO 8601, or a day, which is over at its end in UTC.
bool gtv_watchlist_entry_expires(struct gtv_watchlist_entry *e, struct gtv_str text,
                                 struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_watchlist_entry_init(struct gtv_watchlist_entry *e); // the defaults
void gtv_watchlist_entry_write(const struct gtv_watchlist_entry *e, yyjson_mut_doc *doc, yyjson_mut_val *o);
bool gtv_watchlist_entry_active(const struct gtv_watchlist_entry *e, int64_t now_ms); // enabled, not expired

// ---- import.c: CSV (RFC 4180): plate,label,severity,expires_at,match,note; a first line that begins with
// "plate" names the columns in another order. Comma or semicolon, as the first line has it. ----
enum { GTV_WATCHLIST_IMPORT_ERRORS = 100, GTV_WATCHLIST_IMPORT_BYTES = 2 << 20 };

struct gtv_watchlist_import_error {
    size_t line;      // from 1
    const char *code; // of what is wrong with it: "plate_invalid"
    struct gtv_error err;
};

struct gtv_watchlist_import {
    struct gtv_watchlist_entry *entries; // the good lines; of a plate that stands twice the last one
    size_t count;
    struct gtv_watchlist_import_error errors[GTV_WATCHLIST_IMPORT_ERRORS]; // the first ones
    size_t error_count;                                                    // all of them
};

// False with GTV_E_INVALID when the whole cannot be read: no UTF-8, or more than GTV_WATCHLIST_MAX lines.
bool gtv_watchlist_import_parse(struct gtv_str csv, int64_t now_ms, struct gtv_watchlist_import *out,
                                struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_watchlist_import_finish(struct gtv_watchlist_import *i);

#endif
