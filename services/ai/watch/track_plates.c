#include "services/ai/watch/track_plates.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/contract/plate.h"
#include "lib/log/log.h"
#include "services/ai/picture/jpeg_write.h"
#include "services/ai/plate/confidence.h"
#include "services/ai/plate/pass.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    QUALITY = 88,
    MARGIN_PERCENT = 16,   // of the vehicle's box on each side: the localiser's own and some more
    MAX_PIXELS = 16 << 20, // of a vehicle's part of the frame
    EDGE = 4,              // pixels from the frame's edge that count as cut off
    FIRST_MS = 150,        // to begin with, before there is an allowance to save up
};

// A vehicle whose plate was looked for.
struct vehicle {
    uint64_t track;
    struct gtv_plate_pass pass;
    char text[GTV_PLATE_TEXT_CAP]; // once it was told as sure
    uint32_t earlier;              // plates told of other vehicles that had this track before
    bool has_look;
    struct gtv_plate_look look; // at the last look
    // Of the best reading.
    int64_t wall_ms;
    int box[4], plate[4], width, height; // the vehicle's, its plate's; the frame
    struct gtv_bytes *jpeg;              // the plate and what lies around it
};

struct gtv_track_plates {
    struct gtv_track_plates_config config;
    struct vehicle *vehicles[GTV_TRACK_MAX]; // as many as have one; NULL behind them
    size_t count;
    struct gtv_plate_recent recent;
    double saved_ms; // that reading may take now
    int64_t wall_ms; // of the last look
    struct gtv_plate read[GTV_PLATES_MAX];
};

// The part of a frame that is read.
struct part {
    int x, y, w, h;
    uint8_t *rgb;
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
    gtv_bytes_unref(p->vehicles[i]->jpeg);
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
    gtv_plate_pass_init(&v->pass);
    p->vehicles[p->count++] = v;
    return v;
}

// ---- Telling ----

// Its pictures are there before anybody hears of it.
static void tell_new(struct gtv_track_plates *p, struct vehicle *v, const struct gtv_track *t,
                     const struct gtv_scene_settings *settings, const struct gtv_plate_verdict *verdict)
{
    char key[80], plate_key[GTV_PLATE_KEY_MAX + 1], crop[GTV_STORE_NAME_CAP], close[GTV_STORE_NAME_CAP];
    bool crops = p->config.store && settings->crops;
    bool brazilian = verdict->format >= GTV_PLATE_FORMAT_OLD;
    struct gtv_plate_said said = {
        .number = verdict->text,
        .format = gtv_plate_format_names[verdict->format],
        .key = gtv_plate_key(gtv_str_of(verdict->text), plate_key) ? plate_key : NULL,
        .confidence = verdict->confidence,
        .uncertain = !verdict->sure,
        .votes = brazilian ? verdict->readings : verdict->votes,
        .box = v->plate,
    };
    if (crops && v->jpeg) {
        gtv_store_plate_name(p->config.camera_id, v->wall_ms, v->track, close);
        if (gtv_store_put(p->config.store, close, v->jpeg))
            said.crop = close;
    }
    if (crops)
        gtv_shots_keep(p->config.shots, v->track);
    int n = snprintf(key, sizeof(key), "plate.read/%llu", (unsigned long long)v->track);
    if (v->earlier)
        snprintf(key + n, sizeof(key) - (size_t)n, "/%u", v->earlier + 1);
    struct gtv_happening_event e = {
        .type = "plate.read",
        .key = key,
        .camera_id = p->config.camera_id,
        .wall_ms = v->wall_ms,
        .width = v->width,
        .height = v->height,
        .track = v->track,
        .object_type = gtv_vehicle_names[t->vehicle],
        .confidence = t->confidence,
        .share = t->vehicle_share,
        .x = v->box[0],
        .y = v->box[1],
        .w = v->box[2],
        .h = v->box[3],
        .first_ms = t->first_ms,
        .seconds = -1,
        .degrees = -1,
        .crop = crops && gtv_shots_name(p->config.shots, v->track, crop) ? crop : NULL,
        .plate = &said,
    };
    gtv_counter_add(verdict->sure ? p->config.meters->sure : p->config.meters->uncertain, 1);
    p->config.tell(p->config.arg, &e);
}

static void tell(struct gtv_track_plates *p, struct vehicle *v, const struct gtv_track *t,
                 const struct gtv_scene_settings *settings, const struct gtv_plate_verdict *verdict)
{
    const char *before = gtv_plate_recent_find(&p->recent, verdict, p->wall_ms);
    if (before) {
        memcpy(v->text, before, sizeof(v->text));
        gtv_counter_add(p->config.meters->again, 1);
    } else {
        tell_new(p, v, t, settings, verdict);
        if (verdict->sure)
            memcpy(v->text, verdict->text, sizeof(v->text));
    }
    if (v->text[0])
        gtv_plate_recent_note(&p->recent, v->text, p->wall_ms);
    gtv_bytes_unref(v->jpeg);
    v->jpeg = NULL;
}

// The pass is over: its plate is told if it was not, sure or not.
static void end_pass(struct gtv_track_plates *p, struct vehicle *v, const struct gtv_track *track,
                     const struct gtv_scene_settings *settings)
{
    struct gtv_plate_verdict verdict;
    if (settings->plates && gtv_plate_pass_say(&v->pass, settings->plate_confidence, true, &verdict))
        tell(p, v, track, settings, &verdict);
    else if (v->text[0])
        gtv_plate_recent_note(&p->recent, v->text, p->wall_ms);
}

// ---- Another vehicle under the same track ----

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

