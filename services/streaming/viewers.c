#include "services/streaming/viewers_internal.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { UNCLAIMED_AGAIN_MS = 1000 };

struct shard *viewers_shard(struct gtv_viewers *v, struct gtv_str stream)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < stream.n; i++)
        h = (h ^ (uint8_t)stream.p[i]) * 16777619u;
    return &v->shards[(h ^ h >> 16) % VIEWER_SHARDS];
}

void gtv_viewers_set_max(struct gtv_viewers *v, size_t max_per_stream)
{
    atomic_store_explicit(&v->max_per_stream,
                          max_per_stream < GTV_VIEWERS_PER_STREAM ? max_per_stream : GTV_VIEWERS_PER_STREAM,
                          memory_order_relaxed);
}

struct gtv_viewers *gtv_viewers_create(size_t max_per_stream, bool signed_only, struct gtv_sessions *sessions)
{
    struct gtv_viewers *v = GTV_NEW(struct gtv_viewers);
    gtv_viewers_set_max(v, max_per_stream);
    v->signed_only = signed_only;
    v->sessions = sessions;
    for (size_t i = 0; i < VIEWER_SHARDS; i++) {
        pthread_mutex_init(&v->shards[i].lock, NULL);
        v->shards[i].streams = gtv_map_create();
    }
    return v;
}

void viewers_stream_free(void *p)
{
    struct stream *s = p;
    gtv_map_destroy(s->viewers, free);
    gtv_map_destroy(s->clients, NULL);
    if (s->remote)
        gtv_map_destroy(s->remote, free);
    free(s);
}

void gtv_viewers_destroy(struct gtv_viewers *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < VIEWER_SHARDS; i++) {
        gtv_map_destroy(v->shards[i].streams, viewers_stream_free);
        pthread_mutex_destroy(&v->shards[i].lock);
    }
    free(v);
}

bool viewers_alive(const struct stream *s, const struct gtv_viewer *viewer, int64_t now_ms)
{
    unsigned target = s->target_ms ? s->target_ms : TARGET_DEFAULT_MS;
    return now_ms - viewer->last_ms <= (int64_t)target * ALIVE_TARGETS;
}

size_t viewers_count(const struct stream *s)
{
    return gtv_map_count(s->viewers) + s->remote_only;
}

static struct gtv_str client_key(struct gtv_str address, struct gtv_str agent, char out[CLIENT_KEY_CAP])
{
    size_t a = address.n < GTV_VIEWER_ADDRESS_CAP - 1 ? address.n : GTV_VIEWER_ADDRESS_CAP - 1;
    size_t u = agent.n < GTV_VIEWER_AGENT_MAX ? agent.n : GTV_VIEWER_AGENT_MAX;
    memcpy(out, address.p ? address.p : "", a);
    out[a] = '\n';
    memcpy(out + a + 1, agent.p ? agent.p : "", u);
    return (struct gtv_str){out, a + 1 + u};
}

static void unlink_client(struct stream *s, const struct watching *w)
{
    char text[CLIENT_KEY_CAP];
    struct gtv_str key = client_key(gtv_str_of(w->v.address), gtv_str_of(w->v.agent), text);
    if (gtv_map_get(s->clients, key) == w)
        gtv_map_remove(s->clients, key);
}

// key is the map's own copy, or the token.
static void drop(struct stream *s, struct watching *w, struct gtv_str key)
{
    unlink_client(s, w);
    gtv_map_remove(s->viewers, key);
    free(w);
}

void viewers_forget_gone(struct stream *s, int64_t now_ms)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(s->viewers, &it, &key, &value)) {
        struct watching *w = value;
        if (!viewers_alive(s, &w->v, now_ms))
            drop(s, w, key);
    }
}

struct stream *viewers_stream(struct gtv_viewers *v, struct shard *sh, struct gtv_str name)
{
    struct stream *s = gtv_map_get(sh->streams, name);
    if (s)
        return s;
    if (atomic_fetch_add(&v->stream_count, 1) >= GTV_VIEWED_STREAMS) {
        atomic_fetch_sub(&v->stream_count, 1);
        return NULL;
    }
    s = GTV_NEW(struct stream);
    s->viewers = gtv_map_create();
    s->clients = gtv_map_create();
    (void)gtv_map_put(sh->streams, name, s);
    return s;
}

// ---- who was ended ----

static struct gtv_str kicked_session(struct gtv_str stream, const char *id, char out[GTV_KICKED_CAP])
{
    int n = snprintf(out, GTV_KICKED_CAP, "s:" GTV_STR_FMT "\n%s", GTV_STR_ARG(stream), id);
    return (struct gtv_str){out, n < GTV_KICKED_CAP ? (size_t)n : GTV_KICKED_CAP - 1};
}

