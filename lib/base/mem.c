#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *checked(void *p)
{
    if (!p) {
        // No formatting and no logging here: both may allocate.
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

void *gtv_alloc(size_t n)
{
    return checked(calloc(1, n ? n : 1));
}

void *gtv_realloc(void *p, size_t n)
{
    return checked(realloc(p, n ? n : 1));
}

char *gtv_strdup(const char *s)
{
    return s ? gtv_strndup(gtv_str_of(s)) : NULL;
}

char *gtv_strndup(struct gtv_str s)
{
    char *copy = checked(malloc(s.n + 1));
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

char *gtv_asprintf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return checked(n < 0 ? NULL : text);
}
