#include "services/media/hls/http.h"

#include "services/media/hls/clients.h"
#include "services/media/hls/muxer.h"
#include "services/media/hls/playlist.h"
#include "services/media/reply.h"
#include "services/media/snapshot/picture.h"
#include "services/media/snapshot/snapshot.h"

#include <stdio.h>

// What a request is for: HLS has clients that are listed, the other ways of reading a path have not.
enum use { USE_OTHER, USE_INDEX, USE_MEDIA };

// The path of the request, or NULL: answered.
static struct gtv_path *find_path(struct gtv_http_request *req, struct gtv_node *n, enum use use)
{
    struct gtv_str name = gtv_http_param(req, "path"), user = {NULL, 0};
    struct gtv_error why = {0};
    char text[GTV_NAME_MAX + 128];
    if (!gtv_name_check(name, &why)) {
        snprintf(text, sizeof text, "invalid path name: %s (%.*s)", why.message,
                 (int)(name.n < 100 ? name.n : 100), name.p);
        gtv_media_reply_error(req, 500, text, NULL, NULL);
        return NULL;
    }
    if (!gtv_gate_pass(gtv_node_gate(n), req, GTV_ACT_READ, name, &user)) {
        return NULL;
    }
    struct gtv_path *p = gtv_node_find_or_match(n, name, false);
    if (p == NULL) {
        snprintf(text, sizeof text, "no stream is available on path '%.*s'", (int)name.n, name.p);
        gtv_media_reply_error(req, 404, text, NULL, NULL);
        return NULL;
    }
    if (use != USE_OTHER &&
        !gtv_hls_clients_admit(gtv_path_get_env(p)->hls_clients, req, name, user, use == USE_INDEX)) {
        return NULL;
    }
    return p;
}

static void get_index(struct gtv_http_request *req, void *user)
{
    struct gtv_path *p = find_path(req, user, USE_INDEX);
    if (p != NULL) {
        gtv_muxer_get_index(p, req);
    }
}

static void get_playlist(struct gtv_http_request *req, void *user)
{
    struct gtv_path *p = find_path(req, user, USE_MEDIA);
    if (p == NULL) {
        return;
    }
    if (!gtv_str_ends(gtv_http_path(req), gtv_str_of(gtv_hls_media_name(gtv_muxer_variant(p))))) {
        gtv_media_reply_not_found(req); // of another variant
        return;
    }
    gtv_muxer_get_playlist(p, req);
}

static void get_relay(struct gtv_http_request *req, void *user)
{
    bool keyframes = false;
    struct gtv_str wish = gtv_http_query(req, "keyframes");
    if (wish.n > 0 && !gtv_parse_bool(wish, &keyframes)) {
        gtv_media_reply_error(req, 400, "'keyframes' is 0 or 1", NULL, NULL);
        return;
    }
    struct gtv_str format = gtv_http_query(req, "format");
    bool fmp4 = gtv_str_eq(format, GTV_STR("fmp4"));
    if (format.p != NULL && !fmp4 && !gtv_str_eq(format, GTV_STR("mpegts"))) {
        gtv_media_reply_error(req, 400, "'format' is mpegts or fmp4", NULL, NULL);
        return;
    }
    struct gtv_path *p = find_path(req, user, USE_OTHER);
    if (p != NULL) {
        gtv_muxer_get_relay(p, req, keyframes, fmp4);
    }
}

static void get_snapshot(struct gtv_http_request *req, void *user)
{
    int64_t width = 0;
    struct gtv_str wish = gtv_http_query(req, "width");
    if (wish.p != NULL && !gtv_parse_int(wish, GTV_PICTURE_LEAST, GTV_PICTURE_MOST, &width)) {
        gtv_media_reply_error(req, 400, "'width' is a number from 16 to 8192", NULL, NULL);
        return;
    }
    struct gtv_path *p = find_path(req, user, USE_OTHER);
    if (p != NULL) {
        gtv_snapshots_get(gtv_path_get_env(p)->snapshots, p, req, (int)width);
    }
}

