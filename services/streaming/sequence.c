#include "services/streaming/sequence.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/streaming/sequence_text.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NAMELESS_BACK = 3, // so far back means a new count where names tell no generation
};

struct generation {
    char name[GTV_SEQUENCE_NAME_CAP];
    struct gtv_sequence_offsets offsets;
    int64_t first; // the node's number of the first segment that was seen of it
    int64_t end;   // of what was published of it
};

struct rendition {
    char file[GTV_SEQUENCE_NAME_CAP];
    struct gtv_bytes *last; // what was published last, a reference
    int64_t last_end;
    struct gtv_sequence_tail *tail; // NULL: none, or not any more
};

struct stream {
    struct generation now, before;
    uint64_t seams;
    int64_t next, discontinuity;  // the first number that is free; the highest published
    int64_t seen_first, seen_end; // the node's, of the newest list
    int64_t used_ms;
    bool changed, alone;
    struct rendition renditions[GTV_SEQUENCE_RENDITIONS];
};

struct gtv_sequences {
    pthread_mutex_t lock; // guards what follows
    struct gtv_map *streams;
};

struct gtv_sequences *gtv_sequences_create(void)
{
    struct gtv_sequences *s = GTV_NEW(struct gtv_sequences);
    pthread_mutex_init(&s->lock, NULL);
    s->streams = gtv_map_create();
    return s;
}

static void free_stream(void *value)
{
    struct stream *st = value;
    for (size_t i = 0; i < GTV_SEQUENCE_RENDITIONS; i++) {
        gtv_bytes_unref(st->renditions[i].last);
        gtv_sequence_tail_destroy(st->renditions[i].tail);
    }
    free(st);
}

void gtv_sequences_destroy(struct gtv_sequences *s)
{
    if (!s)
        return;
    gtv_map_destroy(s->streams, free_stream);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

// ---- all below with the lock held, but for what the header declares ----

static void forget_idle(struct gtv_sequences *s, int64_t now_ms)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(s->streams, &it, &key, &value))
        if (now_ms - ((struct stream *)value)->used_ms >= GTV_SEQUENCE_KEEP_MS)
            free_stream(gtv_map_remove(s->streams, key));
}

static struct rendition *rendition_of(struct stream *st, struct gtv_str file)
{
    for (size_t i = 0; i < GTV_SEQUENCE_RENDITIONS; i++) {
        struct rendition *r = &st->renditions[i];
        if (!r->file[0] && !gtv_str_copy(r->file, sizeof r->file, file))
            return NULL;
        if (gtv_str_eq(gtv_str_of(r->file), file))
            return r;
    }
    return NULL;
}

// A list that was under way when a newer one was read.
static bool is_late(const struct generation *before, const struct gtv_sequence_list *list)
{
    return before->name[0] && strcmp(before->name, list->generation) == 0 &&
           list->first + list->segments + before->offsets.sequence <= before->end;
}

static bool begins(const struct stream *st, const struct gtv_sequence_list *list)
{
    if (strcmp(st->now.name, list->generation) != 0)
        return true;
    return !gtv_sequence_named(list) && list->first + list->segments + NAMELESS_BACK <= st->seen_end;
}

static void fill_seam(const struct stream *st, const struct gtv_sequence_list *list,
                      struct gtv_sequence_seam *seam)
{
    *seam = (struct gtv_sequence_seam){.first = list->first,
                                       .discontinuity = list->discontinuity,
                                       .next = st ? st->next : -1,
                                       .next_discontinuity = st ? st->discontinuity + 1 : -1};
    memcpy(seam->generation, list->generation, sizeof seam->generation);
}

// What was published, for the next seam.
static void remember(struct stream *st, struct rendition *r, const struct gtv_sequence_list *list,
                     const struct gtv_sequence_offsets *offsets, struct gtv_bytes *published)
{
    int64_t end = list->first + list->segments + offsets->sequence;
    // A segment of which parts were published has its number.
    int64_t next = end + (list->partial_s > 0);
    int64_t disc = list->discontinuity + list->tags + offsets->discontinuity;
    if (next > st->next || disc > st->discontinuity)
        st->changed = true;
    st->next = next > st->next ? next : st->next;
    st->discontinuity = disc > st->discontinuity ? disc : st->discontinuity;
    st->now.end = end > st->now.end ? end : st->now.end;
    if (list->first + list->segments >= st->seen_end) {
        st->seen_first = list->first;
        st->seen_end = list->first + list->segments;
    }
    // A list with skipped segments does not hold its own end whole.
    if (!r || list->skips || end < r->last_end || published->len > GTV_SEQUENCE_TEXT_MAX)
        return;
    gtv_bytes_unref(r->last);
    r->last = gtv_bytes_ref(published);
    r->last_end = end;
}

