#include "services/streaming/nodes.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"

#include <pthread.h>
#include <stdlib.h>

enum { NOTES_MAX = 4096 }; // paths of others whose node is remembered; more go to where they hash to

struct node {
    char *id, *api, *hls;
    struct gtv_node_state state; // guarded by the lock
};

struct gtv_nodes {
    struct node node[GTV_NODES_MAX];
    uint64_t seeds[GTV_NODES_MAX];
    double weights[GTV_NODES_MAX];
    size_t count;
    _Atomic uint32_t wanted, serving; // bit i: node i takes part
    pthread_mutex_t lock;             // guards states and notes
    struct gtv_map *notes;            // path -> number of its node + 1, as a pointer
};

static uint32_t all_of(const struct gtv_nodes *n)
{
    return (uint32_t)((UINT64_C(1) << n->count) - 1);
}

static char *base_of(struct gtv_str url)
{
    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    return gtv_strndup(url);
}

static bool base_valid(struct gtv_str url, struct gtv_url *u)
{
    return gtv_url_parse(url, u) &&
           (gtv_str_ieq(u->scheme, GTV_STR("http")) || gtv_str_ieq(u->scheme, GTV_STR("https"))) &&
           u->query.n == 0;
}

static bool id_valid(struct gtv_str id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == ':' || c == '_' || c == '-';
        if (!ok)
            return false;
    }
    return id.n > 0 && id.n <= 100;
}

static bool wrong(struct gtv_error *err, const char *option, const char *what, struct gtv_str entry)
{
    char shown[128];
    size_t n = gtv_redact(entry, shown, sizeof shown);
    gtv_error_set(err, GTV_E_INVALID, option, "%s: %s: \"%.*s\"", option, what, (int)n, shown);
    return false;
}

static bool take_settings(struct gtv_str settings, struct gtv_str *id, double *weight)
{
    while (settings.n) {
        struct gtv_str value = gtv_str_trim(gtv_str_cut(&settings, ';'));
        struct gtv_str name = gtv_str_trim(gtv_str_cut(&value, '='));
        value = gtv_str_trim(value);
        if (gtv_str_eq(name, GTV_STR("weight"))) {
            if (!gtv_parse_double(value, 0.01, 100, weight))
                return false;
        } else if (gtv_str_eq(name, GTV_STR("id"))) {
            *id = value;
        } else {
            return false;
        }
    }
    return true;
}

static bool add_node(struct gtv_nodes *n, struct gtv_str entry, struct gtv_error *err)
{
    static const char option[] = "MEDIAMTX_API_URL";
    struct gtv_str settings = entry, id = {NULL, 0};
    struct gtv_str url = gtv_str_trim(gtv_str_cut(&settings, ';'));
    struct gtv_url u;
    double weight = 1;
    if (n->count == GTV_NODES_MAX)
        return wrong(err, option, "more than 16 nodes", entry);
    if (!base_valid(url, &u))
        return wrong(err, option, "no http address", entry);
    if (!take_settings(settings, &id, &weight))
        return wrong(err, option, "settings are weight=0.01...100 and id=name", entry);
    struct node *node = &n->node[n->count];
    node->id = id.n ? gtv_strndup(id) : gtv_asprintf(GTV_STR_FMT ":%d", GTV_STR_ARG(u.host), u.port);
    node->api = base_of(url);
    n->weights[n->count] = weight;
    n->seeds[n->count] = gtv_place_seed(gtv_str_of(node->id));
    n->count++;
    size_t twin;
    if (!id_valid(gtv_str_of(node->id)))
        return wrong(err, option, "an id has letters, digits and .:_- only", entry);
    if (gtv_nodes_find(n, gtv_str_of(node->id), &twin) && twin != n->count - 1)
        return wrong(err, option, "this node comes twice", entry);
    return true;
}

static bool fill(struct gtv_nodes *n, struct gtv_str api, struct gtv_str hls, struct gtv_error *err)
{
    static const char option[] = "MEDIAMTX_HLS_URL";
    while (api.n) {
        struct gtv_str entry = gtv_str_trim(gtv_str_cut(&api, ','));
        if (entry.n && !add_node(n, entry, err))
            return false;
    }
    if (n->count == 0)
        return wrong(err, "MEDIAMTX_API_URL", "no address of a media node", GTV_STR(""));
    size_t count = 0;
    while (hls.n) {
        struct gtv_str entry = gtv_str_trim(gtv_str_cut(&hls, ','));
        struct gtv_url u;
        if (!entry.n)
            continue;
        if (!base_valid(entry, &u))
            return wrong(err, option, "no http address", entry);
        if (count == n->count)
            return wrong(err, option, "more addresses than MEDIAMTX_API_URL has", entry);
        n->node[count++].hls = base_of(entry);
    }
    if (count < n->count)
        return wrong(err, option, "no address for this node of MEDIAMTX_API_URL",
                     gtv_str_of(n->node[count].id));
    return true;
}

