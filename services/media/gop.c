#include "services/media/gop.h"

#include "lib/base/mem.h"

#include <stdlib.h>

enum { CAP_FIRST = 8 };

static void drop_behind(struct gtv_gop *g, size_t kept)
{
    for (size_t i = kept; i < g->count; i++) {
        g->bytes -= g->samples[i].data->len;
        gtv_bytes_unref(g->samples[i].data);
    }
    g->count = g->count < kept ? g->count : kept;
}

void gtv_gop_clear(struct gtv_gop *g)
{
    drop_behind(g, 0);
    g->key_only = false;
}

void gtv_gop_finish(struct gtv_gop *g)
{
    gtv_gop_clear(g);
    free(g->samples);
    g->samples = NULL;
    g->cap = 0;
}

void gtv_gop_push(struct gtv_gop *g, const struct gtv_sample *sample, bool sparing)
{
    if (sample->key) {
        gtv_gop_clear(g);
    } else if (g->count == 0 || g->key_only) {
        return; // nobody can start in the middle
    }
    if (!sample->key && (sparing || g->bytes + sample->data->len > g->max_bytes)) {
        drop_behind(g, 1);
        g->key_only = true;
        return;
    }
    if (g->count == g->cap) {
        g->cap = g->cap == 0 ? CAP_FIRST : g->cap * 2;
        g->samples = gtv_realloc(g->samples, g->cap * sizeof *g->samples);
    }
    g->samples[g->count++] = *sample;
    gtv_bytes_ref(sample->data);
    g->bytes += sample->data->len;
}
