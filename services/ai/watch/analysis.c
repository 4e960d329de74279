#include "services/ai/watch/analysis.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/watch/shots.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_PLATES_MS = 200 }; // a second, for plates, until the planner says otherwise

// A track that another program followed and this one goes on with.
struct known {
    uint64_t id;
    int64_t first_ms, seen_ms;
    enum gtv_vehicle vehicle;
    double confidence;
    struct gtv_track_box box;
    double vx, vy;
};

// A track's id here, and by which it was known before.
struct alias {
    uint64_t here, before;
    int64_t first_ms;
};

// What one look needs; made and freed with it.
struct scratch {
    struct gtv_detected found[GTV_MAX_OBJECTS];
    struct gtv_track_event events[GTV_TRACK_EVENTS_MAX];
    struct gtv_track tracks[GTV_TRACK_EVENTS_MAX];
    struct gtv_happening happenings[GTV_SCENE_MAX_HAPPENINGS];
    size_t found_count, event_count, happening_count;
    int64_t wall_ms;
    int width, height;
    const AVFrame *frame; // NULL: the last one is gone
};

struct gtv_analysis {
    struct gtv_analysis_config config;
    struct gtv_shots *shots;         // of the thread that looks
    struct gtv_track_plates *plates; // the same; NULL: none are read
    double confidence;               // that the tracker was made for
    int64_t live_ms;                 // monotonic, of the last live event
    bool had_boxes;
    int width, height; // of the last look
    int64_t wall_ms;
    char model[64];

    pthread_mutex_t lock; // guards what follows
    struct gtv_tracker *tracker;
    struct gtv_scene *scene;
    struct gtv_scene_settings settings;
    bool settings_new;
    struct known open[GTV_TRACK_MAX]; // tracks that have begun, as of the last look
    size_t open_count;
    struct known resumed[GTV_TRACK_MAX]; // of another program, not found again yet
    size_t resumed_count;
    int64_t resumed_ms; // when the first look after it was, 0: not yet
    struct alias aliases[GTV_TRACK_MAX];
    size_t alias_count, in_sight;
    uint64_t revision;
    double cpu_ms, plate_ms, plate_allowance_ms;
};

static const struct gtv_track *track_of(const struct scratch *x, uint64_t id)
{
    for (size_t i = 0; i < x->event_count; i++)
        if (x->tracks[i].id == id)
            return &x->tracks[i];
    return NULL;
}

// ---- Going on where another program ended ----

static double overlap(const struct gtv_track_box *a, const struct gtv_track_box *b)
{
    double w = fmin(a->x + a->w, b->x + b->w) - fmax(a->x, b->x);
    double h = fmin(a->y + a->h, b->y + b->h) - fmax(a->y, b->y);
    return w > 0 && h > 0 ? w * h / (a->w * a->h + b->w * b->h - w * h) : 0;
}

// Where a vehicle of before should be now; its speed is trusted for a while only.
static struct gtv_track_box foreseen(const struct known *k, int64_t wall_ms)
{
    double s = fmin(fmax((double)(wall_ms - k->seen_ms) / 1000, 0), 8);
    struct gtv_track_box box = k->box;
    box.x += k->vx * s;
    box.y += k->vy * s;
    return box;
}

static void adopt(struct gtv_analysis *a, struct gtv_track *t, int64_t wall_ms)
{
    size_t best = a->resumed_count;
    double score = 0;
    for (size_t i = 0; i < a->resumed_count; i++) {
        const struct known *k = &a->resumed[i];
        struct gtv_track_box there = foreseen(k, wall_ms);
        double far = hypot(there.x + there.w / 2 - t->box.x - t->box.w / 2,
                           there.y + there.h / 2 - t->box.y - t->box.h / 2);
        // By its box, or near enough: looks may have been seconds apart.
        double s = fmax(overlap(&there, &t->box), 0.4 - 0.2 * far / fmax(hypot(t->box.w, t->box.h), 1));
        if (s > 0.15 && s > score) {
            score = s;
            best = i;
        }
    }
    if (best == a->resumed_count || a->alias_count == GTV_TRACK_MAX)
        return;
    a->aliases[a->alias_count++] =
        (struct alias){.here = t->id, .before = a->resumed[best].id, .first_ms = a->resumed[best].first_ms};
    a->resumed[best] = a->resumed[--a->resumed_count];
}

