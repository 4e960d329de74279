// A bump allocator for everything that one request needs; freed at once. Not thread-safe.
#ifndef GTV_BASE_ARENA_H
#define GTV_BASE_ARENA_H

#include "lib/base/str.h"

struct gtv_arena_block;

// Zeroed is a valid empty arena.
struct gtv_arena {
    struct gtv_arena_block *head;
    char *at, *end;
};

void *gtv_arena_alloc(struct gtv_arena *a, size_t n); // 16-byte aligned, not zeroed; aborts without memory
char *gtv_arena_strndup(struct gtv_arena *a, struct gtv_str s);
char *gtv_arena_printf(struct gtv_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void gtv_arena_reset(struct gtv_arena *a);  // keeps the newest block for reuse
void gtv_arena_finish(struct gtv_arena *a); // frees all; the arena is then empty and valid

#endif