static void get_page(struct gtv_http_request *req, void *user)
{
    struct gtv_str page = gtv_str_of(gtv_arena_printf(
        gtv_http_arena(req),
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" GTV_STR_FMT
        "</title></head>\n"
        "<body style=\"margin:0;background:#000\"><video src=\"index.m3u8\" controls muted autoplay "
        "playsinline "
        "style=\"width:100%%;height:100vh\"></video></body></html>\n",
        GTV_STR_ARG(gtv_http_param(req, "path"))));
    struct gtv_error why = {0};
    if (!gtv_name_check(gtv_http_param(req, "path"), &why)) {
        gtv_media_reply_error(req, 500, why.message, NULL, NULL);
        return;
    }
    if (!gtv_gate_pass(gtv_node_gate(user), req, GTV_ACT_READ, gtv_http_param(req, "path"), NULL)) {
        return;
    }
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("text/html; charset=utf-8")},
        {GTV_STR("Cache-Control"), GTV_STR("max-age=3600")},
    };
    struct gtv_bytes *body = gtv_bytes_copy(page.p, page.n);
    gtv_http_reply(req, 200, headers, 2, body);
    gtv_bytes_unref(body);
}

static void redirect_to_page(struct gtv_http_request *req, void *user)
{
    const struct gtv_http_header location = {
        GTV_STR("Location"),
        gtv_str_of(gtv_arena_printf(gtv_http_arena(req), GTV_STR_FMT "/", GTV_STR_ARG(gtv_http_path(req))))};
    gtv_http_reply(req, 302, &location, 1, NULL);
}

static void get_file(struct gtv_http_request *req, void *user)
{
    struct gtv_str file = gtv_http_param(req, "file");
    if (gtv_str_ends(file, GTV_STR(".ts")) || gtv_str_ends(file, GTV_STR(".mp4"))) {
        struct gtv_path *p = find_path(req, user, USE_MEDIA);
        if (p != NULL) {
            gtv_muxer_get_file(p, req, file);
        }
        return;
    }
    if (gtv_str_find(file, '.') >= 0) {
        gtv_media_reply_not_found(req);
        return;
    }
    redirect_to_page(req, user);
}

static void no_head(struct gtv_http_request *req, void *user)
{
    gtv_media_reply_not_found(req);
}

void gtv_media_hls_error(struct gtv_http_request *req, enum gtv_code code, const char *message, void *user)
{
    if (code == GTV_E_NOT_FOUND || code == GTV_E_METHOD_NOT_ALLOWED) {
        gtv_media_reply_not_found(req);
        return;
    }
    gtv_media_reply_error(req, gtv_code_http_status(code), message != NULL ? message : gtv_code_text(code),
                          NULL, NULL);
}

const struct gtv_http_route gtv_media_hls_routes[] = {
    {"HEAD", "/{any*}", no_head, 0, "Not answered"},
    {"GET", "/{path*}/index.m3u8", get_index, 0, "Multivariant playlist"},
    {"GET", "/{path*}/main_stream.m3u8", get_playlist, 0, "Media playlist of MPEG-TS"},
    {"GET", "/{path*}/video1_stream.m3u8", get_playlist, 0, "Media playlist of fMP4 and Low-Latency HLS"},
    {"GET", "/{path*}/relay", get_relay, 0, "The path as continuous MPEG-TS or fragmented MP4"},
    {"GET", "/{path*}/snapshot.jpg", get_snapshot, 0, "The last key frame as a JPEG"},
    {"GET", "/{path*}/", get_page, 0, "A page that plays the path"},
    {"GET", "/{path*}/{file}", get_file, 0, "Segments, parts and init segments"},
    {"GET", "/{path}", redirect_to_page, 0, "To the page"},
};
const size_t gtv_media_hls_route_count = sizeof gtv_media_hls_routes / sizeof gtv_media_hls_routes[0];
