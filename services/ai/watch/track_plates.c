#include "services/ai/watch/track_plates.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "services/ai/watch/plate_teller.h"
#include "services/ai/watch/stray_plates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MARGIN_PERCENT = 16,     // of the vehicle's box on each side: the localiser's own and some more
    EDGE = 4,                // pixels from the frame's edge that count as cut off
    FIRST_MS = 150,          // to begin with, before there is an allowance to save up
    HOPELESS = 2,            // looks in vain at a vehicle's plate, until the rest of the frame is searched
    YOUNG_MS = 2000,         // a vehicle that came so lately may still be read
    SAME_VEHICLE_DIFFER = 2, // signs in which two texts of one vehicle differ at most
};
#define OTHER_CONFIDENCE 0.5 // of a text that shows that it is another vehicle

struct pass {
    struct gtv_plate_pass pass;
    struct gtv_plate_best best;
};

// A vehicle whose plate was looked for.
struct vehicle {
    uint64_t track;
    struct pass now;
    char text[GTV_PLATE_TEXT_CAP]; // once it was told as sure
    struct pass *before; // NULL, or: until the track looked otherwise; whose it is, is not known yet
    char text_before[GTV_PLATE_TEXT_CAP];
    uint32_t earlier; // plates told of other vehicles that had this track before
    bool by_text;     // its last plate was found by the text localiser
    bool has_look;
    struct gtv_plate_look look; // at the last look
};

struct gtv_track_plates {
    struct gtv_track_plates_config config;
    struct vehicle *vehicles[GTV_TRACK_MAX]; // as many as have one; NULL behind them
    size_t count;
    struct gtv_plate_teller teller;
    struct gtv_stray_plates *stray;
    double saved_ms; // that reading may take now
    int64_t wall_ms; // of the last look
    struct gtv_plate read[GTV_PLATES_MAX];
};

void gtv_plate_meters_init(struct gtv_plate_meters *m, struct gtv_metrics *metrics)
{
    static const double bounds[] = {0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.5};
    static const char looks[] = "Looks at the plates of watched vehicles, by what came of them.";
    static const char told[] = "Plates of watched vehicles: told, one a pass; not told again.";
    m->found = gtv_metrics_counter(metrics, "gtv_ai_track_plate_readings_total", "result=\"found\"", looks);
    m->none = gtv_metrics_counter(metrics, "gtv_ai_track_plate_readings_total", "result=\"none\"", looks);
    m->failed = gtv_metrics_counter(metrics, "gtv_ai_track_plate_readings_total", "result=\"failed\"", looks);
    m->sure = gtv_metrics_counter(metrics, "gtv_ai_track_plates_total", "result=\"sure\"", told);
    m->uncertain = gtv_metrics_counter(metrics, "gtv_ai_track_plates_total", "result=\"uncertain\"", told);
    m->again = gtv_metrics_counter(metrics, "gtv_ai_track_plates_total", "result=\"again\"", told);
    m->seconds = gtv_metrics_histogram(metrics, "gtv_ai_track_plate_reading_seconds", "",
                                       "Time that one look at a watched vehicle's plate took.", bounds,
                                       sizeof(bounds) / sizeof(bounds[0]));
}

static size_t find(const struct gtv_track_plates *p, uint64_t track)
{
    size_t i = 0;
    while (i < p->count && p->vehicles[i]->track != track)
        i++;
    return i;
}

static void drop(struct gtv_track_plates *p, size_t i)
{
    gtv_plate_best_finish(&p->vehicles[i]->now.best);
    if (p->vehicles[i]->before)
        gtv_plate_best_finish(&p->vehicles[i]->before->best);
    free(p->vehicles[i]->before);
    free(p->vehicles[i]);
    p->vehicles[i] = p->vehicles[--p->count];
    p->vehicles[p->count] = NULL;
}

static struct vehicle *keep(struct gtv_track_plates *p, uint64_t track)
{
    size_t i = find(p, track);
    if (i < p->count)
        return p->vehicles[i];
    if (p->count == GTV_TRACK_MAX)
        return NULL;
    struct vehicle *v = GTV_NEW(struct vehicle);
    v->track = track;
    gtv_plate_pass_init(&v->now.pass);
    p->vehicles[p->count++] = v;
    return v;
}

// ---- Telling ----