static void rename_tracks(struct gtv_analysis *a, struct scratch *x)
{
    if (a->resumed_count && !a->resumed_ms)
        a->resumed_ms = x->wall_ms;
    for (size_t i = 0; i < x->event_count; i++) {
        struct gtv_track *t = &x->tracks[i];
        *t = *x->events[i].track;
        x->events[i].track = t;
        if (x->events[i].change == GTV_TRACK_STARTED && a->resumed_count)
            adopt(a, t, x->wall_ms);
        for (size_t k = 0; k < a->alias_count; k++) {
            if (a->aliases[k].here != t->id)
                continue;
            t->id = a->aliases[k].before;
            t->first_ms = a->aliases[k].first_ms;
            if (x->events[i].change == GTV_TRACK_ENDED)
                a->aliases[k] = a->aliases[--a->alias_count];
            break;
        }
    }
}

// ---- Telling ----

static int whole(double v)
{
    return (int)lround(fmax(fmin(v, 1e6), -1e6));
}

static void put_box(struct gtv_happening_event *e, const struct gtv_track_box *box)
{
    e->x = whole(box->x);
    e->y = whole(box->y);
    e->w = whole(box->w);
    e->h = whole(box->h);
}

static void tell(struct gtv_analysis *a, const struct gtv_happening_event *e)
{
    char key[GTV_HAPPENING_KEY_CAP];
    struct gtv_bytes *json = gtv_event_happening(e);
    if (json)
        a->config.on_happening(a->config.arg, e->type, gtv_happening_key(e, key), json, e->wall_ms);
}

static void tell_happening(struct gtv_analysis *a, const struct scratch *x, const struct gtv_happening *h)
{
    char crop[GTV_STORE_NAME_CAP], key[sizeof(h->key) + 16];
    const struct gtv_track *t = track_of(x, h->current);
    struct gtv_happening_event e = {
        .type = gtv_happening_name(h->kind),
        .key = h->key,
        .camera_id = a->config.camera_id,
        .wall_ms = h->wall_ms,
        .width = x->width,
        .height = x->height,
        .track = h->track,
        .object_type = gtv_vehicle_names[h->vehicle],
        .confidence = h->confidence,
        .place_id = h->id,
        .place_name = h->name,
        .direction = h->kind == GTV_LINE_CROSSED ? h->direction : NULL,
        .is_crossing = h->kind == GTV_LINE_CROSSED,
        .forward = h->forward,
        .seconds = -1,
        .degrees = h->kind == GTV_WRONG_WAY ? h->degrees : -1,
        .crop = gtv_shots_name(a->shots, h->current, crop) ? crop : NULL,
    };
    put_box(&e, &h->box);
    if (t) {
        e.share = t->vehicle_share;
        e.first_ms = t->first_ms;
        e.last_ms = h->kind == GTV_TRACK_OVER ? t->seen_ms : 0;
    }
    if (h->kind == GTV_ZONE_LEFT || h->kind == GTV_VEHICLE_STOPPED || h->kind == GTV_TRACK_OVER)
        e.seconds = h->seconds;
    if (h->kind == GTV_SPEED_MEASURED) {
        e.speed_kmh = h->speed_kmh;
        e.limit_kmh = h->limit_kmh;
    }
    if (h->kind == GTV_VEHICLE_STOPPED || h->kind == GTV_WRONG_WAY) {
        e.type = "alert";
        e.alert = gtv_happening_name(h->kind);
    }
    tell(a, &e);
    if (h->kind == GTV_SPEED_MEASURED && h->over) {
        snprintf(key, sizeof(key), "speeding/%s", h->key);
        e.type = "alert";
        e.alert = "speeding";
        e.key = key;
        tell(a, &e);
    }
}

// Vehicles of another program's tracks that did not come back: their tracks end here.
static void end_resumed(struct gtv_analysis *a, const struct known *gone, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct known *k = &gone[i];
        char key[64], crop[GTV_STORE_NAME_CAP];
        snprintf(key, sizeof(key), "%s/%llu", gtv_happening_name(GTV_TRACK_OVER), (unsigned long long)k->id);
        struct gtv_happening_event e = {
            .type = gtv_happening_name(GTV_TRACK_OVER),
            .key = key,
            .camera_id = a->config.camera_id,
            .wall_ms = k->seen_ms,
            .width = a->width,
            .height = a->height,
            .track = k->id,
            .object_type = gtv_vehicle_names[k->vehicle],
            .confidence = k->confidence,
            .first_ms = k->first_ms,
            .last_ms = k->seen_ms,
            .seconds = (double)(k->seen_ms - k->first_ms) / 1000,
            .degrees = -1,
            .crop = a->config.store ? gtv_store_name(a->config.camera_id, k->first_ms, k->id, crop) : NULL,
        };
        put_box(&e, &k->box);
        tell(a, &e);
    }
}

