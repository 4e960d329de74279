#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 256 };

void gtv_buf_init(struct gtv_buf *b, size_t max)
{
    *b = (struct gtv_buf){.max = max};
}

void gtv_buf_finish(struct gtv_buf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct gtv_buf){.max = b->max};
}

void gtv_buf_reset(struct gtv_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

// Makes room for n bytes more and a NUL.
static bool reserve(struct gtv_buf *b, size_t n)
{
    if (b->failed)
        return false;
    size_t need;
    if (__builtin_add_overflow(b->len, n, &need) || need == SIZE_MAX || (b->max && need > b->max)) {
        b->failed = true;
        return false;
    }
    need++;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    char *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

bool gtv_buf_append(struct gtv_buf *b, const void *data, size_t n)
{
    if (!reserve(b, n))
        return false;
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
    return true;
}

bool gtv_buf_puts(struct gtv_buf *b, const char *s)
{
    return gtv_buf_append(b, s, strlen(s));
}

bool gtv_buf_printf(struct gtv_buf *b, const char *fmt, ...)
{
    va_list ap;
    size_t room = b->cap - b->len; // most lines fit, and are then formatted once
    va_start(ap, fmt);
    int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    if (n < 0 || !reserve(b, (size_t)n)) {
        if (room)
            b->data[b->len] = '\0';
        return false;
    }
    if ((size_t)n >= room) {
        va_start(ap, fmt);
        vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
    return true;
}

void gtv_buf_drop_front(struct gtv_buf *b, size_t n)
{
    if (n > b->len)
        n = b->len;
    if (n == 0)
        return;
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
    b->data[b->len] = '\0';
}

struct gtv_bytes *gtv_buf_take(struct gtv_buf *b)
{
    struct gtv_bytes *bytes = NULL;
    if (!b->failed)
        bytes = b->data ? gtv_bytes_wrap(b->data, b->len, free, b->data) : gtv_bytes_create(0);
    if (bytes)
        b->data = NULL;
    gtv_buf_finish(b);
    return bytes;
}