static void tell(struct gtv_track_plates *p, struct vehicle *v, const struct pass *pass,
                 const struct gtv_track *t, const struct gtv_scene_settings *settings,
                 const struct gtv_plate_verdict *verdict)
{
    char key[80];
    int n = snprintf(key, sizeof(key), "plate.read/%llu", (unsigned long long)v->track);
    if (v->earlier)
        snprintf(key + n, sizeof(key) - (size_t)n, "/%u", v->earlier + 1);
    const struct gtv_happening_event about = {
        .key = key,
        .track = v->track,
        .object_type = gtv_vehicle_names[t->vehicle],
        .confidence = t->confidence,
        .share = t->vehicle_share,
        .first_ms = t->first_ms,
    };
    char text[GTV_PLATE_TEXT_CAP] = "";
    gtv_plate_tell(&p->teller, &pass->best, &about, v->track, settings, verdict, p->wall_ms, text);
    if (pass == &v->now && text[0])
        memcpy(v->text, text, sizeof(v->text));
}

// The pass is over: its plate is told if it was not, sure or not.
static void end_pass(struct gtv_track_plates *p, struct vehicle *v, struct pass *pass,
                     const struct gtv_track *track, const struct gtv_scene_settings *settings)
{
    struct gtv_plate_verdict verdict;
    const struct gtv_plate_ask over = {.threshold = settings->plate_confidence, .over = true};
    if (settings->plates && gtv_plate_pass_say(&pass->pass, &over, &verdict))
        tell(p, v, pass, track, settings, &verdict);
    const char *text = pass == &v->now ? v->text : v->text_before;
    if (text[0])
        gtv_plate_recent_note(&p->teller.recent, text, true, p->wall_ms);
    gtv_plate_best_finish(&pass->best);
}

// ---- Another vehicle under the same track ----

static void give_up_earlier(struct gtv_track_plates *p, struct vehicle *v, const struct gtv_track *track,
                            const struct gtv_scene_settings *settings)
{
    if (!v->before)
        return;
    end_pass(p, v, v->before, track, settings);
    v->earlier += v->before->pass.told;
    free(v->before);
    v->before = NULL;
}

// What was read before the track looked otherwise, and whether that is what is read now: then it was the same
// vehicle after all, and its readings go on where they were.
static void compare_earlier(struct gtv_track_plates *p, struct vehicle *v, const struct gtv_plate *plate,
                            const struct gtv_plates_look *look, const struct gtv_track *t)
{
    struct gtv_plate_verdict before;
    if (!v->before)
        return;
    gtv_plate_vote_result(&v->before->pass.vote, &before);
    if (gtv_plate_alike(before.text, plate->text, SAME_VEHICLE_DIFFER)) {
        gtv_plate_best_finish(&v->now.best);
        v->now = *v->before;
        memcpy(v->text, v->text_before, sizeof(v->text));
        free(v->before);
        v->before = NULL;
    } else if (plate->confidence >= OTHER_CONFIDENCE) {
        give_up_earlier(p, v, t, look->settings);
    }
}

static bool look_at(const AVFrame *frame, const struct gtv_detected *d, struct gtv_plate_look *out)
{
    enum { SIDE = GTV_PLATE_LOOK_SIDE, SAMPLES = 4 };
    int left = d->x < 0 ? 0 : d->x, top = d->y < 0 ? 0 : d->y;
    int w = (d->x + d->w > frame->width ? frame->width : d->x + d->w) - left;
    int h = (d->y + d->h > frame->height ? frame->height : d->y + d->h) - top;
    bool luma = frame->format == AV_PIX_FMT_YUV420P || frame->format == AV_PIX_FMT_YUVJ420P ||
                frame->format == AV_PIX_FMT_YUV422P || frame->format == AV_PIX_FMT_YUVJ422P ||
                frame->format == AV_PIX_FMT_YUV444P || frame->format == AV_PIX_FMT_YUVJ444P;
    // What enters or leaves the frame shows another part of itself each time.
    bool cut_off =
        left < EDGE || top < EDGE || left + w > frame->width - EDGE || top + h > frame->height - EDGE;
    if (!luma || cut_off || w < SIDE * SAMPLES || h < SIDE * SAMPLES / 2)
        return false;
    memset(out, 0, sizeof(*out));
    for (int y = 0; y < SIDE * SAMPLES; y++) {
        const uint8_t *row =
            frame->data[0] + (ptrdiff_t)(top + y * h / (SIDE * SAMPLES)) * frame->linesize[0] + left;
        for (int x = 0; x < SIDE * SAMPLES; x++) {
            const uint8_t value = row[x * w / (SIDE * SAMPLES)];
            out->luma[y / SAMPLES * SIDE + x / SAMPLES] += (float)value / (float)(SAMPLES * SAMPLES);
        }
    }
    return true;
}

