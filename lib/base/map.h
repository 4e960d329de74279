// String-keyed hash map (open addressing, seeded SipHash-like hash against flooding). Not thread-safe.
#ifndef GTV_BASE_MAP_H
#define GTV_BASE_MAP_H

#include "lib/base/str.h"

struct gtv_map;

struct gtv_map *gtv_map_create(void);
void gtv_map_destroy(struct gtv_map *m, void (*free_value)(void *)); // free_value may be NULL
void *gtv_map_get(const struct gtv_map *m, struct gtv_str key);      // NULL when absent
void *gtv_map_put(struct gtv_map *m, struct gtv_str key,
                  void *value); // copies key; returns the value replaced, or NULL
void *gtv_map_remove(struct gtv_map *m, struct gtv_str key); // returns the removed value, or NULL
size_t gtv_map_count(const struct gtv_map *m);
// Walks all entries: start with *it = 0; false at the end. Removing the entry just returned is allowed.
bool gtv_map_next(const struct gtv_map *m, size_t *it, struct gtv_str *key, void **value);

#endif
