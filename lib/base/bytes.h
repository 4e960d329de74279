// Refcounted immutable bytes: one producer, any number of readers on any thread.
#ifndef GTV_BASE_BYTES_H
#define GTV_BASE_BYTES_H

#include "lib/base/str.h"

#include <stdatomic.h>

// `data` may be written by its one creator until the first gtv_bytes_ref; afterwards it is read only.
struct gtv_bytes {
    atomic_uint refs;
    size_t len;
    size_t cap;
    uint8_t *data; // follows the struct, or is owned through free_fn
    void (*free_fn)(void *owner);
    void *owner;
};

// One reference belongs to the caller. NULL when there is no memory.
struct gtv_bytes *gtv_bytes_create(size_t cap) GTV_WARN_UNUSED; // len 0
struct gtv_bytes *gtv_bytes_copy(const void *data, size_t len) GTV_WARN_UNUSED;
struct gtv_bytes *gtv_bytes_printf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2))) GTV_WARN_UNUSED;
// Takes memory that free_fn(owner) gives back with the last reference (any thread). Static data: free_fn
// NULL.
struct gtv_bytes *gtv_bytes_wrap(const void *data, size_t len, void (*free_fn)(void *),
                                 void *owner) GTV_WARN_UNUSED;

struct gtv_bytes *gtv_bytes_ref(struct gtv_bytes *b); // returns b
void gtv_bytes_unref(struct gtv_bytes *b);            // NULL is accepted

static inline struct gtv_str gtv_bytes_str(const struct gtv_bytes *b)
{
    return (struct gtv_str){(const char *)b->data, b->len};
}

#endif
