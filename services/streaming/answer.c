#include "services/streaming/answer.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/freshness.h"
#include "services/streaming/vary.h"

#include <stdio.h>

// What the node says of an answer, with what a confirmed one (304) lends.
struct said {
    struct gtv_http_header fields[GTV_HTTP_FETCH_FIELDS_MAX + GTV_ANSWER_FIELDS_MAX];
    size_t n;
};

static struct gtv_str said_field(const struct said *s, struct gtv_str name)
{
    for (size_t i = 0; i < s->n; i++)
        if (gtv_str_ieq(s->fields[i].name, name))
            return s->fields[i].value;
    return (struct gtv_str){NULL, 0};
}

// What describes the stored bytes: a confirmation cannot change it (RFC 9111, 3.2).
static bool of_the_bytes(struct gtv_str name)
{
    static const struct gtv_str fixed[] = {{"content-encoding", 16},
                                           {"content-length", 14},
                                           {"content-md5", 11},
                                           {"content-range", 13},
                                           {"etag", 4}};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (gtv_str_ieq(name, fixed[i]))
            return true;
    return false;
}

static void collect(struct said *s, const struct gtv_entry *e, const struct gtv_http_response *r)
{
    bool confirms = r->status == 304 && e->stale;
    s->n = 0;
    for (size_t i = 0; i < r->field_count; i++)
        if (!confirms || !of_the_bytes(r->fields[i].name))
            s->fields[s->n++] = (struct gtv_http_header){r->fields[i].name, r->fields[i].value};
    if (!confirms)
        return;
    // RFC 9111, 4.3.4: what the confirmation does not say stays as it was.
    size_t own = s->n;
    for (size_t i = 0; i < e->stale->whole.n && s->n < sizeof s->fields / sizeof *s->fields; i++) {
        const struct gtv_http_header *f = &e->stale->whole.fields[i];
        bool again = false;
        for (size_t j = 0; j < own && !again; j++)
            again = gtv_str_ieq(s->fields[j].name, f->name);
        if (!again)
            s->fields[s->n++] = *f;
    }
}

// ---- which fields are passed on ----

static bool listed(struct gtv_str list, struct gtv_str name)
{
    while (list.n)
        if (gtv_str_ieq(gtv_str_trim(gtv_str_cut(&list, ',')), name))
            return true;
    return false;
}

// A cookie of our own session with the node would be everybody's.
static bool cookie_passes(struct gtv_str value, bool session)
{
    return !session && !gtv_str_starts(value, GTV_STR("hlsSession=")) &&
           !gtv_str_starts(value, GTV_STR("cookieCheck="));
}

static bool passed_on(const struct said *s, struct gtv_str name)
{
    // Hop by hop (RFC 9110, 7.6.1), between us and the node alone, or written anew by us or our server.
    static const struct gtv_str ours[] = {
        {"connection", 10},
        {"keep-alive", 10},
        {"proxy-connection", 16},
        {"te", 2},
        {"trailer", 7},
        {"transfer-encoding", 17},
        {"upgrade", 7},
        {"proxy-authenticate", 18},
        {"proxy-authentication-info", 25},
        {"www-authenticate", 16},
        {"proxy-authorization", 19},
        {"server", 6},
        {"content-length", 14},
        {"age", 3},
        {"x-cache", 7},
        {"x-request-id", 12},
        {"content-type", 12},
        {"cache-control", 13},
        {"date", 4},
        {"etag", 4},
        {"last-modified", 13},
        {"expires", 7},
        {"accept-ranges", 13},
        {"strict-transport-security", 25},
    };
    if (gtv_str_starts(name, GTV_STR("access-control-")) || gtv_str_starts(name, GTV_STR("Access-Control-")))
        return false;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (gtv_str_ieq(name, ours[i]))
            return false;
    for (size_t i = 0; i < s->n; i++)
        if (gtv_str_ieq(s->fields[i].name, GTV_STR("connection")) && listed(s->fields[i].value, name))
            return false;
    return true;
}