// A tracker may hand a track from one vehicle to the next: then another pass begins, and what is read next
// tells whether it was one.
static void watch_for_change(struct gtv_track_plates *p, struct vehicle *v,
                             const struct gtv_plates_look *look, const struct gtv_track *t)
{
    struct gtv_plate_look now;
    if (!look_at(look->frame, &look->found[t->detection], &now)) {
        v->has_look = false;
        return;
    }
    bool changed = v->has_look && gtv_plate_look_alike(&v->look, &now) < GTV_PLATE_LOOK_SAME;
    v->look = now;
    v->has_look = true;
    if (!changed || v->now.pass.readings == 0)
        return;
    give_up_earlier(p, v, t, look->settings);
    v->before = GTV_NEW(struct pass);
    *v->before = v->now;
    memcpy(v->text_before, v->text, sizeof(v->text));
    v->text[0] = '\0';
    v->now = (struct pass){0};
    gtv_plate_pass_init(&v->now.pass);
}

// ---- Reading ----

static const struct gtv_plate *own_plate(struct gtv_track_plates *p, size_t n,
                                         const struct gtv_plate_part *part,
                                         const struct gtv_plates_look *look, const int box[4], int detection)
{
    int others[GTV_MAX_OBJECTS][4];
    size_t count = 0;
    for (size_t i = 0; i < look->count && count < GTV_MAX_OBJECTS; i++) {
        int k = look->events[i].track->detection;
        if (k < 0 || k == detection || k >= (int)look->found_count)
            continue;
        const struct gtv_detected *d = &look->found[k];
        const int other[4] = {d->x - part->x, d->y - part->y, d->w, d->h};
        memcpy(others[count++], other, sizeof(other));
    }
    const int here[4] = {box[0] - part->x, box[1] - part->y, box[2], box[3]};
    return gtv_plate_pass_own(p->read, n, here, (const int(*)[4])others, count);
}

// What a reading says, and what all of the pass say together.
static void log_reading(const struct gtv_track_plates *p, const struct vehicle *v,
                        const struct gtv_plates_look *look, const struct gtv_plate *plate)
{
    const struct gtv_log log = {.component = "ai"};
    if (!gtv_log_enabled(GTV_LOG_DEBUG))
        return;
    struct gtv_plate_verdict verdict;
    gtv_plate_vote_result(&v->now.pass.vote, &verdict);
    gtv_log_debug(&log, "a plate was read",
                  "camera=%lld track=%llu wall_ms=%lld text=%s confidence=%.4f width=%.1f height=%d "
                  "sharpness=%.0f tilt=%.1f mass=%.2f so_far=%s sure=%.6f votes=%u readings=%u lines=%d",
                  (long long)p->config.camera_id, (unsigned long long)v->track, (long long)look->wall_ms,
                  plate->text[0] ? plate->text : "-", plate->confidence, plate->width, plate->h,
                  plate->sharpness, plate->tilt, plate->mass, verdict.text[0] ? verdict.text : "-",
                  verdict.confidence, verdict.votes, verdict.readings, plate->two_lines ? 2 : 1);
}