static struct gtv_str kicked_client(struct gtv_str stream, struct gtv_str key, char out[GTV_KICKED_CAP])
{
    int n = snprintf(out, GTV_KICKED_CAP, "c:" GTV_STR_FMT "\n" GTV_STR_FMT, GTV_STR_ARG(stream),
                     GTV_STR_ARG(key));
    return (struct gtv_str){out, n < GTV_KICKED_CAP ? (size_t)n : GTV_KICKED_CAP - 1};
}

static struct gtv_str kicked_grant(const char *id, char out[GTV_KICKED_CAP])
{
    int n = snprintf(out, GTV_KICKED_CAP, "g:%s", id);
    return (struct gtv_str){out, (size_t)n};
}

static bool is_kicked(struct gtv_viewers *v, const struct gtv_viewer_request *r, bool named,
                      struct gtv_str client)
{
    char name[GTV_KICKED_CAP], id[GTV_SESSION_ID_CAP];
    int64_t wall_ms = gtv_wall_ms();
    if (r->grant.n) {
        gtv_session_id(r->grant, id);
        if (gtv_sessions_kicked(v->sessions, kicked_grant(id, name), wall_ms))
            return true;
    }
    if (!named)
        return gtv_sessions_kicked(v->sessions, kicked_client(r->stream, client, name), wall_ms);
    gtv_session_id(r->session, id);
    return gtv_sessions_kicked(v->sessions, kicked_session(r->stream, id, name), wall_ms);
}

// Its session, its client for a while, and the URL that let it in.
static void kick(struct gtv_viewers *v, struct gtv_str stream, struct stream *s, struct watching *w,
                 int64_t wall_ms)
{
    char name[GTV_KICKED_CAP], text[CLIENT_KEY_CAP];
    int64_t until_ms = wall_ms + (int64_t)GTV_SESSION_LIFE_S * 1000;
    struct gtv_str client = client_key(gtv_str_of(w->v.address), gtv_str_of(w->v.agent), text);
    gtv_sessions_kick(v->sessions, kicked_session(stream, w->v.id, name), until_ms);
    gtv_sessions_kick(v->sessions, kicked_client(stream, client, name), wall_ms + GTV_KICK_CLIENT_MS);
    if (w->grant[0]) // no URL lives longer
        gtv_sessions_kick(v->sessions, kicked_grant(w->grant, name),
                          wall_ms + (int64_t)GTV_GRANT_TTL_MAX_S * 1000);
    drop(s, w, gtv_str_of(w->token));
}

bool gtv_viewers_kick(struct gtv_viewers *v, struct gtv_str stream, struct gtv_str id, int64_t now_ms,
                      int64_t wall_ms)
{
    struct shard *sh = viewers_shard(v, stream);
    bool found = false;
    size_t it = 0;
    struct gtv_str key;
    void *value;
    char name[GTV_KICKED_CAP];
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    if (s)
        viewers_forget_gone(s, now_ms);
    while (s && !found && gtv_map_next(s->viewers, &it, &key, &value)) {
        struct watching *w = value;
        found = gtv_str_eq(gtv_str_of(w->v.id), id);
        if (found)
            kick(v, stream, s, w, wall_ms);
    }
    const struct remote *elsewhere = s && s->remote ? gtv_map_get(s->remote, id) : NULL;
    if (elsewhere && !found) {
        gtv_sessions_kick(v->sessions, kicked_session(stream, elsewhere->v.id, name),
                          wall_ms + (int64_t)GTV_SESSION_LIFE_S * 1000);
        found = true;
    }
    pthread_mutex_unlock(&sh->lock);
    return found;
}

struct names {
    char (*list)[GTV_KICKED_CAP];
    size_t n;
};

static void copy_name(void *arg, struct gtv_str name, int64_t until_ms)
{
    struct names *names = arg;
    if (names->n < GTV_KICKED_MAX && gtv_str_starts(name, GTV_STR("s:")) &&
        gtv_str_copy(names->list[names->n], GTV_KICKED_CAP, name))
        names->n++;
}

static void end_named(struct gtv_viewers *v, const char *name, int64_t wall_ms)
{
    struct gtv_str id = {name + 2, strlen(name + 2)};
    struct gtv_str stream = gtv_str_cut(&id, '\n');
    struct shard *sh = viewers_shard(v, stream);
    size_t it = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    while (s && gtv_map_next(s->viewers, &it, &key, &value)) {
        struct watching *w = value;
        if (gtv_str_eq(gtv_str_of(w->v.id), id))
            kick(v, stream, s, w, wall_ms);
    }
    pthread_mutex_unlock(&sh->lock);
}