struct head_builder {
    struct gtv_http_header fields[GTV_ANSWER_FIELDS_MAX];
    size_t n, bytes;
};

static void add(struct head_builder *h, struct gtv_str name, struct gtv_str value)
{
    if (h->n == GTV_ANSWER_FIELDS_MAX || name.n + value.n > GTV_ANSWER_FIELDS_BYTES - h->bytes)
        return;
    h->fields[h->n++] = (struct gtv_http_header){name, value};
    h->bytes += name.n + value.n;
}

static void add_type(struct head_builder *h, const struct gtv_entry *e, const struct said *s)
{
    struct gtv_str type = said_field(s, GTV_STR("content-type"));
    if (!type.n && e->status != 200)
        return;
    if (!type.n)
        type =
            e->is_playlist ? GTV_STR("application/vnd.apple.mpegurl") : GTV_STR("application/octet-stream");
    add(h, GTV_STR("Content-Type"), type);
}

static void add_others(struct head_builder *h, const struct said *s, bool session)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct gtv_http_header *f = &s->fields[i];
        if (gtv_str_ieq(f->name, GTV_STR("set-cookie")) ? cookie_passes(f->value, session)
                                                        : passed_on(s, f->name))
            add(h, f->name, f->value);
    }
}

// Which requests the answer is for. "*" is kept for nobody: judge() sees to it.
static void take_vary(struct gtv_entry *e, const struct said *s)
{
    char names[GTV_VARY_NAMES_CAP];
    if (gtv_vary_names(s->fields, s->n, names) && names[0])
        e->vary = gtv_strndup(gtv_str_of(names));
}

// ---- life ----

struct verdict {
    struct gtv_entry_life life;
    bool ours;    // not the node's: clients are told our lifetime
    bool confirm; // the node's validators may be used to ask it again
};

static int64_t window_ms(int64_t seconds, int64_t otherwise_ms)
{
    int64_t ms = seconds < 0 ? otherwise_ms : seconds * 1000;
    return ms < GTV_STALE_WINDOW_MAX_MS ? ms : GTV_STALE_WINDOW_MAX_MS;
}

static void read_fields(struct gtv_freshness_fields *f, const struct said *s)
{
    static const struct gtv_str unclear = {"?", 1};
    gtv_cache_control_init(&f->control);
    for (size_t i = 0; i < s->n; i++) {
        const struct gtv_http_header *field = &s->fields[i];
        if (gtv_str_ieq(field->name, GTV_STR("cache-control")))
            gtv_cache_control_read(&f->control, field->value);
        else if (gtv_str_ieq(field->name, GTV_STR("age")))
            f->age = f->age.p ? unclear : field->value;
    }
    f->expires = said_field(s, GTV_STR("expires"));
    f->has_expires = f->expires.p != NULL;
    f->date = said_field(s, GTV_STR("date"));
}

// Whose meaning for a cache is known here (RFC 9111, 5.2.2.3).
static bool status_understood(int status)
{
    static const short known[] = {200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403,
                                  404, 405, 410, 414, 429, 451, 500, 501, 502, 503, 504};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == status)
            return true;
    return false;
}

static bool may_store(const struct gtv_cache_control *cc, const struct said *s, int status)
{
    char names[GTV_VARY_NAMES_CAP];
    if (cc->must_understand ? !status_understood(status) : cc->no_store)
        return false;
    return status != 206 && gtv_vary_names(s->fields, s->n, names);
}

