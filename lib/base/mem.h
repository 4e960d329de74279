// Small allocations abort on failure; large ones (frames, segments, bodies) use plain malloc and are checked.
#ifndef GTV_BASE_MEM_H
#define GTV_BASE_MEM_H

#include "lib/base/str.h"

void *gtv_alloc(size_t n);            // zeroed
void *gtv_realloc(void *p, size_t n); // the new part is not zeroed
char *gtv_strdup(const char *s);      // NULL gives NULL
char *gtv_strndup(struct gtv_str s);
char *gtv_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define GTV_NEW(type) ((type *)gtv_alloc(sizeof(type)))

#endif