// The boxes of now, at most five times a second; none only after some, so that they vanish.
static void tell_boxes(struct gtv_analysis *a, const struct scratch *x)
{
    struct gtv_detected shown[GTV_MAX_OBJECTS];
    uint64_t tracks[GTV_MAX_OBJECTS] = {0};
    const char *plates[GTV_MAX_OBJECTS];
    size_t n = 0;
    for (size_t i = 0; i < x->found_count; i++) {
        uint64_t id = 0;
        for (size_t k = 0; k < x->event_count && !id; k++)
            if (x->tracks[k].detection == (int)i)
                id = x->tracks[k].id;
        if (!id && x->found[i].confidence < a->confidence)
            continue;
        shown[n] = x->found[i];
        plates[n] = a->plates && id ? gtv_track_plates_text(a->plates, id) : NULL;
        tracks[n++] = id;
    }
    int64_t now = gtv_mono_ms();
    if ((n == 0 && !a->had_boxes) || (now - a->live_ms < GTV_ANALYSIS_LIVE_MS && n > 0))
        return;
    struct gtv_bytes *event = gtv_event_detection(&(struct gtv_detection_event){
        .camera_id = a->config.camera_id,
        .wall_ms = x->wall_ms,
        .width = x->width,
        .height = x->height,
        .model = a->model,
        .latency_ms = (double)(gtv_wall_ms() - x->wall_ms),
        .objects = shown,
        .count = n,
        .tracks = tracks,
        .plates = plates,
    });
    a->had_boxes = n > 0;
    a->live_ms = now;
    if (event)
        a->config.on_live(a->config.arg, event, x->wall_ms);
}

// ---- A look ----

static void note_open(struct gtv_analysis *a, const struct scratch *x)
{
    a->open_count = a->in_sight = 0;
    for (size_t i = 0; i < x->event_count; i++) {
        const struct gtv_track *t = &x->tracks[i];
        if (x->events[i].change == GTV_TRACK_ENDED)
            continue;
        a->in_sight++;
        if (gtv_scene_announced(a->scene, t->id) && a->open_count < GTV_TRACK_MAX)
            a->open[a->open_count++] = (struct known){.id = t->id,
                                                      .first_ms = t->first_ms,
                                                      .seen_ms = t->seen_ms,
                                                      .vehicle = t->vehicle,
                                                      .confidence = t->confidence,
                                                      .box = t->box,
                                                      .vx = t->vx,
                                                      .vy = t->vy};
    }
    a->revision++;
}

static void take_settings(struct gtv_analysis *a)
{
    if (!a->settings_new)
        return;
    a->settings_new = false;
    gtv_scene_set(a->scene, &a->settings);
}

// Takes out of what was resumed the tracks whose time is up. Returns how many are in out.
static size_t expired(struct gtv_analysis *a, int64_t wall_ms, struct known *out)
{
    if (!a->resumed_count || wall_ms - a->resumed_ms < GTV_ANALYSIS_RESUME_MS)
        return 0;
    size_t n = a->resumed_count;
    memcpy(out, a->resumed, n * sizeof(*out));
    a->resumed_count = 0;
    return n;
}

// ---- Plates ----

static void tell_plate(void *arg, const struct gtv_happening_event *e)
{
    tell(arg, e);
}

static void end_plates(struct gtv_analysis *a, const struct scratch *x)
{
    for (size_t i = 0; a->plates && i < x->event_count; i++)
        if (x->events[i].change == GTV_TRACK_ENDED)
            gtv_track_plates_end(a->plates, &x->tracks[i], gtv_scene_settings(a->scene));
}

