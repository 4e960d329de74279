#include "services/streaming/admit.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/key.h"
#include "services/streaming/playback.h"
#include "services/streaming/proxy_internal.h"
#include "services/streaming/routes.h"
#include "services/streaming/stats.h"

#include <stdlib.h>

enum { TTL_DEFAULT_S = 300, TTL_MIN_S = 5 };

static const struct gtv_str session_name = {"session", 7}, token_name = {"token", 5};

static bool has(const char *s)
{
    return s && *s;
}

// ---- playback ----

static void reply_unauthorized(struct gtv_http_request *req)
{
    static const char body[] = "{\"detail\":\"This stream plays by a signed address only: ask for one "
                               "with ?token=\",\"code\":\"unauthorized\",\"field\":\"token\"}";
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("application/json")},
        {GTV_STR("WWW-Authenticate"), GTV_STR("Bearer realm=\"playback\"")},
        {GTV_STR("Cache-Control"), GTV_STR("no-store")},
    };
    struct gtv_bytes *bytes = gtv_bytes_copy(body, sizeof body - 1);
    gtv_http_reply(req, 401, headers, 3, bytes);
    gtv_bytes_unref(bytes);
}

bool gtv_admit_allowed(struct gtv_worker *w, struct gtv_http_request *req, struct gtv_str stream)
{
    const char *key = w->app->options.playback_key;
    if (!has(key))
        return true;
    int64_t wall_s = gtv_wall_ms() / 1000;
    struct gtv_str query = gtv_http_query_string(req);
    struct gtv_str session = gtv_query_raw(query, session_name), token = gtv_query_raw(query, token_name);
    if (session.n && (gtv_viewers_has(w->app->viewers, stream, session, gtv_mono_ms()) ||
                      gtv_session_valid(w->app->sessions, stream, session, wall_s)))
        return true;
    if (token.n == 0) {
        reply_unauthorized(req);
        return false;
    }
    switch (gtv_grant_check(key, stream, token, wall_s)) {
    case GTV_GRANT_GOOD:
        return true;
    case GTV_GRANT_OVER:
        gtv_reply_error(req, GTV_E_FORBIDDEN, "token", "this address is no longer valid: ask for a new one");
        return false;
    default:
        gtv_reply_error(req, GTV_E_FORBIDDEN, "token", "this address was not signed for this stream");
        return false;
    }
}

// ---- viewers ----

static struct gtv_cuts *cuts_of(struct gtv_entry *e)
{
    struct gtv_cuts *c = atomic_load_explicit(&e->cuts, memory_order_acquire);
    if (c)
        return c;
    struct gtv_cuts *made = gtv_cuts_create(gtv_bytes_str(e->body));
    if (atomic_compare_exchange_strong(&e->cuts, &c, made))
        return made;
    gtv_cuts_destroy(made); // another loop was faster
    return c;
}

static bool contains(struct gtv_str s, struct gtv_str part)
{
    for (size_t i = 0; i + part.n <= s.n; i++)
        if (memcmp(s.p + i, part.p, part.n) == 0)
            return true;
    return false;
}

static struct gtv_viewer_request describe(struct gtv_http_request *req, const struct gtv_entry *e)
{
    struct gtv_str query = gtv_http_query_string(req);
    return (struct gtv_viewer_request){
        .stream = gtv_entry_stream(e),
        .file = gtv_hls_key_file(e->key, e->stream_len),
        .session = gtv_query_raw(query, session_name),
        .grant = gtv_query_raw(query, token_name),
        .address = gtv_http_peer(req),
        .agent = gtv_http_header(req, "User-Agent"),
    };
}

enum gtv_viewer_answer gtv_admit_viewer(struct gtv_worker *w, struct gtv_http_request *req,
                                        struct gtv_entry *e, size_t bytes, bool hit, int64_t now_ms,
                                        char token[GTV_SESSION_TEXT_MAX + 1])
{
    struct gtv_viewer_request r = describe(req, e);
    if (!has(w->app->options.playback_key))
        r.grant = (struct gtv_str){NULL, 0};
    r.bytes = bytes;
    r.hit = hit;
    r.now_ms = now_ms;
    if (e->is_playlist)
        r.ask = gtv_cuts_multivariant(cuts_of(e)) ? GTV_ASK_INDEX : GTV_ASK_PLAYLIST;
    else
        r.ask = contains(r.file, GTV_STR("_part")) ? GTV_ASK_PART : GTV_ASK_SEGMENT;
    return gtv_viewers_touch(w->app->viewers, &r, token);
}

void gtv_admit_refuse(struct gtv_worker *w, struct gtv_http_request *req, enum gtv_viewer_answer answer)
{
    gtv_counter_add(w->proxy->m.refused, 1);
    if (answer == GTV_VIEWER_KICKED) {
        gtv_reply_error(req, GTV_E_FORBIDDEN, "session", "this playback was ended by an operator");
        return;
    }
    struct gtv_bytes *body =
        gtv_bytes_printf("{\"detail\":\"This stream has its %lld viewers; try again "
                         "later\",\"code\":\"too_many\",\"field\":null}",
                         (long long)gtv_live_int(&w->app->options.max_connections_per_stream));
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("application/json")},
        {GTV_STR("Retry-After"), GTV_STR("5")},
        {GTV_STR("Cache-Control"), GTV_STR("no-store")},
    };
    gtv_http_reply(req, 429, headers, 3, body);
    gtv_bytes_unref(body);
}

