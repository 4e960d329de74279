#include "services/ai/watch/watching.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RELOAD_MS = 10000,  // all cameras are read again, whatever the news said
    NEWS_DELAY_MS = 50, // a burst of news is one reading
    TICK_MS = 200,
    TICKS_A_SECOND = 1000 / TICK_MS,
    STATE_EXPIRY_S = 120,
    SUB_PATIENCE_MS = 45000, // a smaller stream without a picture for that long gives way to the other one
    SUB_AGAIN_MS = 600000,   // for that long
};

void gtv_watch_key(int64_t id, char out[24])
{
    snprintf(out, 24, "%lld", (long long)id);
}

struct gtv_watch_camera *gtv_watch_find(struct gtv_watcher *w, int64_t id)
{
    char key[24];
    gtv_watch_key(id, key);
    return gtv_map_get(w->cameras, gtv_str_of(key));
}

const struct gtv_scene_settings *gtv_watch_settings(const struct gtv_watch_camera *c)
{
    return c->settings ? c->settings : c->watcher->defaults;
}

// ---- Sources ----

static bool wanted(const struct gtv_watch_camera *c)
{
    return !c->watcher->closing && !c->gone && c->order != GTV_WATCH_STOP &&
           (c->order == GTV_WATCH_START || c->known.ai_enabled);
}

// ---- Which stream ----

static bool wants_sub(const struct gtv_watch_camera *c, int64_t now_ms)
{
    const struct gtv_scene_settings *s = gtv_watch_settings(c);
    if (!c->known.sub_url[0] || s->stream == GTV_STREAM_MAIN)
        return false;
    if (s->stream == GTV_STREAM_SUB)
        return true;
    bool plates = s->plates && gtv_plates_ready(c->watcher->config.plates);
    return !plates && now_ms >= c->sub_again_ms;
}

// Better many pixels than none: where it may choose it does not stay with a smaller stream that is not there.
static void judge_sub(struct gtv_watch_camera *c, int64_t now_ms)
{
    struct gtv_source_status status;
    if (!c->on_sub || gtv_watch_settings(c)->stream != GTV_STREAM_AUTO)
        return;
    gtv_source_get_status(c->source, &status);
    if (status.frames != c->sub_frames || !c->sub_waits_since) {
        c->sub_frames = status.frames;
        c->sub_waits_since = now_ms;
    } else if (now_ms - c->sub_waits_since > SUB_PATIENCE_MS) {
        c->sub_again_ms = now_ms + SUB_AGAIN_MS;
        gtv_log_warn(&c->watcher->log, "its smaller stream gives no picture: the other one is watched",
                     "camera_id=%lld cause=\"%s\"", (long long)c->known.id, status.cause);
    }
}

static void start_source(struct gtv_watcher *w, struct gtv_watch_camera *c, struct gtv_str state)
{
    char path[GTV_CAMERA_PATH_CAP];
    c->on_sub = wants_sub(c, gtv_mono_ms());
    c->sub_waits_since = 0;
    (void)(c->on_sub ? gtv_camera_sub_path : gtv_camera_path)(c->known.id, path);
    char *relay = gtv_asprintf("%s/%s/relay", w->config.hls_url, path);
    char *rtsp = w->config.rtsp_url
                     ? gtv_reader_rtsp_url(w->config.rtsp_url, w->config.read_user, w->config.read_pass, path)
                     : NULL;
    c->analysis = gtv_analysis_create(&(struct gtv_analysis_config){
        .camera_id = c->known.id,
        .confidence = w->config.min_confidence,
        .settings = gtv_watch_settings(c),
        .store = w->config.store,
        .plates = w->config.plates,
        .meters = &w->meters,
        .on_live = gtv_watch_on_live,
        .on_happening = gtv_watch_on_happening,
        .arg = c,
    });
    if (state.n)
        gtv_analysis_load(c->analysis, state);
    if (gtv_watch_settings(c)->plates)
        gtv_plates_expect(w->config.plates);
    c->source = gtv_source_start(&(struct gtv_source_config){
        .camera_id = c->known.id,
        .relay_url = relay,
        .rtsp_url = rtsp,
        .user = w->config.read_user,
        .pass = w->config.read_pass,
        .way = w->config.way,
        .http = w->http,
        .hub = w->hub,
        .decoders = w->decoders,
        .scalers = w->scalers,
        .engine = w->config.engine,
        .policy = w->config.policy,
        .size_gate = w->config.size_gate,
        .min_confidence = w->config.min_confidence,
        .settings = gtv_watch_settings(c),
        .on_look = gtv_watch_on_look,
        .arg = c,
    });
    free(relay);
    free(rtsp);
    c->plan = (struct gtv_planned){0};
    gtv_faults_inherit(&c->faults, c->faults.told);
    c->resized = 0;
    c->saved = 0;
    gtv_source_grant(c->source, gtv_planner_first_interval(w->planner, gtv_watch_settings(c)), false, false);
    w->sources++;
    gtv_log_info(&w->log, "watching", "camera=%s resumed=%d", path, state.n > 0);
}

