// What gtv-streaming reads from outside: playlists of the media node, bodies of provisioning, lists of paths,
// lists of cameras, allow-lists, names, outages as stored, lists of nodes. The first byte chooses which.
#include "lib/net/address.h"
#include "services/streaming/app.h"
#include "services/streaming/bulk.h"
#include "services/streaming/control.h"
#include "services/streaming/playlist.h"
#include "services/streaming/provision.h"

#include "lib/base/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void playlist(struct gtv_str text)
{
    struct gtv_playlist p;
    if (gtv_playlist_scan(text, &p)) {
        must(p.multivariant != (p.target_ms > 0) || p.target_ms == 0);
        must(gtv_playlist_life_ms(&p) >= 200 && gtv_playlist_life_ms(&p) <= 5000);
        must(p.window_ms <= 3600 * 1000);
    }
    struct gtv_str uri;
    while (gtv_playlist_next_uri(&text, &uri))
        must(uri.n > 0 && uri.p[0] != '#');
}

static void provision(struct gtv_str body)
{
    struct gtv_camera c;
    struct gtv_error err = {0};
    char shown[GTV_SHOWN_URL_CAP];
    if (gtv_provision_parse(body, 0, &c, &err)) {
        must(c.id >= 1 && c.url[0] && strlen(c.url) <= GTV_CAMERA_URL_MAX &&
             strlen(c.name) <= GTV_CAMERA_NAME_MAX);
        must(gtv_shown_url(c.url, shown) == shown);
        // Whatever was accepted can be stored and read again.
        struct gtv_bytes *json = gtv_camera_write(&c);
        must(json != NULL);
        yyjson_doc *doc = gtv_json_parse(gtv_bytes_str(json), NULL);
        struct gtv_camera again;
        must(gtv_camera_parse(yyjson_doc_get_root(doc), &again, NULL) && strcmp(again.url, c.url) == 0);
        yyjson_doc_free(doc);
        gtv_bytes_unref(json);
    } else {
        must(err.code == GTV_E_INVALID);
    }
}

static void paths(struct gtv_str body)
{
    yyjson_doc *doc = gtv_json_parse(body, NULL);
    struct gtv_path_state s;
    if (doc && gtv_media_parse_path(yyjson_doc_get_root(doc), &s))
        must(s.name[0] && s.state[0]);
    yyjson_doc_free(doc);
}

static void allow(struct gtv_str text)
{
    struct gtv_net_policy policy;
    struct gtv_error err = {0};
    char *list = gtv_strndup(text);
    if (!gtv_net_policy_parse(list, &policy, &err))
        must(err.code == GTV_E_INVALID);
    free(list);
}

static void lists(char *text, size_t n, bool csv)
{
    struct gtv_bulk b;
    struct gtv_error err = {0};
    if (!gtv_bulk_parse(text, n, csv, &b, &err)) {
        must(err.code == GTV_E_INVALID || err.code == GTV_E_TOO_LARGE);
        return;
    }
    must(b.count > 0 && b.count <= GTV_BULK_LINES);
    for (size_t i = 0; i < b.count; i++) {
        const struct gtv_bulk_line *l = &b.lines[i];
        must(l->line > 0 && l->over == (l->outcome.err.code != GTV_OK));
        must(l->over || (l->camera.id >= 1 && gtv_utf8_valid(gtv_str_of(l->camera.name))));
        if (!l->over)
            b.lines[i].outcome.result = "created";
    }
    struct gtv_bytes *json = gtv_json_write(gtv_bulk_answer(&b));
    must(json != NULL);
    gtv_bytes_unref(json);
    gtv_bulk_finish(&b);
}

static void outages(struct gtv_str text)
{
    struct gtv_ledger *l = gtv_ledger_create();
    if (gtv_ledger_read(l, 1, text)) {
        struct gtv_bytes *json = gtv_ledger_write(l, 1);
        must(json != NULL);
        gtv_bytes_unref(json);
        (void)gtv_ledger_uptime(l, 1, 1);
    }
    gtv_ledger_destroy(l);
}

static void nodes(struct gtv_str text)
{
    char *list = gtv_strndup(text);
    struct gtv_error err = {0};
    struct gtv_nodes *n = gtv_nodes_create(list, list, &err);
    must(n != NULL || err.code == GTV_E_INVALID);
    must(n == NULL || gtv_nodes_hls_base(n, GTV_STR("cam_1")) != NULL);
    gtv_nodes_destroy(n);
    free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1)
        return 0;
    // A copy of exactly this size, so that the sanitizer sees a read beyond it.
    char *copy = malloc(n);
    must(copy != NULL);
    memcpy(copy, data + 1, n - 1);
    struct gtv_str text = {copy, n - 1};
    char shown[GTV_SHOWN_URL_CAP];
    char *url;
    int64_t id;
    switch (data[0]) {
    case 'm':
        playlist(text);
        break;
    case 'p':
        provision(text);
        break;
    case 'l':
        paths(text);
        break;
    case 'a':
        allow(text);
        break;
    case 'c':
    case 'j':
        lists(copy, n - 1, data[0] == 'c');
        break;
    case 'o':
        outages(text);
        break;
    case 'n':
        nodes(text);
        break;
    default:
        (void)gtv_stream_name_valid(text);
        if (gtv_camera_path_parse(text, &id))
            must(id >= 1 && gtv_stream_name_valid(text));
        url = gtv_strndup(text);
        must(gtv_shown_url(url, shown) == shown);
        free(url);
    }
    free(copy);
    return 0;
}
