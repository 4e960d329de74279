#include "services/media/gop.h"

#include "lib/base/mem.h"

#include <stdlib.h>

void gtv_gop_clear(struct gtv_gop *g)
{
    for (size_t i = 0; i < g->count; i++) {
        gtv_bytes_unref(g->units[i].ts);
    }
    g->count = g->bytes = 0;
}

void gtv_gop_finish(struct gtv_gop *g)
{
    gtv_gop_clear(g);
    free(g->units);
    g->units = NULL;
    g->cap = 0;
}

void gtv_gop_push(struct gtv_gop *g, const struct gtv_unit *unit)
{
    if (unit->key) {
        gtv_gop_clear(g);
    } else if (g->count == 0) {
        return; // nobody can start in the middle
    }
    if (g->bytes + unit->ts->len > g->max_bytes) {
        gtv_gop_clear(g);
        return;
    }
    if (g->count == g->cap) {
        g->cap = g->cap == 0 ? 64 : g->cap * 2;
        g->units = gtv_realloc(g->units, g->cap * sizeof *g->units);
    }
    g->units[g->count] = *unit;
    gtv_bytes_ref(unit->ts);
    g->count++;
    g->bytes += unit->ts->len;
}