static struct verdict judge(const struct said *s, const struct gtv_playlist *playlist, int status,
                            const struct gtv_answer_context *context)
{
    struct gtv_freshness_fields f = {0};
    struct gtv_cache_control *cc = &f.control;
    read_fields(&f, s);
    struct verdict v = {.ours = true, .confirm = status == 200};
    int64_t age_s = gtv_freshness_age_s(&f, context->now_wall_s);
    v.life.age_ms = age_s > 0 ? age_s * 1000 : 0;
    int64_t said_s = gtv_freshness_lifetime_s(&f, context->now_wall_s);
    // Of anything but a file the node must say itself how long it holds.
    if (!may_store(cc, s, status) || (status != 200 && said_s < 0))
        return (struct verdict){.life.age_ms = v.life.age_ms}; // the node's own words go on to the client
    int64_t left_ms = age_s < 0 ? 0 : said_s * 1000 - v.life.age_ms;
    bool strict = cc->must_revalidate || cc->no_cache || cc->s_maxage_s >= 0;
    if (playlist) {
        // Its own words say how long it may be used; the node can shorten that, but not forbid it: without a
        // cache each viewer would be a fetch.
        unsigned own = gtv_playlist_life_ms(playlist);
        if (playlist->multivariant && context->session)
            own = GTV_PLAYLIST_LIFE_SESSION_MS;
        bool usable = said_s > 0 && !cc->no_cache && !cc->is_private;
        v.life.fresh_ms = usable && left_ms < own ? left_ms : own;
        if (!usable)
            strict = false;
    } else if ((cc->is_private || cc->no_cache) && context->session && status == 200) {
        v.life.fresh_ms = context->segment_keep_ms;
        strict = false;
    } else if (cc->is_private) {
        return (struct verdict){.life.age_ms = v.life.age_ms};
    } else if (said_s < 0 && !cc->no_cache) {
        v.life.fresh_ms = age_s < 0 ? 0 : context->segment_keep_ms;
    } else {
        v.ours = false;
        v.life.fresh_ms = cc->no_cache || left_ms < 0 ? 0 : left_ms;
        if (v.life.fresh_ms > context->segment_keep_ms)
            v.life.fresh_ms = context->segment_keep_ms;
    }
    if (v.life.fresh_ms < 0)
        v.life.fresh_ms = 0;
    if (!strict)
        v.life.if_error_ms = window_ms(cc->if_error_s, context->if_error_ms);
    // A playlist past its life is served only while the node is down.
    if (!strict && !playlist)
        v.life.while_revalidate_ms = window_ms(cc->while_revalidate_s, 0);
    return v;
}

// A tag by the bytes alone, so that all replicas give the same one: 64 bits mixed a word at a time (the
// multipliers are MurmurHash3's finaliser). It tells versions apart, it is no proof against forgery.
static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    return h ^ h >> 33;
}

static uint64_t digest(const struct gtv_bytes *body)
{
    uint64_t h = mix(body->len + 1), word;
    size_t at = 0;
    for (; at + sizeof word <= body->len; at += sizeof word) {
        memcpy(&word, body->data + at, sizeof word);
        h = mix(h ^ word);
    }
    for (word = 0; at < body->len; at++)
        word = word << 8 | body->data[at];
    return mix(h ^ word);
}

static void take_validators(struct gtv_entry *e, const struct said *s, const struct gtv_bytes *body,
                            bool confirm)
{
    struct gtv_str tag = said_field(s, GTV_STR("etag"));
    struct gtv_str changed = said_field(s, GTV_STR("last-modified"));
    bool has_tag = tag.n && gtv_str_copy(e->etag, sizeof e->etag, tag);
    bool has_time = changed.n && gtv_str_copy(e->last_modified, sizeof e->last_modified, changed);
    // A tag that we made ourselves comes back by a confirmation of an answer that only had a date.
    e->validators = confirm && (has_time || (has_tag && !gtv_str_starts(tag, GTV_STR("\"gtv-"))));
    if (!has_tag && e->status == 200)
        snprintf(e->etag, sizeof e->etag, "\"gtv-%016llx\"", (unsigned long long)digest(body));
}

struct head_text {
    char control[48], date[GTV_ISO8601_CAP];
};