// After the boxes were told, so that they never wait for it. Vehicles that were told before they were lost
// from sight (parked ones) are not read again. Returns the milliseconds that it took.
static double read_plates(struct gtv_analysis *a, const struct scratch *x, const struct gtv_look *look,
                          double allowance_ms)
{
    struct gtv_track_event *events = gtv_alloc((x->event_count + 1) * sizeof(*events));
    size_t count = 0;
    for (size_t i = 0; i < x->event_count; i++)
        if (gtv_scene_announced(a->scene, x->tracks[i].id))
            events[count++] = x->events[i];
    double ms = gtv_track_plates_look(a->plates, &(struct gtv_plates_look){
                                                     .frame = x->frame,
                                                     .worker = look->worker,
                                                     .wall_ms = x->wall_ms,
                                                     .settings = gtv_scene_settings(a->scene),
                                                     .events = events,
                                                     .count = count,
                                                     .found = x->found,
                                                     .found_count = x->found_count,
                                                     .in_sight = x->events,
                                                     .in_sight_count = x->event_count,
                                                     .allowance_ms = allowance_ms,
                                                     .still = look->still,
                                                 });
    free(events);
    return ms;
}

static void tell_all(struct gtv_analysis *a, struct scratch *x)
{
    bool crops = a->config.store && gtv_scene_settings(a->scene)->crops;
    if (x->frame && crops)
        gtv_shots_take(a->shots, x->frame, gtv_scene_settings(a->scene), x->events, x->event_count);
    end_plates(a, x);
    for (size_t i = 0; i < x->happening_count; i++) {
        const struct gtv_happening *h = &x->happenings[i];
        // Its picture is there before anybody hears of it.
        if (crops)
            gtv_shots_keep(a->shots, h->current);
        tell_happening(a, x, h);
    }
    for (size_t i = 0; i < x->event_count; i++)
        if (x->events[i].change == GTV_TRACK_ENDED)
            gtv_shots_drop(a->shots, x->tracks[i].id);
}

static void end_tracks(struct gtv_analysis *a)
{
    struct scratch *x = gtv_alloc(sizeof(*x));
    x->wall_ms = a->wall_ms;
    x->width = a->width;
    x->height = a->height;
    (void)pthread_mutex_lock(&a->lock);
    x->event_count = gtv_tracker_finish(a->tracker, x->events);
    rename_tracks(a, x);
    x->happening_count =
        gtv_scene_update(a->scene, x->events, x->event_count, x->wall_ms, x->width, x->height, x->happenings);
    (void)pthread_mutex_unlock(&a->lock);
    tell_all(a, x);
    free(x);
}

static void make_tracker(struct gtv_analysis *a)
{
    double own = a->settings.min_confidence;
    gtv_tracker_destroy(a->tracker);
    a->confidence = own > 0 ? own : a->config.confidence;
    a->tracker =
        gtv_tracker_create(&(struct gtv_track_config){.sure = a->confidence, .start = a->confidence});
}

// A tracker is made for one confidence: with another the tracks in sight end, and begin anew.
static void follow_confidence(struct gtv_analysis *a)
{
    (void)pthread_mutex_lock(&a->lock);
    double own = a->settings.min_confidence;
    bool other = (own > 0 ? own : a->config.confidence) != a->confidence;
    (void)pthread_mutex_unlock(&a->lock);
    if (!other)
        return;
    if (a->width)
        end_tracks(a);
    (void)pthread_mutex_lock(&a->lock);
    make_tracker(a);
    (void)pthread_mutex_unlock(&a->lock);
}

void gtv_analysis_look(struct gtv_analysis *a, const struct gtv_look *look)
{
    double began = gtv_thread_ms();
    follow_confidence(a);
    struct scratch *x = gtv_alloc(sizeof(*x));
    struct known *gone = gtv_alloc(GTV_TRACK_MAX * sizeof(*gone));
    x->frame = look->frame;
    x->wall_ms = look->wall_ms;
    x->width = look->frame->width;
    x->height = look->frame->height;
    x->found_count = look->found->count < GTV_MAX_OBJECTS ? look->found->count : GTV_MAX_OBJECTS;
    memcpy(x->found, look->found->objects, x->found_count * sizeof(*x->found));
    snprintf(a->model, sizeof(a->model), "%s", look->model->name);
    a->width = x->width;
    a->height = x->height;
    a->wall_ms = x->wall_ms;

    (void)pthread_mutex_lock(&a->lock);
    take_settings(a);
    x->found_count = gtv_scene_filter(&a->settings, x->found, x->found_count, x->width, x->height);
    x->event_count =
        gtv_tracker_update(a->tracker, x->found, x->found_count, x->wall_ms, x->width, x->height, x->events);
    *look->again = gtv_tracker_curious(a->tracker);
    rename_tracks(a, x);
    x->happening_count =
        gtv_scene_update(a->scene, x->events, x->event_count, x->wall_ms, x->width, x->height, x->happenings);
    note_open(a, x);
    size_t gone_count = expired(a, x->wall_ms, gone);
    double allowance = a->plate_allowance_ms;
    (void)pthread_mutex_unlock(&a->lock);

    tell_all(a, x);
    end_resumed(a, gone, gone_count);
    tell_boxes(a, x);
    double cost = gtv_thread_ms() - began, plates = 0;
    if (a->plates) {
        plates = read_plates(a, x, look, allowance);
        double here = gtv_thread_ms() - began - cost;
        double elsewhere = fmax(plates - here, 0) * fmin(look->computed, 1);
        *look->elsewhere_ms += elsewhere;
        plates = here + elsewhere;
    }
    free(gone);
    free(x);
    (void)pthread_mutex_lock(&a->lock);
    a->cpu_ms += cost;
    a->plate_ms += plates;
    (void)pthread_mutex_unlock(&a->lock);
}