static void read_vehicle(struct gtv_track_plates *p, const struct gtv_plates_look *look,
                         const struct gtv_track *t, const struct gtv_plate_chance *chance)
{
    const struct gtv_detected *d = &look->found[t->detection];
    const struct gtv_plate_meters *m = p->config.meters;
    const int box[4] = {d->x, d->y, d->w, d->h};
    struct vehicle *v = keep(p, t->id);
    struct gtv_plate_part part;
    bool failed = false;
    if (!v || !gtv_plate_part_cut(look->frame, box, MARGIN_PERCENT, look->settings, &part))
        return;
    int64_t began = gtv_mono_ns();
    const struct gtv_plate_picture picture = {part.rgb, part.w, part.h, (size_t)part.w * 3};
    const int region[4] = {box[0] - part.x, box[1] - part.y, box[2], box[3]};
    // The two lines of a motorcycle's plate are for the other localiser.
    enum gtv_plates_effort effort = t->vehicle == GTV_MOTORCYCLE ? GTV_PLATES_THOROUGH : GTV_PLATES_CAREFUL;
    if (v->by_text && t->vehicle == GTV_MOTORCYCLE)
        effort = GTV_PLATES_LINES;
    size_t n = gtv_plates_read(p->config.plates, look->worker, &picture, region, effort, p->read, &failed);
    const struct gtv_plate *plate = own_plate(p, n, &part, look, box, t->detection);
    v->by_text = plate && plate->by_text;
    if (plate)
        compare_earlier(p, v, plate, look, t);
    if (gtv_plate_pass_add(&v->now.pass, chance, plate))
        gtv_plate_best_note(&v->now.best, look, &part, box, plate, p->config.store && look->settings->crops);
    free(part.rgb);
    if (plate)
        log_reading(p, v, look, plate);
    gtv_histogram_observe(m->seconds, (double)(gtv_mono_ns() - began) / 1e9);
    gtv_counter_add(failed ? m->failed : plate ? m->found : m->none, 1);
}

struct candidate {
    const struct gtv_track *track;
    struct gtv_plate_chance chance;
    double worth;
};

static void consider(struct gtv_track_plates *p, const struct gtv_plates_look *look,
                     const struct gtv_track *t, struct candidate best[GTV_TRACK_PLATES_A_LOOK], size_t *n)
{
    const struct gtv_detected *d = &look->found[t->detection];
    size_t i = find(p, t->id);
    struct vehicle *v = i < p->count ? p->vehicles[i] : NULL;
    struct candidate c = {
        .track = t,
        .chance = {.vehicle = t->vehicle, .width = d->w, .height = d->h, .wall_ms = look->wall_ms}};
    if (v)
        watch_for_change(p, v, look, t);
    if (v && v->now.pass.told)
        return;
    if (v && v->now.pass.readings)
        c.chance.sharpness = gtv_frame_sharpness(look->frame, d->x, d->y + d->h / 2, d->w, d->h / 2);
    c.worth = gtv_plate_pass_worth(v ? &v->now.pass : NULL, &c.chance);
    if (c.worth <= 0)
        return;
    size_t at = *n;
    while (at > 0 && best[at - 1].worth < c.worth)
        at--;
    if (at == GTV_TRACK_PLATES_A_LOOK)
        return;
    *n -= *n == GTV_TRACK_PLATES_A_LOOK;
    memmove(&best[at + 1], &best[at], (*n - at) * sizeof(*best));
    best[at] = c;
    ++*n;
}

static void save_up(struct gtv_track_plates *p, const struct gtv_plates_look *look)
{
    double seconds = p->wall_ms ? (double)(look->wall_ms - p->wall_ms) / 1000 : 0;
    if (!p->wall_ms)
        p->saved_ms = FIRST_MS;
    p->wall_ms = look->wall_ms;
    p->saved_ms += fmin(fmax(seconds, 0), 10) * look->allowance_ms;
    p->saved_ms = fmin(p->saved_ms, fmax(look->allowance_ms * GTV_TRACK_PLATES_BURST_MS / 1000, FIRST_MS));
}

// A vehicle that stands does not leave: what is not sure after a while is told as it is.
static void tell_standing(struct gtv_track_plates *p, const struct gtv_plates_look *look)
{
    struct gtv_plate_verdict verdict;
    const struct gtv_plate_ask ask = {.threshold = look->settings->plate_confidence,
                                      .wall_ms = look->wall_ms};
    for (size_t i = 0; i < look->count; i++) {
        const struct gtv_track *t = look->events[i].track;
        size_t at = find(p, t->id);
        if (at < p->count && look->events[i].change != GTV_TRACK_ENDED &&
            gtv_plate_pass_say(&p->vehicles[at]->now.pass, &ask, &verdict))
            tell(p, p->vehicles[at], &p->vehicles[at]->now, t, look->settings, &verdict);
    }
}