// The first of the tail's blocks that are still shown before this list; count: none.
static size_t tail_from(struct rendition *r, const struct gtv_sequence_list *list, int64_t first)
{
    if (!r || !r->tail)
        return 0;
    const struct gtv_sequence_tail *t = r->tail;
    int64_t room = (int64_t)t->window - list->segments;
    if (list->skips || t->end != first || room <= 0) {
        gtv_sequence_tail_destroy(r->tail);
        r->tail = NULL;
        return 0;
    }
    return room >= (int64_t)t->count ? 0 : t->count - (size_t)room;
}

static enum gtv_sequence_result publish(struct stream *st, struct rendition *r,
                                        const struct gtv_sequence_list *list,
                                        const struct gtv_sequence_offsets *offsets, struct gtv_bytes *text,
                                        struct gtv_bytes **out)
{
    int64_t first = list->first + offsets->sequence, disc = list->discontinuity + offsets->discontinuity;
    bool late = offsets != &st->now.offsets;
    size_t from = late ? 0 : tail_from(r, list, first);
    const struct gtv_sequence_tail *tail = !late && r ? r->tail : NULL;
    struct gtv_bytes *made = NULL;
    if (offsets->sequence || offsets->discontinuity || tail)
        made = gtv_sequence_render(gtv_bytes_str(text), list, first, disc, tail, from);
    if (!late)
        remember(st, r, list, offsets, made ? made : text);
    *out = made;
    return made ? GTV_SEQUENCE_MADE : GTV_SEQUENCE_SAME;
}