static void on_state_read(void *arg, redisReply *reply)
{
    struct gtv_watch_camera *c = arg;
    struct gtv_watcher *w = c->watcher;
    struct gtv_str text = {0};
    c->loading = false;
    if (reply && reply->type == REDIS_REPLY_STRING)
        text = (struct gtv_str){reply->str, (size_t)reply->len};
    if (!c->source && wanted(c) && gtv_leases_held(w->leases, c->known.id))
        start_source(w, c, text);
}

static void on_faults_read(void *arg, redisReply *reply)
{
    struct gtv_watch_camera *c = arg;
    unsigned told = 0;
    for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
        told |= gtv_faults_read(reply->element[i]->str, reply->element[i + 1]->str);
    if (reply && reply->type == REDIS_REPLY_ARRAY)
        gtv_faults_inherit(&c->faults, told);
    if (!reply || !gtv_redis_command(c->watcher->redis, on_state_read, c, "GET %s%lld", GTV_KEY_AI_STATE,
                                     (long long)c->known.id))
        on_state_read(c, NULL);
}

// What another program would need to go on here.
static void save_state(struct gtv_watcher *w, struct gtv_watch_camera *c)
{
    uint64_t revision;
    struct gtv_bytes *state = gtv_analysis_save(c->analysis, &revision);
    if (state && revision != c->saved &&
        gtv_redis_command(w->redis, NULL, NULL, "SET %s%lld %b EX %d", GTV_KEY_AI_STATE,
                          (long long)c->known.id, state->data, state->len, STATE_EXPIRY_S))
        c->saved = revision;
    gtv_bytes_unref(state);
}

static bool has_network(struct gtv_watcher *w, struct gtv_watch_camera *c)
{
    struct gtv_detector *d = gtv_engine_detector(w->config.engine);
    bool has = gtv_detector_model(d) != NULL;
    if (!has)
        snprintf(c->refusal, sizeof(c->refusal), "%s", gtv_detector_message(d));
    gtv_detector_unref(d);
    return has;
}

// Brings what is done in line with what is wanted and held.
void gtv_watch_reconcile(struct gtv_watcher *w, struct gtv_watch_camera *c)
{
    c->refused = NULL;
    bool want = wanted(c), held = gtv_leases_held(w->leases, c->known.id);
    if (want && !has_network(w, c)) {
        c->refused = c->refusal;
        want = false;
    }
    if (!want || !held) {
        if (c->source && !c->stopping) {
            save_state(w, c);
            gtv_source_stop(c->source);
            c->stopping = true;
        }
        if (want && !gtv_leases_owner(w->leases, c->known.id) && w->sources >= w->config.max_cameras)
            c->refused = "as many cameras as AI_MAX_CAMERAS allows are watched already";
    } else if (c->source && !c->stopping && wants_sub(c, gtv_mono_ms()) != c->on_sub) {
        gtv_source_stop(c->source); // and begins anew with the other one
        c->stopping = true;
    } else if (!c->source && !c->loading) {
        char faults[GTV_FAULTS_KEY_CAP];
        c->loading =
            gtv_redis_command(w->redis, on_faults_read, c, "HGETALL %s", gtv_faults_key(c->known.id, faults));
        if (!c->loading)
            start_source(w, c, (struct gtv_str){0});
    }
    gtv_gauge_set(w->watched, (int64_t)w->sources);
}