// What is said of the life: our own words where it is ours. The text must live as long as h.
static void add_life(struct head_builder *h, const struct said *s, const struct verdict *v,
                     struct head_text *text, int64_t now_wall_s)
{
    if (v->ours) {
        // What is never fresh is not told an age either: no-cache.
        int64_t max_age_s = (v->life.fresh_ms + v->life.age_ms) / 1000;
        if (v->life.fresh_ms < 1000)
            snprintf(text->control, sizeof text->control, "no-cache");
        else
            snprintf(text->control, sizeof text->control, "public, max-age=%lld", (long long)max_age_s);
        add(h, GTV_STR("Cache-Control"), gtv_str_of(text->control));
    } else {
        for (size_t i = 0; i < s->n; i++)
            if (gtv_str_ieq(s->fields[i].name, GTV_STR("cache-control")) ||
                gtv_str_ieq(s->fields[i].name, GTV_STR("expires")))
                add(h, s->fields[i].name, s->fields[i].value);
    }
    struct gtv_str when = said_field(s, GTV_STR("date"));
    int64_t parsed;
    if (!gtv_http_date_parse(when, &parsed))
        when = gtv_str_of(gtv_http_date(now_wall_s, text->date));
    add(h, GTV_STR("Date"), when);
}

static void add_validators(struct head_builder *h, struct gtv_str tag, struct gtv_str changed)
{
    if (tag.n)
        add(h, GTV_STR("ETag"), tag);
    if (changed.n)
        add(h, GTV_STR("Last-Modified"), changed);
}

void gtv_answer_begin(struct gtv_entry *e, const struct gtv_http_response *r,
                      const struct gtv_answer_context *context)
{
    struct said s;
    struct head_builder h = {.n = 0};
    struct head_text text;
    collect(&s, e, r);
    take_vary(e, &s);
    struct verdict v = judge(&s, NULL, 200, context);
    e->begin_age_s = v.life.age_ms / 1000;
    add_type(&h, e, &s);
    add_life(&h, &s, &v, &text, context->now_wall_s);
    add_validators(&h, said_field(&s, GTV_STR("etag")), said_field(&s, GTV_STR("last-modified")));
    add_others(&h, &s, context->session);
    gtv_entry_head_set(&e->head, h.fields, h.n);
}

struct gtv_entry_life gtv_answer_finish(struct gtv_entry *e, const struct gtv_http_response *r,
                                        const struct gtv_bytes *body, const struct gtv_playlist *playlist,
                                        const struct gtv_answer_context *context)
{
    struct said s;
    struct head_builder h = {.n = 0};
    struct head_text text;
    bool streamed = atomic_load_explicit(&e->head_done, memory_order_relaxed);
    collect(&s, e, r);
    if (!streamed) { // otherwise written already, and read by those who wait
        e->status = r->status == 304 && e->stale ? e->stale->status : r->status;
        take_vary(e, &s);
    }
    struct verdict v = judge(&s, playlist, e->status, context);
    take_validators(e, &s, body, v.confirm);
    add_type(&h, e, &s);
    add_life(&h, &s, &v, &text, context->now_wall_s);
    add_validators(&h, gtv_str_of(e->etag), gtv_str_of(e->last_modified));
    if (!e->is_playlist && e->status == 200)
        add(&h, GTV_STR("Accept-Ranges"), GTV_STR("bytes"));
    add_others(&h, &s, context->session);
    gtv_entry_head_set(&e->whole, h.fields, h.n);
    return v.life;
}

size_t gtv_answer_pass(const struct gtv_http_response *r, struct gtv_http_header out[GTV_ANSWER_FIELDS_MAX])
{
    static const struct gtv_str kept[] = {{"content-type", 12}, {"cache-control", 13}, {"expires", 7},
                                          {"date", 4},          {"etag", 4},           {"last-modified", 13}};
    struct said s = {.n = 0};
    struct head_builder h = {.n = 0};
    for (size_t i = 0; i < r->field_count; i++)
        s.fields[s.n++] = (struct gtv_http_header){r->fields[i].name, r->fields[i].value};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        struct gtv_str value = said_field(&s, kept[i]);
        if (value.n)
            add(&h, kept[i], value);
    }
    add_others(&h, &s, false);
    memcpy(out, h.fields, h.n * sizeof *out);
    return h.n;
}
