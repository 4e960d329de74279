// A ring of references. Only clients that read slowly have one.
#include "services/streaming/message.h"

#include "lib/base/mem.h"

#include <stdlib.h>

struct gtv_backlog {
    struct gtv_message *ring[GTV_BACKLOG_COUNT];
    size_t first, count, bytes;
};

struct gtv_backlog *gtv_backlog_create(void)
{
    return GTV_NEW(struct gtv_backlog);
}

static struct gtv_message **at(struct gtv_backlog *b, size_t i)
{
    return &b->ring[(b->first + i) % GTV_BACKLOG_COUNT];
}

struct gtv_message *gtv_backlog_pop(struct gtv_backlog *b)
{
    if (b->count == 0)
        return NULL;
    struct gtv_message *m = *at(b, 0);
    b->first = (b->first + 1) % GTV_BACKLOG_COUNT;
    b->count--;
    b->bytes -= m->ws->len;
    return m;
}

// Takes out one in the middle: those before it move up.
static void remove_at(struct gtv_backlog *b, size_t i)
{
    struct gtv_message *gone = *at(b, i);
    for (; i > 0; i--)
        *at(b, i) = *at(b, i - 1);
    *at(b, 0) = gone;
    gtv_message_unref(gtv_backlog_pop(b));
}

static void drop_one(struct gtv_backlog *b)
{
    size_t i = 0;
    while (i < b->count && (*at(b, i))->coalesces)
        i++;
    remove_at(b, i < b->count ? i : 0);
}

size_t gtv_backlog_push(struct gtv_backlog *b, struct gtv_message *m)
{
    size_t dropped = 0;
    if (m->ws->len > GTV_BACKLOG_BYTES)
        return 1;
    for (size_t i = 0; m->coalesces && i < b->count; i++) {
        const struct gtv_message *old = *at(b, i);
        if (strcmp(old->type, m->type) == 0 && strcmp(old->stream, m->stream) == 0) {
            remove_at(b, i);
            break;
        }
    }
    while (b->count && (b->count == GTV_BACKLOG_COUNT || b->bytes + m->ws->len > GTV_BACKLOG_BYTES)) {
        drop_one(b);
        dropped++;
    }
    *at(b, b->count++) = gtv_message_ref(m);
    b->bytes += m->ws->len;
    return dropped;
}

size_t gtv_backlog_count(const struct gtv_backlog *b)
{
    return b->count;
}

void gtv_backlog_destroy(struct gtv_backlog *b)
{
    if (!b)
        return;
    while (b->count)
        gtv_message_unref(gtv_backlog_pop(b));
    free(b);
}