enum gtv_sequence_result gtv_sequence_apply(struct gtv_sequences *s, struct gtv_str stream,
                                            struct gtv_str file, struct gtv_bytes *text, int64_t now_ms,
                                            struct gtv_bytes **out, struct gtv_sequence_seam *seam)
{
    struct gtv_sequence_list list;
    enum gtv_sequence_result result = GTV_SEQUENCE_SAME;
    *out = NULL;
    if (!gtv_sequence_read(gtv_bytes_str(text), &list))
        return result;
    pthread_mutex_lock(&s->lock);
    struct stream *st = gtv_map_get(s->streams, stream);
    if (st)
        st->used_ms = now_ms;
    if (st && is_late(&st->before, &list) && strcmp(st->now.name, list.generation) != 0) {
        result = publish(st, NULL, &list, &st->before.offsets, text, out);
    } else if (!st || begins(st, &list)) {
        fill_seam(st, &list, seam);
        if (!st && gtv_map_count(s->streams) >= GTV_SEQUENCE_STREAMS)
            forget_idle(s, now_ms);
        if (st || gtv_map_count(s->streams) < GTV_SEQUENCE_STREAMS)
            result = GTV_SEQUENCE_DECIDE;
    } else {
        result = publish(st, rendition_of(st, file), &list, &st->now.offsets, text, out);
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

// The end of the old lists goes before the new ones.
static void make_tails(struct stream *st, struct gtv_str stream, int64_t first, int64_t discontinuity,
                       gtv_sequence_cached_fn cached, void *arg)
{
    for (size_t i = 0; i < GTV_SEQUENCE_RENDITIONS; i++) {
        struct rendition *r = &st->renditions[i];
        gtv_sequence_tail_destroy(r->tail);
        r->tail = r->last ? gtv_sequence_tail_create(gtv_bytes_str(r->last), stream, cached, arg) : NULL;
        // Where the numbers left a hole, or a seam that nobody saw lies between, the two do not join.
        if (r->tail &&
            (r->tail->end != first || r->tail->blocks[r->tail->count - 1].disc + 1 != discontinuity)) {
            gtv_sequence_tail_destroy(r->tail);
            r->tail = NULL;
        }
        gtv_bytes_unref(r->last);
        r->last = NULL;
        r->last_end = 0;
    }
}

void gtv_sequence_decide(struct gtv_sequences *s, struct gtv_str stream, const struct gtv_sequence_seam *seam,
                         const struct gtv_sequence_offsets *given, gtv_sequence_cached_fn cached, void *arg,
                         int64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    struct stream *st = gtv_map_get(s->streams, stream);
    bool named = seam->generation[0] != '\0';
    bool decided = st && strcmp(st->now.name, seam->generation) == 0 && (named || st->seen_end == 0);
    if (decided || (!st && gtv_map_count(s->streams) >= GTV_SEQUENCE_STREAMS)) {
        pthread_mutex_unlock(&s->lock);
        return;
    }
    struct gtv_sequence_offsets offsets = {0, 0};
    if (given)
        offsets = *given;
    else if (st) // what was published meanwhile counts too
        offsets = (struct gtv_sequence_offsets){st->next - seam->first,
                                                st->discontinuity + 1 - seam->discontinuity};
    if (!st) {
        st = GTV_NEW(struct stream);
        gtv_map_put(s->streams, stream, st);
    } else {
        make_tails(st, stream, seam->first + offsets.sequence, seam->discontinuity + offsets.discontinuity,
                   cached, arg);
        st->before = st->now;
    }
    st->now = (struct generation){.offsets = offsets, .first = seam->first};
    memcpy(st->now.name, seam->generation, sizeof st->now.name);
    st->seen_first = st->seen_end = 0;
    st->seams++;
    st->used_ms = now_ms;
    st->alone = !given && named;
    st->changed = true;
    pthread_mutex_unlock(&s->lock);
}

uint64_t gtv_sequence_seams(struct gtv_sequences *s, struct gtv_str stream)
{
    pthread_mutex_lock(&s->lock);
    const struct stream *st = gtv_map_get(s->streams, stream);
    uint64_t seams = st ? st->seams : 0;
    pthread_mutex_unlock(&s->lock);
    return seams;
}

void gtv_sequence_query(struct gtv_sequences *s, struct gtv_str stream, struct gtv_str query,
                        char out[GTV_SEQUENCE_QUERY_CAP])
{
    struct gtv_str part = {NULL, 0}, skip = {NULL, 0};
    int64_t msn = -1;
    out[0] = '\0';
    while (query.n) {
        struct gtv_str value = gtv_str_cut(&query, '&'), name = gtv_str_cut(&value, '=');
        if (gtv_str_eq(name, GTV_STR("_HLS_msn"))) {
            if (!gtv_parse_int(value, 0, INT64_MAX / 2, &msn))
                return;
        } else if (gtv_str_eq(name, GTV_STR("_HLS_part"))) {
            part = value;
        } else if (gtv_str_eq(name, GTV_STR("_HLS_skip"))) {
            skip = value;
        }
    }
    bool past = false;
    pthread_mutex_lock(&s->lock);
    struct stream *st = gtv_map_get(s->streams, stream);
    for (size_t i = 0; st && i < GTV_SEQUENCE_RENDITIONS; i++)
        if (st->renditions[i].tail)
            skip.n = 0; // its numbers are not the node's
    if (st && msn >= 0) {
        msn -= st->now.offsets.sequence;
        past = msn < st->now.first;
    }
    pthread_mutex_unlock(&s->lock);
    if (past)
        return; // of a generation before this one: it is there already, or never will be
    size_t n = 0;
    if (msn >= 0)
        n += (size_t)snprintf(out, GTV_SEQUENCE_QUERY_CAP, "_HLS_msn=%" PRId64, msn);
    if (msn >= 0 && part.n && part.n <= 15)
        n += (size_t)snprintf(out + n, GTV_SEQUENCE_QUERY_CAP - n, "&_HLS_part=" GTV_STR_FMT,
                              GTV_STR_ARG(part));
    if (skip.n && skip.n <= 3)
        snprintf(out + n, GTV_SEQUENCE_QUERY_CAP - n, "%s_HLS_skip=" GTV_STR_FMT, n ? "&" : "",
                 GTV_STR_ARG(skip));
}

void gtv_sequence_each_changed(struct gtv_sequences *s, int64_t now_ms,
                               void (*fn)(void *arg, struct gtv_str stream,
                                          const struct gtv_sequence_state *state),
                               void *arg)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&s->lock);
    forget_idle(s, now_ms);
    while (gtv_map_next(s->streams, &it, &key, &value)) {
        struct stream *st = value;
        if (!st->changed || !st->now.name[0])
            continue;
        st->changed = false;
        struct gtv_sequence_state state = {.offsets = st->now.offsets,
                                           .next = st->next,
                                           .discontinuity = st->discontinuity,
                                           .alone = st->alone};
        memcpy(state.generation, st->now.name, sizeof state.generation);
        st->alone = false;
        fn(arg, key, &state);
    }
    pthread_mutex_unlock(&s->lock);
}
