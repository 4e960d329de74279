#include "services/streaming/states.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct gtv_states {
    pthread_mutex_t lock; // guards the map
    struct gtv_map *map;
};

struct gtv_states *gtv_states_create(void)
{
    struct gtv_states *s = GTV_NEW(struct gtv_states);
    pthread_mutex_init(&s->lock, NULL);
    s->map = gtv_map_create();
    return s;
}

void gtv_states_destroy(struct gtv_states *s)
{
    if (!s)
        return;
    gtv_map_destroy(s->map, free);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

bool gtv_states_get(struct gtv_states *s, struct gtv_str name, struct gtv_path_state *out)
{
    pthread_mutex_lock(&s->lock);
    struct gtv_path_state *found = gtv_map_get(s->map, name);
    if (found)
        *out = *found;
    pthread_mutex_unlock(&s->lock);
    return found != NULL;
}

bool gtv_states_put(struct gtv_states *s, const struct gtv_path_state *state)
{
    struct gtv_str name = gtv_str_of(state->name);
    bool ok = true;
    pthread_mutex_lock(&s->lock);
    struct gtv_path_state *found = gtv_map_get(s->map, name);
    if (!found && gtv_map_count(s->map) < GTV_STATES_MAX) {
        found = GTV_NEW(struct gtv_path_state);
        (void)gtv_map_put(s->map, name, found);
    }
    if (found)
        *found = *state;
    else
        ok = false;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void gtv_states_remove(struct gtv_states *s, struct gtv_str name)
{
    pthread_mutex_lock(&s->lock);
    free(gtv_map_remove(s->map, name));
    pthread_mutex_unlock(&s->lock);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct gtv_path_state *)a)->name, ((const struct gtv_path_state *)b)->name);
}

struct gtv_path_state *gtv_states_all(struct gtv_states *s, size_t *n)
{
    struct gtv_path_state *all = NULL;
    *n = 0;
    pthread_mutex_lock(&s->lock);
    if (gtv_map_count(s->map)) {
        all = gtv_alloc(gtv_map_count(s->map) * sizeof *all);
        size_t it = 0;
        struct gtv_str key;
        void *value;
        while (gtv_map_next(s->map, &it, &key, &value))
            all[(*n)++] = *(struct gtv_path_state *)value;
    }
    pthread_mutex_unlock(&s->lock);
    if (all)
        qsort(all, *n, sizeof *all, by_name);
    return all;
}
