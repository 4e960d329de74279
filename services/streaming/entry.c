#include "lib/base/mem.h"
#include "services/streaming/cache.h"
#include "services/streaming/playback.h"

#include <stdlib.h>

struct gtv_entry *gtv_entry_create(struct gtv_str key, size_t stream_len, bool is_playlist)
{
    struct gtv_entry *e = GTV_NEW(struct gtv_entry);
    atomic_init(&e->refs, 1);
    atomic_init(&e->state, GTV_ENTRY_FILLING);
    e->key = gtv_strndup(key);
    e->stream_len = stream_len;
    e->is_playlist = is_playlist;
    e->content_length = -1;
    e->status = 200;
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

void gtv_entry_ref(struct gtv_entry *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
}

void gtv_entry_drop_pieces(struct gtv_entry *e)
{
    struct gtv_piece *p = atomic_exchange(&e->pieces, NULL);
    e->last_piece = NULL;
    while (p) {
        struct gtv_piece *next = atomic_load_explicit(&p->next, memory_order_relaxed);
        gtv_bytes_unref(p->bytes);
        free(p);
        p = next;
    }
}

void gtv_entry_unref(struct gtv_entry *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    gtv_entry_drop_pieces(e);
    gtv_bytes_unref(e->body);
    gtv_entry_unref(e->stale); // which has none itself
    free(e->asked.fields);
    free(e->vary);
    free(e->head.fields);
    free(e->whole.fields);
    gtv_cuts_destroy(atomic_load(&e->cuts));
    pthread_mutex_destroy(&e->lock);
    free(e->key);
    free(e);
}

void gtv_entry_append(struct gtv_entry *e, struct gtv_bytes *bytes)
{
    struct gtv_piece *p = GTV_NEW(struct gtv_piece);
    p->bytes = bytes;
    if (e->last_piece)
        atomic_store_explicit(&e->last_piece->next, p, memory_order_release);
    else
        atomic_store_explicit(&e->pieces, p, memory_order_release);
    e->last_piece = p;
}

void gtv_entry_head_set(struct gtv_entry_head *h, const struct gtv_http_header *fields, size_t n)
{
    size_t bytes = n * sizeof *fields;
    for (size_t i = 0; i < n; i++)
        bytes += fields[i].name.n + fields[i].value.n;
    h->fields = gtv_alloc(bytes ? bytes : 1);
    h->n = n;
    h->bytes = bytes;
    char *at = (char *)(h->fields + n);
    for (size_t i = 0; i < n; i++) {
        const struct gtv_http_header *f = &fields[i];
        h->fields[i] = (struct gtv_http_header){{at, f->name.n}, {at + f->name.n, f->value.n}};
        memcpy(at, f->name.p, f->name.n);
        if (f->value.n)
            memcpy(at + f->name.n, f->value.p, f->value.n);
        at += f->name.n + f->value.n;
    }
}