struct gtv_nodes *gtv_nodes_create(const char *api_urls, const char *hls_urls, struct gtv_error *err)
{
    struct gtv_nodes *n = GTV_NEW(struct gtv_nodes);
    pthread_mutex_init(&n->lock, NULL);
    n->notes = gtv_map_create();
    if (!fill(n, gtv_str_of(api_urls), gtv_str_of(hls_urls), err)) {
        gtv_nodes_destroy(n);
        return NULL;
    }
    // Until a node proves dead it is believed to be there.
    atomic_store(&n->wanted, all_of(n));
    atomic_store(&n->serving, all_of(n));
    return n;
}

void gtv_nodes_destroy(struct gtv_nodes *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->count; i++) {
        free(n->node[i].id);
        free(n->node[i].api);
        free(n->node[i].hls);
    }
    gtv_map_destroy(n->notes, NULL);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

size_t gtv_nodes_count(const struct gtv_nodes *n)
{
    return n->count;
}

const char *gtv_nodes_id(const struct gtv_nodes *n, size_t node)
{
    return n->node[node].id;
}

const char *gtv_nodes_api(const struct gtv_nodes *n, size_t node)
{
    return n->node[node].api;
}

const char *gtv_nodes_hls(const struct gtv_nodes *n, size_t node)
{
    return n->node[node].hls;
}

double gtv_nodes_weight(const struct gtv_nodes *n, size_t node)
{
    return n->weights[node];
}

bool gtv_nodes_find(const struct gtv_nodes *n, struct gtv_str id, size_t *node)
{
    for (size_t i = 0; i < n->count; i++)
        if (gtv_str_eq(gtv_str_of(n->node[i].id), id)) {
            *node = i;
            return true;
        }
    return false;
}

// ---- where ----

static int place(const struct gtv_nodes *n, struct gtv_str path, uint32_t set)
{
    return gtv_place(path, n->seeds, n->weights, n->count, set);
}

static bool ours(struct gtv_str path)
{
    return gtv_str_starts(path, GTV_STR("cam_"));
}

size_t gtv_nodes_serving(struct gtv_nodes *n, struct gtv_str stream)
{
    if (n->count == 1)
        return 0;
    if (!ours(stream)) {
        pthread_mutex_lock(&n->lock);
        uintptr_t noted = (uintptr_t)gtv_map_get(n->notes, stream);
        pthread_mutex_unlock(&n->lock);
        if (noted)
            return noted - 1;
    }
    int node = place(n, stream, atomic_load_explicit(&n->serving, memory_order_relaxed));
    return (size_t)(node >= 0 ? node : place(n, stream, all_of(n)));
}

const char *gtv_nodes_hls_base(struct gtv_nodes *n, struct gtv_str stream)
{
    return n->node[gtv_nodes_serving(n, stream)].hls;
}

int gtv_nodes_place(struct gtv_nodes *n, struct gtv_str path)
{
    return place(n, path, atomic_load(&n->wanted));
}

void gtv_nodes_note(struct gtv_nodes *n, struct gtv_str path, size_t node)
{
    if (n->count == 1 || ours(path))
        return;
    pthread_mutex_lock(&n->lock);
    if (gtv_map_count(n->notes) < NOTES_MAX || gtv_map_get(n->notes, path))
        (void)gtv_map_put(n->notes, path, (void *)(uintptr_t)(node + 1));
    pthread_mutex_unlock(&n->lock);
}

void gtv_nodes_forget(struct gtv_nodes *n, struct gtv_str path)
{
    pthread_mutex_lock(&n->lock);
    (void)gtv_map_remove(n->notes, path);
    pthread_mutex_unlock(&n->lock);
}

// ---- who takes part ----

struct gtv_node_state gtv_nodes_state(struct gtv_nodes *n, size_t node)
{
    pthread_mutex_lock(&n->lock);
    struct gtv_node_state s = n->node[node].state;
    pthread_mutex_unlock(&n->lock);
    return s;
}

// With the lock held.
static void set_wanted(struct gtv_nodes *n)
{
    uint32_t set = 0;
    for (size_t i = 0; i < n->count; i++)
        if (!n->node[i].state.dead && !n->node[i].state.drained)
            set |= UINT32_C(1) << i;
    atomic_store(&n->wanted, set);
}

bool gtv_nodes_set_drained(struct gtv_nodes *n, size_t node, bool drained)
{
    size_t left = 0;
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < n->count; i++)
        left += i != node && !n->node[i].state.drained;
    bool ok = !drained || left > 0;
    if (ok) {
        n->node[node].state.drained = drained;
        set_wanted(n);
    }
    pthread_mutex_unlock(&n->lock);
    return ok;
}

void gtv_nodes_set_state(struct gtv_nodes *n, size_t node, const struct gtv_node_state *state)
{
    pthread_mutex_lock(&n->lock);
    bool drained = n->node[node].state.drained;
    n->node[node].state = *state;
    n->node[node].state.drained = drained;
    set_wanted(n);
    pthread_mutex_unlock(&n->lock);
}

uint32_t gtv_nodes_wanted(struct gtv_nodes *n)
{
    return atomic_load(&n->wanted);
}

uint32_t gtv_nodes_serving_set(struct gtv_nodes *n)
{
    return atomic_load(&n->serving);
}

void gtv_nodes_switch(struct gtv_nodes *n, uint32_t set)
{
    atomic_store(&n->serving, set);
}