void gtv_viewers_apply_kicks(struct gtv_viewers *v, int64_t wall_ms)
{
    struct names names = {0};
    if (!gtv_sessions_any_kicked(v->sessions))
        return;
    names.list = gtv_alloc(sizeof *names.list * GTV_KICKED_MAX);
    gtv_sessions_each_kicked(v->sessions, wall_ms, copy_name, &names);
    for (size_t i = 0; i < names.n; i++)
        end_named(v, names.list[i], wall_ms);
    free(names.list);
}

// ---- requests ----

static struct remote *remote_of(struct stream *s, const char *id)
{
    return s->remote ? gtv_map_get(s->remote, gtv_str_of(id)) : NULL;
}

// NULL when the stream is full. token: the session's, or empty to make one.
static struct watching *begin(struct gtv_viewers *v, struct stream *s, const struct gtv_viewer_request *r,
                              struct gtv_str token)
{
    char id[GTV_SESSION_ID_CAP] = "", made[GTV_SESSION_TEXT_MAX + 1];
    if (token.n)
        gtv_session_id(token, id);
    // Who watches through another replica has a place already.
    struct remote *elsewhere = token.n ? remote_of(s, id) : NULL;
    if (!elsewhere) {
        if (viewers_count(s) >= atomic_load_explicit(&v->max_per_stream, memory_order_relaxed))
            viewers_forget_gone(s, r->now_ms);
        if (viewers_count(s) >= atomic_load_explicit(&v->max_per_stream, memory_order_relaxed))
            return NULL;
    } else if (!elsewhere->shared) {
        elsewhere->shared = true;
        s->remote_only--;
    }
    if (token.n == 0) {
        gtv_session_mint(v->sessions, r->stream, gtv_wall_ms() / 1000, made);
        token = gtv_str_of(made);
        gtv_session_id(token, id);
    }
    struct watching *w = GTV_NEW(struct watching);
    memcpy(w->token, token.p, token.n);
    memcpy(w->v.id, id, sizeof id);
    snprintf(w->v.address, sizeof w->v.address, GTV_STR_FMT, GTV_STR_ARG(r->address));
    snprintf(w->v.agent, sizeof w->v.agent, GTV_STR_FMT, GTV_STR_ARG(r->agent));
    if (r->grant.n)
        gtv_session_id(r->grant, w->grant);
    w->v.since_ms = elsewhere && elsewhere->v.since_ms < r->now_ms ? elsewhere->v.since_ms : r->now_ms;
    (void)gtv_map_put(s->viewers, token, w);
    size_t count = viewers_count(s);
    if (count > s->peak)
        s->peak = count;
    if (count > s->minute.viewers_max)
        s->minute.viewers_max = (uint32_t)count;
    return w;
}

static bool may_share(const struct watching *w, const struct gtv_viewer_request *r)
{
    if (r->ask != GTV_ASK_INDEX || w->direct)
        return true;
    return r->now_ms - w->v.last_ms >= UNCLAIMED_AGAIN_MS;
}

static void take_segment(const struct stream *s, struct watching *w, const struct gtv_viewer_request *r)
{
    uint32_t file = 2166136261u;
    for (size_t i = 0; i < r->file.n; i++)
        file = (file ^ (uint8_t)r->file.p[i]) * 16777619u;
    if (file == w->last_file) // another range of it
        return;
    w->last_file = file;
    int64_t target = s->target_ms ? s->target_ms : TARGET_DEFAULT_MS;
    int64_t lasts = s->segment_ms ? s->segment_ms : target, now_ms = r->now_ms;
    int64_t late_ms = now_ms - w->playable_until_ms;
    // Requests come a little early or late by themselves: half a segment is no stall.
    if (w->playable_until_ms && late_ms > lasts / 2) {
        w->v.stalls++;
        w->v.stalled_ms += (uint64_t)late_ms;
    }
    int64_t from_ms = w->playable_until_ms > now_ms ? w->playable_until_ms : now_ms;
    if (r->ask == GTV_ASK_SEGMENT)
        w->playable_until_ms = from_ms + lasts;
    else if (w->playable_until_ms < now_ms + target)
        w->playable_until_ms = now_ms + target;
}

