// A log line while it is put together, and its two forms. Private to lib/log.
#ifndef GTV_LOG_LINE_H
#define GTV_LOG_LINE_H

#include "lib/base/str.h"

// A longer line is cut, after its passwords were taken out. What closes a cut line has room of its own.
enum { LOG_LINE_CAP = 8192, LOG_LINE_TAIL = 32 };

struct log_line {
    char text[LOG_LINE_CAP];
    size_t len;
    bool cut;
};

// Appends; what does not fit is left out, whole characters only where the caller gives whole ones.
void log_put(struct log_line *l, const char *p, size_t n);
void log_put_str(struct log_line *l, const char *s);
// Whether s, which follows a quote, begins another key=value or is empty: the quote then ended a value.
bool log_key_follows(struct gtv_str s);
bool log_key_at(struct gtv_str s); // whether s begins with key=

// One way to write a line. Texts come redacted.
struct log_form {
    void (*plain)(struct log_line *l, struct gtv_str name, struct gtv_str value); // quoted where it must be
    void (*text)(struct log_line *l, struct gtv_str name, struct gtv_str value);  // quoted; any bytes
    void (*quoted)(struct log_line *l, struct gtv_str key, struct gtv_str value); // text, of a caller's key
    void (*fields)(struct log_line *l, struct gtv_str s); // key=value ..., whose borders the text alone tells
    void (*end)(struct log_line *l);                      // up to the newline
};
extern const struct log_form log_form_logfmt, log_form_json;

#endif
