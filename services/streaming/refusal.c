#include "services/streaming/refusal.h"

#include "lib/base/clock.h"
#include "services/streaming/app.h"

#include <stdio.h>

static yyjson_val *text_in(yyjson_doc *doc)
{
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *text = yyjson_obj_get(root, "error");
    if (!text)
        text = yyjson_obj_get(root, "detail");
    return yyjson_is_str(text) ? text : NULL;
}

bool gtv_refusal_is_the_nodes(const struct gtv_http_response *r, struct gtv_str body)
{
    if (r->status == 304 || r->status == 401)
        return true;
    if (r->status < 400)
        return r->status / 100 == 3 && r->location.n &&
               memmem(r->location.p, r->location.n, "cookieCheck=", sizeof "cookieCheck=" - 1);
    body = gtv_str_trim(body);
    if (body.n == 0 || gtv_str_starts(body, GTV_STR("404 page not found")))
        return true;
    if (body.p[0] != '{')
        return false;
    yyjson_doc *doc = gtv_json_parse(body, NULL);
    bool its = text_in(doc) != NULL;
    yyjson_doc_free(doc);
    return its;
}

// The node's own words about what is wrong.
static void error_words(struct gtv_str body, char *out, size_t cap)
{
    out[0] = '\0';
    yyjson_doc *doc = gtv_json_parse(body, NULL);
    yyjson_val *text = text_in(doc);
    if (text)
        snprintf(out, cap, ": %.*s", (int)yyjson_get_len(text), yyjson_get_str(text));
    yyjson_doc_free(doc);
}

void gtv_refusal_error(struct gtv_app *app, struct gtv_str stream, bool is_playlist, int status,
                       struct gtv_str body, struct gtv_error *err)
{
    char words[200];
    struct gtv_path_state state;
    error_words(body, words, sizeof words);
    bool known = gtv_states_get(app->states, stream, &state);
    // A camera without a picture is told with its cause, not with what the node makes of it.
    if (status != 400 && is_playlist && known && !state.ready && state.cause[0])
        gtv_error_set(err, status == 404 ? GTV_E_NOT_FOUND : GTV_E_UPSTREAM, NULL,
                      "no picture from '" GTV_STR_FMT "': %s", GTV_STR_ARG(stream), state.cause);
    else if (status == 400)
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "the media node refuses this of '" GTV_STR_FMT "'%s",
                      GTV_STR_ARG(stream), words);
    else if (status == 404)
        gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "no such stream or file in '" GTV_STR_FMT "'%s",
                      GTV_STR_ARG(stream), words);
    else if (status == 504 || strstr(words, "timed out"))
        gtv_error_set(err, GTV_E_UPSTREAM_TIMEOUT, NULL, "stream '" GTV_STR_FMT "' did not start in time%s",
                      GTV_STR_ARG(stream), words);
    else
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the media node answered %d for '" GTV_STR_FMT "'%s", status,
                      GTV_STR_ARG(stream), words);
}

enum gtv_refusal gtv_refusal_of_missing(struct gtv_app *app, struct gtv_str stream, bool index,
                                        struct gtv_error *err)
{
    struct gtv_camera camera;
    struct gtv_path_state state;
    int64_t id;
    if (!gtv_camera_path_parse(stream, &id))
        return GTV_REFUSAL_FINAL;
    if (!gtv_cameras_get(app->cameras, id, &camera)) {
        if (gtv_cameras_loaded(app->cameras) || gtv_mono_ms() - app->started_ms >= GTV_REFUSAL_START_MS)
            return GTV_REFUSAL_FINAL;
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL,
                      "the list of cameras is not read yet: '" GTV_STR_FMT "' may be one of them",
                      GTV_STR_ARG(stream));
        return GTV_REFUSAL_SOON;
    }
    if (!gtv_states_get(app->states, stream, &state) || !state.present) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "'" GTV_STR_FMT "' is being put back into its media node",
                      GTV_STR_ARG(stream));
        return GTV_REFUSAL_SOON;
    }
    if (!state.ready) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "no picture from '" GTV_STR_FMT "': %s",
                      GTV_STR_ARG(stream), state.cause[0] ? state.cause : "it has not started yet");
        return GTV_REFUSAL_LATER;
    }
    if (!index && gtv_wall_ms() - state.since_ms >= GTV_REFUSAL_FRESH_MS)
        return GTV_REFUSAL_FINAL;
    gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "'" GTV_STR_FMT "' has just started", GTV_STR_ARG(stream));
    return GTV_REFUSAL_SOON;
}