static void collect(struct gtv_watcher *w, struct gtv_watch_camera *c)
{
    bool elsewhere = w->closing || (wanted(c) && !gtv_leases_held(w->leases, c->known.id));
    gtv_source_destroy(c->source);
    c->source = NULL;
    c->stopping = false;
    w->sources--;
    gtv_analysis_finish(c->analysis, elsewhere);
    gtv_analysis_destroy(c->analysis);
    c->analysis = NULL;
    if (!elsewhere) {
        char faults[GTV_FAULTS_KEY_CAP];
        c->faults = (struct gtv_faults){0};
        (void)gtv_redis_command(w->redis, NULL, NULL, "DEL %s%lld", GTV_KEY_AI_STATE, (long long)c->known.id);
        (void)gtv_redis_command(w->redis, NULL, NULL, "DEL %s", gtv_faults_key(c->known.id, faults));
    }
}

static void camera_free(void *p)
{
    struct gtv_watch_camera *c = p;
    free(c->settings);
    free((void *)(uintptr_t)c->settings_text.p);
    gtv_bytes_unref(atomic_load(&c->picture));
    free(c);
}

static void plan(struct gtv_watcher *w)
{
    struct gtv_planned *list[GTV_PLANNER_MAX];
    struct gtv_source_status status;
    size_t n = 0, it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value) && n < GTV_PLANNER_MAX) {
        struct gtv_watch_camera *c = value;
        if (!c->source || c->stopping)
            continue;
        gtv_source_get_status(c->source, &status);
        gtv_planner_measure(w->planner, &c->plan, &status, gtv_analysis_cpu_ms(c->analysis),
                            gtv_analysis_plate_ms(c->analysis), gtv_watch_settings(c));
        gtv_watch_tell_faults(c, &status);
        save_state(w, c);
        list[n++] = &c->plan;
    }
    gtv_planner_share(w->planner, list, n);
    it = 0;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct gtv_watch_camera *c = value;
        if (!c->source || c->stopping || !c->plan.measured)
            continue;
        // A little more than wanted is what rounding makes of it.
        bool ample = !c->plan.squeeze && c->plan.interval_ms * c->plan.wanted < 1020;
        gtv_source_grant(c->source, c->plan.interval_ms, c->plan.squeeze, ample);
        gtv_analysis_allow_plates(c->analysis, c->plan.plates_ms);
    }
}

// Collects the sources that have ended, and gives their places to others.
static void on_tick(void *arg)
{
    struct gtv_watcher *w = arg;
    int64_t now = gtv_mono_ms();
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct gtv_watch_camera *c = value;
        if (c->source && gtv_source_ended(c->source))
            collect(w, c);
        else if (c->source)
            gtv_source_tick(c->source, now);
        if (c->source && !c->stopping)
            judge_sub(c, now);
        gtv_watch_reconcile(w, c);
        if (c->gone && !c->source && !c->loading) {
            (void)gtv_map_remove(w->cameras, key);
            camera_free(c);
        }
    }
    if (++w->ticks % TICKS_A_SECOND == 0)
        plan(w);
}

// ---- Which cameras ----

static size_t wanted_ids(void *arg, int64_t *ids, size_t cap)
{
    struct gtv_watcher *w = arg;
    size_t n = 0, it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value) && n < cap) {
        struct gtv_watch_camera *c = value;
        if (wanted(c) && has_network(w, c))
            ids[n++] = c->known.id;
    }
    return n;
}