void gtv_analysis_finish(struct gtv_analysis *a, bool silent)
{
    if (!silent && a->width) {
        end_tracks(a);
        end_resumed(a, a->resumed, a->resumed_count);
        if (a->plates)
            gtv_track_plates_finish(a->plates, gtv_scene_settings(a->scene));
    }
    struct scratch *x = gtv_alloc(sizeof(*x));
    x->wall_ms = a->wall_ms;
    x->width = a->width;
    x->height = a->height;
    if (a->had_boxes)
        tell_boxes(a, x); // none
    a->open_count = a->resumed_count = a->in_sight = 0;
    a->revision++;
    free(x);
}

// ---- From outside ----

struct gtv_analysis *gtv_analysis_create(const struct gtv_analysis_config *config)
{
    struct gtv_analysis *a = GTV_NEW(struct gtv_analysis);
    a->config = *config;
    a->config.settings = NULL;
    a->settings = *config->settings;
    make_tracker(a);
    a->scene = gtv_scene_create(config->settings);
    a->shots = gtv_shots_create(config->store, config->camera_id);
    a->plate_allowance_ms = FIRST_PLATES_MS;
    if (config->plates)
        a->plates = gtv_track_plates_create(&(struct gtv_track_plates_config){
            .camera_id = config->camera_id,
            .plates = config->plates,
            .meters = config->meters,
            .store = config->store,
            .shots = a->shots,
            .tell = tell_plate,
            .arg = a,
        });
    (void)pthread_mutex_init(&a->lock, NULL);
    return a;
}

void gtv_analysis_destroy(struct gtv_analysis *a)
{
    if (!a)
        return;
    gtv_tracker_destroy(a->tracker);
    gtv_scene_destroy(a->scene);
    gtv_track_plates_destroy(a->plates);
    gtv_shots_destroy(a->shots);
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
}

void gtv_analysis_set(struct gtv_analysis *a, const struct gtv_scene_settings *settings)
{
    (void)pthread_mutex_lock(&a->lock);
    a->settings = *settings;
    a->settings_new = true;
    (void)pthread_mutex_unlock(&a->lock);
}

void gtv_analysis_set_confidence(struct gtv_analysis *a, double confidence)
{
    (void)pthread_mutex_lock(&a->lock);
    a->config.confidence = confidence;
    (void)pthread_mutex_unlock(&a->lock);
}

size_t gtv_analysis_tracks(struct gtv_analysis *a)
{
    (void)pthread_mutex_lock(&a->lock);
    size_t n = a->in_sight;
    (void)pthread_mutex_unlock(&a->lock);
    return n;
}

size_t gtv_analysis_counts(struct gtv_analysis *a, int64_t wall_ms, struct gtv_line_count *out, size_t cap)
{
    size_t n = 0;
    (void)pthread_mutex_lock(&a->lock);
    while (n < cap && gtv_scene_count(a->scene, n, wall_ms, &out[n]))
        n++;
    (void)pthread_mutex_unlock(&a->lock);
    return n;
}

double gtv_analysis_cpu_ms(struct gtv_analysis *a)
{
    (void)pthread_mutex_lock(&a->lock);
    double ms = a->cpu_ms;
    (void)pthread_mutex_unlock(&a->lock);
    return ms;
}

