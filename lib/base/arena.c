#include "lib/base/arena.h"

#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ALIGN = 16, BLOCK_SIZE = 4096 };

struct gtv_arena_block {
    _Alignas(16) struct gtv_arena_block *next;
    size_t size; // of what follows the header
};

static char *block_start(struct gtv_arena_block *block)
{
    return (char *)(block + 1);
}

static void grow(struct gtv_arena *a, size_t n)
{
    size_t size =
        n > BLOCK_SIZE - sizeof(struct gtv_arena_block) ? n : BLOCK_SIZE - sizeof(struct gtv_arena_block);
    struct gtv_arena_block *block = NULL;
    if (size <= SIZE_MAX - sizeof(*block))
        block = malloc(sizeof(*block) + size);
    if (!block) {
        fputs("out of memory\n", stderr);
        abort();
    }
    block->size = size;
    block->next = a->head;
    a->head = block;
    a->at = block_start(block);
    a->end = a->at + size;
}

void *gtv_arena_alloc(struct gtv_arena *a, size_t n)
{
    size_t rounded = n > SIZE_MAX - ALIGN ? SIZE_MAX : (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (rounded == 0)
        rounded = ALIGN;
    if (!a->head || rounded > (size_t)(a->end - a->at))
        grow(a, rounded);
    void *p = a->at;
    // A block whose size is no multiple of 16 ends in a piece that stays unused.
    a->at += rounded;
    return p;
}

char *gtv_arena_strndup(struct gtv_arena *a, struct gtv_str s)
{
    char *copy = gtv_arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

char *gtv_arena_printf(struct gtv_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    size_t size = n < 0 ? 1 : (size_t)n + 1;
    char *text = gtv_arena_alloc(a, size);
    text[0] = '\0';
    va_start(ap, fmt);
    vsnprintf(text, size, fmt, ap);
    va_end(ap);
    return text;
}

static void free_from(struct gtv_arena_block *block)
{
    while (block) {
        struct gtv_arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void gtv_arena_reset(struct gtv_arena *a)
{
    if (!a->head)
        return;
    free_from(a->head->next);
    a->head->next = NULL;
    a->at = block_start(a->head);
    a->end = a->at + a->head->size;
}

void gtv_arena_finish(struct gtv_arena *a)
{
    if (!a)
        return;
    free_from(a->head);
    *a = (struct gtv_arena){0};
}