// A tracker may hand a track from one vehicle to the next: then another pass begins. Where it was the same
// vehicle after all it is read again, and its plate, told of late, is not told twice.
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
    if (!changed || (v->pass.readings == 0 && !v->text[0]))
        return;
    end_pass(p, v, t, look->settings);
    gtv_bytes_unref(v->jpeg);
    v->jpeg = NULL;
    v->text[0] = '\0';
    v->earlier += v->pass.told;
    gtv_plate_pass_init(&v->pass);
}

// ---- Reading ----

static bool cut(const AVFrame *frame, const int box[4], const struct gtv_scene_settings *settings,
                struct part *part)
{
    int mx = box[2] * MARGIN_PERCENT / 100, my = box[3] * MARGIN_PERCENT / 100;
    int left = box[0] - mx, top = box[1] - my, right = box[0] + box[2] + mx, bottom = box[1] + box[3] + my;
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    right = right > frame->width ? frame->width : right;
    bottom = bottom > frame->height ? frame->height : bottom;
    *part = (struct part){.x = left, .y = top, .w = right - left, .h = bottom - top};
    if (part->w < 16 || part->h < 16 || (int64_t)part->w * part->h > MAX_PIXELS)
        return false;
    part->rgb = malloc((size_t)part->w * (size_t)part->h * 3);
    if (!part->rgb || !gtv_frame_crop(frame, part->x, part->y, part->w, part->h, part->rgb)) {
        free(part->rgb);
        return false;
    }
    gtv_scene_blacken(settings, part->rgb, part->w, part->h, (size_t)part->w * 3,
                      (double)part->x / frame->width, (double)part->y / frame->height,
                      (double)part->w / frame->width, (double)part->h / frame->height);
    return true;
}

// The plate with half its width and its whole height around it.
static struct gtv_bytes *close_up(const struct part *part, const struct gtv_plate *plate)
{
    int left = plate->x - plate->w / 2, right = plate->x + plate->w + plate->w / 2;
    int top = plate->y - plate->h, bottom = plate->y + 2 * plate->h;
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    right = right > part->w ? part->w : right;
    bottom = bottom > part->h ? part->h : bottom;
    if (right <= left || bottom <= top)
        return NULL;
    size_t stride = (size_t)part->w * 3;
    return gtv_jpeg_encode(part->rgb + (size_t)top * stride + (size_t)left * 3, right - left, bottom - top,
                           stride, QUALITY);
}

static void note_best(struct vehicle *v, const struct gtv_plates_look *look, const struct part *part,
                      const int box[4], const struct gtv_plate *plate, bool picture)
{
    v->wall_ms = look->wall_ms;
    v->width = look->frame->width;
    v->height = look->frame->height;
    memcpy(v->box, box, sizeof(v->box));
    const int at[4] = {plate->x + part->x, plate->y + part->y, plate->w, plate->h};
    memcpy(v->plate, at, sizeof(v->plate));
    gtv_bytes_unref(v->jpeg);
    v->jpeg = picture ? close_up(part, plate) : NULL;
}

static const struct gtv_plate *own_plate(struct gtv_track_plates *p, size_t n, const struct part *part,
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
    gtv_plate_vote_result(&v->pass.vote, &verdict);
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
    struct part part;
    bool failed = false;
    if (!v || !cut(look->frame, box, look->settings, &part))
        return;
    int64_t began = gtv_mono_ns();
    const struct gtv_plate_picture picture = {part.rgb, part.w, part.h, (size_t)part.w * 3};
    const int region[4] = {box[0] - part.x, box[1] - part.y, box[2], box[3]};
    // The two lines of a motorcycle's plate are for the other localiser.
    enum gtv_plates_effort effort = t->vehicle == GTV_MOTORCYCLE ? GTV_PLATES_THOROUGH : GTV_PLATES_CAREFUL;
    size_t n = gtv_plates_read(p->config.plates, look->worker, &picture, region, effort, p->read, &failed);
    const struct gtv_plate *plate = own_plate(p, n, &part, look, box, t->detection);
    if (gtv_plate_pass_add(&v->pass, chance, plate))
        note_best(v, look, &part, box, plate, p->config.store && look->settings->crops);
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
    if (v && v->pass.told)
        return;
    if (v && v->pass.readings)
        c.chance.sharpness = gtv_frame_sharpness(look->frame, d->x, d->y + d->h / 2, d->w, d->h / 2);
    c.worth = gtv_plate_pass_worth(v ? &v->pass : NULL, &c.chance);
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

double gtv_track_plates_look(struct gtv_track_plates *p, const struct gtv_plates_look *look)
{
    struct candidate best[GTV_TRACK_PLATES_A_LOOK];
    size_t n = 0;
    struct gtv_plate_verdict verdict;
    int64_t began = gtv_mono_ns();
    save_up(p, look);
    if (!look->settings->plates)
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
        size_t at = find(p, best[i].track->id);
        if (at < p->count &&
            gtv_plate_pass_say(&p->vehicles[at]->pass, look->settings->plate_confidence, false, &verdict))
            tell(p, p->vehicles[at], best[i].track, look->settings, &verdict);
    }
    return (double)(gtv_mono_ns() - began) / 1e6;
}

void gtv_track_plates_end(struct gtv_track_plates *p, const struct gtv_track *track,
                          const struct gtv_scene_settings *settings)
{
    size_t i = find(p, track->id);
    if (i == p->count)
        return;
    end_pass(p, p->vehicles[i], track, settings);
    drop(p, i);
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
    return p;
}

void gtv_track_plates_destroy(struct gtv_track_plates *p)
{
    if (!p)
        return;
    while (p->count)
        drop(p, p->count - 1);
    free(p);
}