static void on_lease(void *arg, int64_t id, bool held)
{
    struct gtv_watcher *w = arg;
    struct gtv_watch_camera *c = gtv_watch_find(w, id);
    if (c)
        gtv_watch_reconcile(w, c);
}

static void on_state(void *arg, bool up)
{
    struct gtv_watcher *w = arg;
    if (up)
        gtv_timer_start(w->reload, 0, RELOAD_MS);
}

static void on_news(void *arg, const char *id, const redisReply *fields)
{
    struct gtv_watcher *w = arg;
    gtv_timer_start(w->reload, NEWS_DELAY_MS, RELOAD_MS);
}

static void spread(struct gtv_watcher *w, int64_t id)
{
    (void)gtv_redis_command(w->redis, NULL, NULL, "XADD %s MAXLEN ~ 1000 * id %lld by ai",
                            GTV_KEY_CAMERAS_NEWS, (long long)id);
}

// ---- From outside ----

static void register_metrics(struct gtv_watcher *w)
{
    static const double bounds[] = {0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10};
    struct gtv_metrics *m = w->config.metrics;
    w->published = gtv_metrics_counter(m, "gtv_ai_events_total", "result=\"published\"",
                                       "Events of live cameras, by what became of them.");
    w->dropped = gtv_metrics_counter(m, "gtv_ai_events_total", "result=\"dropped\"",
                                     "Events of live cameras, by what became of them.");
    w->looks = gtv_metrics_counter(m, "gtv_ai_looks_total", "", "Frames of live cameras that were analysed.");
    gtv_plate_meters_init(&w->meters, m);
    w->watched = gtv_metrics_gauge(m, "gtv_ai_cameras_watched", "", "Cameras that this process watches.");
    w->latency = gtv_metrics_histogram(m, "gtv_ai_event_latency_seconds", "",
                                       "From a frame's arrival in the media node to its event.", bounds,
                                       sizeof(bounds) / sizeof(bounds[0]));
}

static void create_parts(struct gtv_watcher *w)
{
    const struct gtv_watcher_config *config = &w->config;
    w->reload = gtv_timer_create(config->loop, gtv_watch_load, w);
    w->tick = gtv_timer_create(config->loop, on_tick, w);
    w->http = gtv_http_client_create(config->loop, config->max_cameras + 16);
    w->hub = gtv_rtsp_hub_create(config->loop);
    w->decoders = gtv_decode_pool_create(config->cores);
    w->scalers = gtv_scalers_create();
    w->defaults = GTV_NEW(struct gtv_scene_settings);
    gtv_scene_settings_init(w->defaults);
    w->planner = gtv_planner_create(&(struct gtv_planner_config){
        .cores = config->cores,
        .cpu_budget = config->cpu_budget,
        .max_fps = config->max_fps,
        .min_fps = config->min_fps,
        .metrics = config->metrics,
    });
    w->leases = gtv_leases_create(&(struct gtv_leases_config){
        .loop = config->loop,
        .owner = w->owner,
        .max = config->max_cameras,
        .wanted = wanted_ids,
        .on_change = on_lease,
        .arg = w,
    });
}

struct gtv_watcher *gtv_watcher_create(const struct gtv_watcher_config *config, struct gtv_error *err)
{
    struct gtv_watcher *w = GTV_NEW(struct gtv_watcher);
    w->config = *config;
    w->log = (struct gtv_log){.component = "ai"};
    w->cameras = gtv_map_create();
    gtv_lease_owner(w->owner);
    register_metrics(w);
    create_parts(w);
    w->outbox = gtv_outbox_create(&(struct gtv_outbox_config){.loop = config->loop,
                                                              .spool_dir = config->spool_dir,
                                                              .spool_bytes = config->spool_bytes,
                                                              .owner = w->owner,
                                                              .metrics = config->metrics});
    w->redis = gtv_redis_create(config->loop, config->redis_url, "gtv-ai", on_state, w, err);
    if (w->redis)
        // From its beginning: what is stored between the first reading and the first news is seen at once.
        w->news = gtv_redis_tail_create(config->loop, config->redis_url, "gtv-ai-news", GTV_KEY_CAMERAS_NEWS,
                                        "0", on_news, w, err);
    if (!w->news) {
        gtv_watcher_destroy(w);
        return NULL;
    }
    gtv_outbox_redis(w->outbox, w->redis);
    gtv_leases_redis(w->leases, w->redis);
    gtv_timer_start(w->tick, TICK_MS, TICK_MS);
    return w;
}

