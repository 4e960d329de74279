// A growable byte buffer with a ceiling. Not thread-safe.
#ifndef GTV_BASE_BUF_H
#define GTV_BASE_BUF_H

#include "lib/base/bytes.h"

// Zeroed is a valid empty buffer without a ceiling (max 0).
struct gtv_buf {
    char *data; // always NUL-terminated once something was written
    size_t len, cap, max;
    bool failed; // an append went over max or out of memory; later appends do nothing
};

void gtv_buf_init(struct gtv_buf *b, size_t max);
void gtv_buf_finish(struct gtv_buf *b);
void gtv_buf_reset(struct gtv_buf *b);
bool gtv_buf_append(struct gtv_buf *b, const void *data, size_t n);
bool gtv_buf_puts(struct gtv_buf *b, const char *s);
bool gtv_buf_printf(struct gtv_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void gtv_buf_drop_front(struct gtv_buf *b, size_t n);
static inline struct gtv_str gtv_buf_str(const struct gtv_buf *b)
{
    return (struct gtv_str){b->data, b->len};
}
// Moves the content into refcounted bytes and leaves the buffer empty; NULL if the buffer had failed.
struct gtv_bytes *gtv_buf_take(struct gtv_buf *b) GTV_WARN_UNUSED;

#endif