double gtv_analysis_plate_ms(struct gtv_analysis *a)
{
    (void)pthread_mutex_lock(&a->lock);
    double ms = a->plate_ms;
    (void)pthread_mutex_unlock(&a->lock);
    return ms;
}

void gtv_analysis_allow_plates(struct gtv_analysis *a, double ms_a_second)
{
    (void)pthread_mutex_lock(&a->lock);
    a->plate_allowance_ms = ms_a_second;
    (void)pthread_mutex_unlock(&a->lock);
}

static void add_known(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct known *k)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_uint(doc, o, "id", k->id);
    yyjson_mut_obj_add_sint(doc, o, "first_ms", k->first_ms);
    yyjson_mut_obj_add_sint(doc, o, "seen_ms", k->seen_ms);
    yyjson_mut_obj_add_int(doc, o, "vehicle", (int)k->vehicle);
    yyjson_mut_obj_add_real(doc, o, "confidence", k->confidence);
    const double box[] = {k->box.x, k->box.y, k->box.w, k->box.h, k->vx, k->vy};
    yyjson_mut_obj_add_val(doc, o, "at", yyjson_mut_arr_with_real(doc, box, 6));
}

struct gtv_bytes *gtv_analysis_save(struct gtv_analysis *a, uint64_t *revision)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    (void)pthread_mutex_lock(&a->lock);
    *revision = a->revision;
    yyjson_mut_val *tracks = yyjson_mut_obj_add_arr(doc, o, "tracks");
    for (size_t i = 0; i < a->open_count; i++)
        add_known(doc, tracks, &a->open[i]);
    for (size_t i = 0; i < a->resumed_count; i++)
        add_known(doc, tracks, &a->resumed[i]);
    struct gtv_bytes *scene = gtv_scene_save(a->scene);
    (void)pthread_mutex_unlock(&a->lock);
    if (scene)
        yyjson_mut_obj_add_strncpy(doc, o, "scene", (const char *)scene->data, scene->len);
    struct gtv_bytes *text = gtv_json_write(doc);
    gtv_bytes_unref(scene);
    return text;
}

static bool read_known(yyjson_val *v, struct known *k)
{
    int64_t id, vehicle;
    yyjson_val *at = yyjson_obj_get(v, "at");
    *k = (struct known){0};
    if (!gtv_json_get_int(v, "id", GTV_JSON_REQUIRED, 1, INT64_MAX, &id, NULL) ||
        !gtv_json_get_int(v, "first_ms", GTV_JSON_REQUIRED, 0, INT64_MAX, &k->first_ms, NULL) ||
        !gtv_json_get_int(v, "seen_ms", GTV_JSON_REQUIRED, 0, INT64_MAX, &k->seen_ms, NULL) ||
        !gtv_json_get_int(v, "vehicle", GTV_JSON_REQUIRED, 0, GTV_VEHICLE_COUNT - 1, &vehicle, NULL) ||
        !gtv_json_get_double(v, "confidence", GTV_JSON_REQUIRED, 0, 1, &k->confidence, NULL) ||
        yyjson_arr_size(at) != 6)
        return false;
    double n[6];
    for (size_t i = 0; i < 6; i++) {
        n[i] = yyjson_get_num(yyjson_arr_get(at, i));
        if (!(fabs(n[i]) < 1e6))
            return false;
    }
    k->id = (uint64_t)id;
    k->vehicle = (enum gtv_vehicle)vehicle;
    k->box = (struct gtv_track_box){n[0], n[1], fmax(n[2], 1), fmax(n[3], 1)};
    k->vx = n[4];
    k->vy = n[5];
    return true;
}

void gtv_analysis_load(struct gtv_analysis *a, struct gtv_str json)
{
    struct gtv_error err = {0};
    yyjson_doc *doc = gtv_json_parse(json, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc), *v;
    struct gtv_str scene = {0};
    (void)pthread_mutex_lock(&a->lock);
    if (root && gtv_json_get_str(root, "scene", GTV_JSON_OPTIONAL, &scene, NULL) && scene.n)
        (void)!gtv_scene_load(a->scene, scene, &err);
    size_t i, n;
    yyjson_arr_foreach(yyjson_obj_get(root, "tracks"), i, n, v)
    {
        if (a->resumed_count < GTV_TRACK_MAX && read_known(v, &a->resumed[a->resumed_count]))
            a->resumed_count++;
    }
    (void)pthread_mutex_unlock(&a->lock);
    yyjson_doc_free(doc);
}
