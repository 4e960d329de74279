#include "services/media/hls/clients.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/media/reply.h"

#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = 1000, AGENT_MAX = 159 };

struct client {
    struct gtv_session row;
    int64_t request_ms;
    bool kicked; // not listed any more; only the index lets it in again
};

struct gtv_hls_clients {
    struct gtv_sessions *sessions;
    struct gtv_map *clients; // by path, address and user agent
    int64_t tick_ms;
};

struct gtv_hls_clients *gtv_hls_clients_create(struct gtv_sessions *sessions)
{
    struct gtv_hls_clients *c = GTV_NEW(struct gtv_hls_clients);
    c->sessions = sessions;
    c->clients = gtv_map_create();
    return c;
}

static void client_free(void *arg)
{
    struct client *one = arg;
    gtv_sessions_remove(&one->row);
    free(one);
}

void gtv_hls_clients_destroy(struct gtv_hls_clients *c)
{
    if (c == NULL) {
        return;
    }
    gtv_map_destroy(c->clients, client_free);
    free(c);
}

// Line feeds stand in neither of the three.
enum { KEY_CAP = GTV_NAME_MAX + 64 + AGENT_MAX + 4 };
static struct gtv_str key_of(const struct gtv_http_request *req, struct gtv_str path, char out[KEY_CAP])
{
    struct gtv_str peer = gtv_http_peer(req), agent = gtv_http_header(req, "user-agent");
    int n = snprintf(out, KEY_CAP, "%.*s\n%.*s\n%.*s", (int)path.n, path.p, (int)(peer.n < 63 ? peer.n : 63),
                     peer.n > 0 ? peer.p : "", (int)(agent.n < AGENT_MAX ? agent.n : AGENT_MAX),
                     agent.n > 0 ? agent.p : "");
    return (struct gtv_str){out, n < KEY_CAP ? (size_t)n : KEY_CAP - 1};
}

static void on_kick(void *arg)
{
    struct client *one = arg;
    one->kicked = true;
    gtv_sessions_remove(&one->row);
}

// Cut where it is too long: for people to read.
static void cut(char *out, size_t cap, struct gtv_str text)
{
    size_t n = text.n < cap ? text.n : cap - 1;
    if (n > 0) {
        memcpy(out, text.p, n);
    }
    out[n] = '\0';
}

static void list(struct gtv_hls_clients *c, struct client *one, const struct gtv_http_request *req,
                 struct gtv_str path, struct gtv_str user)
{
    one->row = (struct gtv_session){.kind = GTV_SESSION_HLS, .kick = on_kick, .arg = one};
    one->kicked = false;
    cut(one->row.path, sizeof one->row.path, path);
    cut(one->row.remote, sizeof one->row.remote, gtv_http_peer(req));
    cut(one->row.user, sizeof one->row.user, user);
    cut(one->row.user_agent, sizeof one->row.user_agent, gtv_http_header(req, "user-agent"));
    cut(one->row.query, sizeof one->row.query, gtv_http_query_string(req));
    gtv_sessions_add(c->sessions, &one->row);
}

bool gtv_hls_clients_admit(struct gtv_hls_clients *c, struct gtv_http_request *req, struct gtv_str path,
                           struct gtv_str user, bool begins)
{
    char text[KEY_CAP];
    struct gtv_str key = key_of(req, path, text);
    struct client *one = gtv_map_get(c->clients, key);
    if (one != NULL && one->kicked && !begins) {
        gtv_media_reply_error(req, 401, "authentication error", NULL, NULL);
        return false;
    }
    if (one == NULL && gtv_map_count(c->clients) < GTV_HLS_CLIENTS_MAX) {
        one = GTV_NEW(struct client);
        gtv_map_put(c->clients, key, one);
        list(c, one, req, path, user);
    } else if (one != NULL && one->kicked) {
        list(c, one, req, path, user);
    }
    if (one != NULL) {
        one->request_ms = gtv_mono_ms();
    }
    return true;
}

void gtv_hls_clients_sent(struct gtv_hls_clients *c, const struct gtv_http_request *req, struct gtv_str path,
                          size_t bytes)
{
    char text[KEY_CAP];
    struct client *one = gtv_map_get(c->clients, key_of(req, path, text));
    if (one != NULL) {
        one->row.outbound_bytes += bytes;
    }
}

void gtv_hls_clients_tick(struct gtv_hls_clients *c, int64_t now_ms)
{
    if (now_ms - c->tick_ms < TICK_MS) {
        return;
    }
    c->tick_ms = now_ms;
    size_t it = 0;
    struct gtv_str key;
    void *value = NULL;
    while (gtv_map_next(c->clients, &it, &key, &value)) {
        struct client *one = value;
        if (now_ms - one->request_ms >= GTV_HLS_CLIENT_MS) {
            (void)gtv_map_remove(c->clients, key);
            client_free(one);
        }
    }
}