// Whether a vehicle in sight may still have its plate read: then the rest of the frame can wait. One that has
// just come is given a moment to be followed; one that is known to be parked is not waited for.
static bool may_be_read(const struct gtv_track_plates *p, const struct gtv_plates_look *look,
                        const struct gtv_track_event *e)
{
    const struct gtv_track *t = e->track;
    if (t->detection < 0 || t->detection >= (int)look->found_count || e->change == GTV_TRACK_ENDED)
        return false;
    size_t i = find(p, t->id);
    if (i < p->count)
        return p->vehicles[i]->now.pass.readings > 0 || p->vehicles[i]->before ||
               p->vehicles[i]->now.pass.misses < HOPELESS;
    const struct gtv_detected *d = &look->found[t->detection];
    const struct gtv_plate_chance chance = {
        .vehicle = t->vehicle, .width = d->w, .height = d->h, .wall_ms = look->wall_ms};
    return look->wall_ms - t->first_ms < YOUNG_MS && gtv_plate_pass_worth(NULL, &chance) > 0;
}

static bool any_vehicle(const struct gtv_track_plates *p, const struct gtv_plates_look *look)
{
    for (size_t i = 0; i < look->in_sight_count; i++)
        if (may_be_read(p, look, &look->in_sight[i]))
            return true;
    return false;
}

double gtv_track_plates_look(struct gtv_track_plates *p, const struct gtv_plates_look *look)
{
    struct candidate best[GTV_TRACK_PLATES_A_LOOK];
    size_t n = 0;
    int64_t began = gtv_mono_ns();
    save_up(p, look);
    if (!look->settings->plates || !gtv_plates_ready(p->config.plates))
        return 0;
    for (size_t i = 0; i < look->count; i++) {
        const struct gtv_track *t = look->events[i].track;
        if (t->detection >= 0 && t->detection < (int)look->found_count &&
            look->events[i].change != GTV_TRACK_ENDED)
            consider(p, look, t, best, &n);
    }
    for (size_t i = 0; i < n && p->saved_ms > 0; i++) {
        int64_t start = gtv_mono_ns();
        read_vehicle(p, look, best[i].track, &best[i].chance);
        p->saved_ms -= (double)(gtv_mono_ns() - start) / 1e6;
    }
    tell_standing(p, look);
    gtv_stray_plates_look(p->stray, look, any_vehicle(p, look), &p->saved_ms);
    return (double)(gtv_mono_ns() - began) / 1e6;
}

void gtv_track_plates_end(struct gtv_track_plates *p, const struct gtv_track *track,
                          const struct gtv_scene_settings *settings)
{
    size_t i = find(p, track->id);
    if (i == p->count)
        return;
    struct vehicle *v = p->vehicles[i];
    struct gtv_plate_verdict before, now;
    if (v->before) {
        // Nothing that was read since says that it was another: the better pass stands for both.
        gtv_plate_vote_result(&v->before->pass.vote, &before);
        gtv_plate_vote_result(&v->now.pass.vote, &now);
        if (now.text[0] && !gtv_plate_alike(before.text, now.text, SAME_VEHICLE_DIFFER)) {
            give_up_earlier(p, v, track, settings);
        } else if (!now.text[0] || v->before->pass.told || before.confidence >= now.confidence) {
            gtv_plate_best_finish(&v->now.best);
            v->now = *v->before;
            memcpy(v->text, v->text_before, sizeof(v->text));
            v->before->best.jpeg = NULL;
        }
    }
    end_pass(p, v, &v->now, track, settings);
    drop(p, i);
}

void gtv_track_plates_finish(struct gtv_track_plates *p, const struct gtv_scene_settings *settings)
{
    gtv_stray_plates_finish(p->stray, settings, p->wall_ms);
}

const char *gtv_track_plates_text(const struct gtv_track_plates *p, uint64_t track)
{
    size_t i = find(p, track);
    return i < p->count && p->vehicles[i]->text[0] ? p->vehicles[i]->text : NULL;
}

struct gtv_track_plates *gtv_track_plates_create(const struct gtv_track_plates_config *config)
{
    struct gtv_track_plates *p = GTV_NEW(struct gtv_track_plates);
    p->config = *config;
    p->teller.config = &p->config;
    p->stray = gtv_stray_plates_create(&p->teller);
    return p;
}

void gtv_track_plates_destroy(struct gtv_track_plates *p)
{
    if (!p)
        return;
    while (p->count)
        drop(p, p->count - 1);
    gtv_stray_plates_destroy(p->stray);
    free(p);
}
