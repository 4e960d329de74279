#include "lib/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct gtv_bytes *gtv_bytes_create(size_t cap)
{
    if (cap > SIZE_MAX - sizeof(struct gtv_bytes))
        return NULL;
    struct gtv_bytes *b = malloc(sizeof(*b) + cap);
    if (!b)
        return NULL;
    atomic_init(&b->refs, 1);
    b->len = 0;
    b->cap = cap;
    b->data = (uint8_t *)(b + 1);
    b->free_fn = NULL;
    b->owner = NULL;
    return b;
}

struct gtv_bytes *gtv_bytes_copy(const void *data, size_t len)
{
    struct gtv_bytes *b = gtv_bytes_create(len);
    if (!b)
        return NULL;
    if (len)
        memcpy(b->data, data, len);
    b->len = len;
    return b;
}

struct gtv_bytes *gtv_bytes_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    struct gtv_bytes *b = gtv_bytes_create((size_t)n + 1);
    if (!b)
        return NULL;
    va_start(ap, fmt);
    vsnprintf((char *)b->data, b->cap, fmt, ap);
    va_end(ap);
    b->len = (size_t)n;
    return b;
}

struct gtv_bytes *gtv_bytes_wrap(const void *data, size_t len, void (*free_fn)(void *), void *owner)
{
    struct gtv_bytes *b = gtv_bytes_create(0);
    if (!b)
        return NULL;
    b->data = (uint8_t *)(uintptr_t)data;
    b->len = len;
    b->cap = len;
    b->free_fn = free_fn;
    b->owner = owner;
    return b;
}

struct gtv_bytes *gtv_bytes_ref(struct gtv_bytes *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void gtv_bytes_unref(struct gtv_bytes *b)
{
    // Release, so that this thread's reads are over before another one frees; acquire for the one that does.
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (b->free_fn)
        b->free_fn(b->owner);
    free(b);
}