void gtv_watcher_stop(struct gtv_watcher *w)
{
    w->closing = true;
    gtv_timer_stop(w->tick);
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value)) // all are asked before the first is waited for
        gtv_watch_reconcile(w, value);
    it = 0;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct gtv_watch_camera *c = value;
        if (c->source)
            collect(w, c);
    }
    gtv_leases_release_all(w->leases);
}

void gtv_watcher_destroy(struct gtv_watcher *w)
{
    if (!w)
        return;
    w->closing = true;
    gtv_redis_tail_destroy(w->news);
    gtv_redis_destroy(w->redis); // what was not answered goes to the spool
    w->redis = NULL;
    gtv_outbox_destroy(w->outbox);
    gtv_leases_destroy(w->leases);
    gtv_map_destroy(w->cameras, camera_free);
    gtv_http_client_destroy(w->http);
    gtv_rtsp_hub_destroy(w->hub);
    gtv_decode_pool_destroy(w->decoders);
    gtv_scalers_destroy(w->scalers);
    gtv_planner_destroy(w->planner);
    gtv_timer_destroy(w->reload);
    gtv_timer_destroy(w->tick);
    free(w->defaults);
    free(w);
}

static bool known(struct gtv_watcher *w, int64_t id, struct gtv_watch_camera **out, struct gtv_error *err)
{
    *out = gtv_watch_find(w, id);
    if (*out && !(*out)->gone)
        return true;
    if (w->loaded)
        gtv_error_set(err, GTV_E_NOT_FOUND, "id", "Camera %lld is not provisioned", (long long)id);
    else
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "The cameras are not known yet: Redis does not answer");
    return false;
}

static void store_order(struct gtv_watcher *w, const struct gtv_watch_camera *c)
{
    if (c->order == GTV_WATCH_AUTO)
        (void)gtv_redis_command(w->redis, NULL, NULL, "HDEL %s %lld", GTV_KEY_AI_ORDERS,
                                (long long)c->known.id);
    else
        (void)gtv_redis_command(w->redis, NULL, NULL, "HSET %s %lld %s", GTV_KEY_AI_ORDERS,
                                (long long)c->known.id, c->order == GTV_WATCH_START ? "start" : "stop");
    spread(w, c->known.id);
}

bool gtv_watcher_order(struct gtv_watcher *w, int64_t id, enum gtv_watch_order order, struct gtv_error *err)
{
    struct gtv_watch_camera *c;
    if (!known(w, id, &c, err))
        return false;
    enum gtv_watch_order before = c->order;
    c->order = order;
    gtv_watch_reconcile(w, c);
    // With other programs there, one of them may have room for it.
    if (order != GTV_WATCH_STOP && c->refused && gtv_leases_members(w->leases) <= 1) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s", c->refused);
        c->order = before;
        gtv_watch_reconcile(w, c);
        return false;
    }
    store_order(w, c);
    gtv_leases_soon(w->leases);
    return true;
}

static void describe(struct gtv_watch_camera *c, struct gtv_watched *out)
{
    const char *owner = gtv_leases_owner(c->watcher->leases, c->known.id);
    memset(out, 0, sizeof(*out));
    out->id = c->known.id;
    out->name = c->known.name;
    out->ai_enabled = c->known.ai_enabled;
    out->has_sub = c->known.sub_url[0] != '\0';
    out->on_sub = c->on_sub;
    out->order = c->order;
    out->watched = c->source && !c->stopping;
    out->refused = c->refused;
    out->elsewhere = wanted(c) && owner && strcmp(owner, c->watcher->owner) != 0 ? owner : NULL;
    if (!c->source)
        return;
    gtv_source_get_status(c->source, &out->source);
    out->tracks = gtv_analysis_tracks(c->analysis);
    out->analysis_ms = gtv_analysis_cpu_ms(c->analysis);
    out->line_count = gtv_analysis_counts(c->analysis, gtv_wall_ms(), out->counts, GTV_SCENE_MAX_LINES);
}