void gtv_admit_sent(struct gtv_worker *w, struct gtv_http_request *req, const struct gtv_entry *e,
                    size_t bytes)
{
    struct gtv_viewer_request r = describe(req, e);
    gtv_viewers_add_bytes(w->app->viewers, &r, bytes);
}

struct gtv_bytes *gtv_admit_playlist(struct gtv_entry *e, const char *token)
{
    if (!e->is_playlist || !*token || !gtv_str_starts(gtv_bytes_str(e->body), GTV_STR("#EXTM3U")))
        return NULL;
    const struct gtv_cuts *c = cuts_of(e);
    return gtv_cuts_count(c) ? gtv_cuts_render(c, gtv_bytes_str(e->body), gtv_str_of(token)) : NULL;
}

// ---- the console's routes ----

static bool admin(struct gtv_http_request *req, const char *secret)
{
    if (gtv_bearer_is(gtv_http_header(req, "Authorization"), secret))
        return true;
    gtv_reply_error(req, GTV_E_UNAUTHORIZED, "Authorization",
                    "GTV_PLAYBACK_ADMIN_KEY is needed as a bearer token");
    return false;
}

static bool parse_wish(struct gtv_str body, char *stream, size_t cap, int64_t *ttl_s, struct gtv_error *err)
{
    struct gtv_str name = {NULL, 0};
    yyjson_doc *doc = gtv_json_parse(body, err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool ok = doc && yyjson_is_obj(root);
    if (doc && !ok)
        gtv_error_set(err, GTV_E_INVALID, NULL, "the body must be an object");
    ok = ok && gtv_json_get_str(root, "stream", GTV_JSON_REQUIRED, &name, err) &&
         gtv_json_get_int(root, "ttl_s", GTV_JSON_OPTIONAL, TTL_MIN_S, GTV_GRANT_TTL_MAX_S, ttl_s, err);
    if (ok && (!gtv_stream_name_valid(name) || !gtv_str_copy(stream, cap, name))) {
        gtv_error_set(err, GTV_E_INVALID, "stream",
                      "a stream has letters, digits, dot, underscore and minus only");
        ok = false;
    }
    yyjson_doc_free(doc);
    return ok;
}

void gtv_handle_playback_token(struct gtv_http_request *req, void *user)
{
    struct gtv_app *app = ((struct gtv_worker *)user)->app;
    const struct gtv_streaming_options *o = &app->options;
    char stream[GTV_PATH_NAME_CAP], token[GTV_GRANT_CAP], when[GTV_ISO8601_CAP];
    struct gtv_error err = {0};
    int64_t ttl_s = TTL_DEFAULT_S;
    if (!has(o->playback_key)) {
        gtv_reply_error(req, GTV_E_CONFLICT, NULL,
                        "GTV_PLAYBACK_KEY is not set: streams play without a token");
        return;
    }
    if (!has(o->playback_admin_key)) {
        gtv_reply_error(req, GTV_E_FORBIDDEN, NULL,
                        "GTV_PLAYBACK_ADMIN_KEY is not set: nobody may make tokens here");
        return;
    }
    if (!admin(req, o->playback_admin_key))
        return;
    if (!parse_wish(gtv_http_body(req), stream, sizeof stream, &ttl_s, &err)) {
        gtv_reply_invalid(req, &err);
        return;
    }
    int64_t expires_s = gtv_wall_ms() / 1000 + ttl_s;
    gtv_grant_mint(o->playback_key, gtv_str_of(stream), expires_s, token);
    struct gtv_str base = gtv_str_of(o->public_base);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    char *url = gtv_asprintf(GTV_STR_FMT "/hls/%s/index.m3u8?token=%s", GTV_STR_ARG(base), stream, token);
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_obj_add_str(doc, root, "stream", stream);
    yyjson_mut_obj_add_str(doc, root, "token", token);
    yyjson_mut_obj_add_sint(doc, root, "expires", expires_s);
    yyjson_mut_obj_add_str(doc, root, "expires_at", gtv_iso8601_utc(expires_s * 1000, when));
    yyjson_mut_obj_add_str(doc, root, "url", url);
    gtv_reply_json(req, 200, doc);
    free(url);
}

void gtv_handle_kick(struct gtv_http_request *req, void *user)
{
    struct gtv_app *app = ((struct gtv_worker *)user)->app;
    struct gtv_str path = gtv_http_param(req, "path"), session = gtv_http_param(req, "session");
    const char *key = gtv_live_text(&app->options.playback_admin_key);
    if (has(key) && !admin(req, key))
        return;
    if (!gtv_stream_name_valid(path)) {
        gtv_reply_error(req, GTV_E_BAD_REQUEST, "path",
                        "a stream has letters, digits, dot, underscore and minus only");
        return;
    }
    if (!gtv_viewers_kick(app->viewers, path, session, gtv_mono_ms(), gtv_wall_ms())) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, "session", "no such session watches this stream");
        return;
    }
    gtv_stats_stale(app);
    gtv_log_info(&app->log, "a playback was ended by an operator",
                 "stream=" GTV_STR_FMT " session=" GTV_STR_FMT, GTV_STR_ARG(path), GTV_STR_ARG(session));
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_obj_add_bool(doc, root, "success", true);
    yyjson_mut_obj_add_strncpy(doc, root, "session", session.p, session.n);
    gtv_reply_json(req, 200, doc);
}