// The viewer this request belongs to; NULL and *answer when it is not let in.
static struct watching *find_or_begin(struct gtv_viewers *v, struct stream *s,
                                      const struct gtv_viewer_request *r, enum gtv_viewer_answer *answer)
{
    char text[CLIENT_KEY_CAP];
    bool named = gtv_session_text_valid(r->session);
    struct watching *w = named ? gtv_map_get(s->viewers, r->session) : NULL;
    struct gtv_str client = {NULL, 0};
    if (!w && named && v->signed_only)
        named = gtv_session_valid(v->sessions, r->stream, r->session, gtv_wall_ms() / 1000);
    if (!w && !named) {
        client = client_key(r->address, r->agent, text);
        w = gtv_map_get(s->clients, client);
        if (w && !may_share(w, r))
            w = NULL;
    }
    if (w && !viewers_alive(s, &w->v, r->now_ms)) {
        drop(s, w, gtv_str_of(w->token));
        w = NULL;
    }
    if (!w) {
        *answer = GTV_VIEWER_KICKED;
        if (is_kicked(v, r, named, client))
            return NULL;
        *answer = GTV_VIEWER_FULL;
        w = begin(v, s, r, named ? r->session : (struct gtv_str){NULL, 0});
        if (w && !named)
            (void)gtv_map_put(s->clients, client, w);
        else if (w)
            w->claimed = true;
    }
    if (w && named && !w->claimed) {
        w->claimed = true;
        if (!w->direct)
            unlink_client(s, w);
    }
    if (w && !named && r->ask != GTV_ASK_INDEX)
        w->direct = true;
    return w;
}

enum gtv_viewer_answer gtv_viewers_touch(struct gtv_viewers *v, const struct gtv_viewer_request *r,
                                         char token[GTV_SESSION_TEXT_MAX + 1])
{
    struct shard *sh = viewers_shard(v, r->stream);
    enum gtv_viewer_answer answer = GTV_VIEWER_OK;
    token[0] = '\0';
    pthread_mutex_lock(&sh->lock);
    struct stream *s = viewers_stream(v, sh, r->stream);
    struct watching *w = s ? find_or_begin(v, s, r, &answer) : NULL;
    if (s)
        s->last_ms = r->now_ms;
    if (w) {
        answer = GTV_VIEWER_OK;
        if (r->ask == GTV_ASK_SEGMENT || r->ask == GTV_ASK_PART)
            take_segment(s, w, r);
        w->v.last_ms = r->now_ms;
        w->v.bytes += r->bytes;
        w->v.requests++;
        s->bytes += r->bytes;
        s->requests++;
        s->hits += r->hit;
        memcpy(token, w->token, sizeof w->token);
    }
    pthread_mutex_unlock(&sh->lock);
    return answer;
}

void gtv_viewers_add_bytes(struct gtv_viewers *v, const struct gtv_viewer_request *r, size_t bytes)
{
    char text[CLIENT_KEY_CAP];
    struct shard *sh = viewers_shard(v, r->stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, r->stream);
    struct watching *w = s ? gtv_map_get(s->viewers, r->session) : NULL;
    if (s && !w)
        w = gtv_map_get(s->clients, client_key(r->address, r->agent, text));
    if (s)
        s->bytes += bytes;
    if (w)
        w->v.bytes += bytes;
    pthread_mutex_unlock(&sh->lock);
}

bool gtv_viewers_has(struct gtv_viewers *v, struct gtv_str stream, struct gtv_str session, int64_t now_ms)
{
    struct shard *sh = viewers_shard(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    const struct watching *w = s ? gtv_map_get(s->viewers, session) : NULL;
    bool has = w && viewers_alive(s, &w->v, now_ms);
    pthread_mutex_unlock(&sh->lock);
    return has;
}

void gtv_viewers_set_window(struct gtv_viewers *v, struct gtv_str stream, unsigned target_ms,
                            unsigned window_ms)
{
    struct shard *sh = viewers_shard(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = viewers_stream(v, sh, stream);
    if (s) {
        s->target_ms = target_ms;
        s->window_ms = window_ms;
    }
    pthread_mutex_unlock(&sh->lock);
}

void gtv_viewers_set_segment(struct gtv_viewers *v, struct gtv_str stream, unsigned segment_ms)
{
    struct shard *sh = viewers_shard(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    if (s)
        s->segment_ms = segment_ms;
    pthread_mutex_unlock(&sh->lock);
}

// ---- the list ----

void gtv_viewers_list(struct gtv_viewers *v, struct gtv_str stream, int64_t now_ms, size_t max,
                      void (*fn)(void *arg, const struct gtv_viewer *viewer), void *arg)
{
    struct shard *sh = viewers_shard(v, stream);
    size_t it = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    for (; s && max && gtv_map_next(s->viewers, &it, &key, &value);) {
        const struct watching *w = value;
        if (!viewers_alive(s, &w->v, now_ms))
            continue;
        struct gtv_viewer shown = w->v;
        const struct remote *also = remote_of(s, w->v.id);
        if (also) {
            shown.bytes += also->v.bytes;
            shown.requests += also->v.requests;
            shown.since_ms = also->v.since_ms < shown.since_ms ? also->v.since_ms : shown.since_ms;
        }
        fn(arg, &shown);
        max--;
    }
    for (it = 0; s && s->remote && max && gtv_map_next(s->remote, &it, &key, &value);) {
        const struct remote *r = value;
        if (r->shared)
            continue;
        fn(arg, &r->v);
        max--;
    }
    pthread_mutex_unlock(&sh->lock);
}
