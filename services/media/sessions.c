#include "services/media/sessions.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct list {
    struct gtv_session *first, **end;
    struct gtv_map *by_id;
};

struct gtv_sessions {
    struct list lists[GTV_SESSION_KINDS];
};

const char *gtv_uuid_make(char out[GTV_UUID_CAP])
{
    uint8_t r[16];
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r) {
        abort(); // the kernel has random bytes from its start on
    }
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    snprintf(out, GTV_UUID_CAP, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0],
             r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
    return out;
}

struct gtv_sessions *gtv_sessions_create(void)
{
    struct gtv_sessions *r = GTV_NEW(struct gtv_sessions);
    for (size_t i = 0; i < GTV_SESSION_KINDS; i++) {
        r->lists[i].end = &r->lists[i].first;
        r->lists[i].by_id = gtv_map_create();
    }
    return r;
}

void gtv_sessions_destroy(struct gtv_sessions *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < GTV_SESSION_KINDS; i++) {
        while (r->lists[i].first != NULL) {
            gtv_sessions_remove(r->lists[i].first);
        }
        gtv_map_destroy(r->lists[i].by_id, NULL);
    }
    free(r);
}

void gtv_sessions_add(struct gtv_sessions *r, struct gtv_session *s)
{
    assert(s->registry == NULL);
    struct list *l = &r->lists[s->kind];
    gtv_uuid_make(s->id);
    s->created_ms = gtv_wall_ms();
    s->registry = r;
    s->next = NULL;
    s->prev = l->end;
    *l->end = s;
    l->end = &s->next;
    gtv_map_put(l->by_id, gtv_str_of(s->id), s);
}

void gtv_sessions_remove(struct gtv_session *s)
{
    if (s->registry == NULL) {
        return;
    }
    struct list *l = &s->registry->lists[s->kind];
    gtv_map_remove(l->by_id, gtv_str_of(s->id));
    *s->prev = s->next;
    if (s->next != NULL) {
        s->next->prev = s->prev;
    } else {
        l->end = s->prev;
    }
    s->registry = NULL;
    s->next = NULL;
    s->prev = NULL;
}

size_t gtv_sessions_count(const struct gtv_sessions *r, enum gtv_session_kind kind)
{
    return gtv_map_count(r->lists[kind].by_id);
}

struct gtv_session *gtv_sessions_next(const struct gtv_sessions *r, enum gtv_session_kind kind,
                                      const struct gtv_session *after)
{
    return after == NULL ? r->lists[kind].first : after->next;
}

struct gtv_session *gtv_sessions_find(const struct gtv_sessions *r, enum gtv_session_kind kind,
                                      struct gtv_str id)
{
    return gtv_map_get(r->lists[kind].by_id, id);
}