bool gtv_watcher_get(struct gtv_watcher *w, int64_t id, struct gtv_watched *out, struct gtv_error *err)
{
    struct gtv_watch_camera *c;
    if (!known(w, id, &c, err))
        return false;
    describe(c, out);
    return true;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct gtv_watched *)a)->id, y = ((const struct gtv_watched *)b)->id;
    return (x > y) - (x < y);
}

size_t gtv_watcher_list(struct gtv_watcher *w, struct gtv_watched *out, size_t cap)
{
    size_t it = 0, n = 0, total = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct gtv_watch_camera *c = value;
        if (c->gone)
            continue;
        total++;
        if (n < cap)
            describe(c, &out[n++]);
    }
    if (n)
        qsort(out, n, sizeof(*out), by_id);
    return total;
}

bool gtv_watcher_redis_up(const struct gtv_watcher *w)
{
    return gtv_redis_up(w->redis);
}

const char *gtv_watcher_redis_reason(const struct gtv_watcher *w)
{
    return gtv_redis_reason(w->redis);
}

const char *gtv_watcher_owner(const struct gtv_watcher *w)
{
    return w->owner;
}

bool gtv_watcher_take_picture(struct gtv_watcher *w, int64_t id, struct gtv_bytes **out)
{
    struct gtv_watch_camera *c = gtv_watch_find(w, id);
    *out = NULL;
    if (!c || !c->source || c->stopping)
        return false;
    *out = atomic_exchange(&c->picture, NULL);
    if (!*out)
        atomic_store(&c->picture_wished, true);
    return true;
}

const struct gtv_scene_settings *gtv_watcher_settings(struct gtv_watcher *w, int64_t id,
                                                      struct gtv_error *err)
{
    struct gtv_watch_camera *c;
    return known(w, id, &c, err) ? gtv_watch_settings(c) : NULL;
}

bool gtv_watcher_set(struct gtv_watcher *w, int64_t id, const struct gtv_scene_settings *settings,
                     struct gtv_error *err)
{
    struct gtv_watch_camera *c;
    if (!known(w, id, &c, err))
        return false;
    struct gtv_bytes *text = gtv_scene_settings_text(settings);
    bool sent = text && gtv_redis_command(w->redis, NULL, NULL, "HSET %s %lld %b", GTV_KEY_AI_ANALYSIS,
                                          (long long)id, text->data, text->len);
    if (sent) {
        gtv_watch_take_settings(w, c, gtv_bytes_str(text));
        spread(w, id);
    } else {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "The settings cannot be stored: Redis does not answer");
    }
    gtv_bytes_unref(text);
    return sent;
}

void gtv_watcher_set_rates(struct gtv_watcher *w, double max_fps, double min_fps, double cpu_budget)
{
    gtv_planner_set_rates(w->planner, max_fps, min_fps, cpu_budget);
}

void gtv_watcher_set_confidence(struct gtv_watcher *w, double confidence)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    w->config.min_confidence = confidence;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct gtv_watch_camera *c = value;
        if (c->analysis)
            gtv_analysis_set_confidence(c->analysis, confidence);
        if (c->source)
            gtv_source_set_confidence(c->source, confidence);
    }
}

void gtv_watcher_capacity(struct gtv_watcher *w, struct gtv_capacity *out)
{
    *out = (struct gtv_capacity){.programs = gtv_leases_members(w->leases)};
    gtv_planner_capacity(w->planner, out);
}

void gtv_watcher_outbox_stats(struct gtv_watcher *w, struct gtv_outbox_stats *out)
{
    gtv_outbox_get_stats(w->outbox, out);
}
