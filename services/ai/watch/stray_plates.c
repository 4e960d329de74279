#include "services/ai/watch/stray_plates.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DIFFER = 2,     // signs in which two readings of one plate differ at most
    DOUBLES = 4,    // of the wait after a search in vain
    MINUTE = 60000, // in which a plate's key is the same, whoever tells it
};

struct stray {
    struct gtv_plate_pass pass; // without readings: free
    struct gtv_plate_best best;
    char first[GTV_PLATE_TEXT_CAP]; // as it was read first
    char text[GTV_PLATE_TEXT_CAP];  // once it was told as sure
    int64_t first_ms, seen_ms;
    bool two_lines;
};

struct gtv_stray_plates {
    struct gtv_plate_teller *teller;
    struct stray strays[GTV_STRAY_PLATES_MAX];
    uint32_t misses;
    int64_t due_ms, searched_ms; // when the next search is, and the last was, by the frames' clock
    struct gtv_plate read[GTV_PLATES_MAX];
};

struct gtv_stray_plates *gtv_stray_plates_create(struct gtv_plate_teller *teller)
{
    struct gtv_stray_plates *s = GTV_NEW(struct gtv_stray_plates);
    s->teller = teller;
    return s;
}

void gtv_stray_plates_destroy(struct gtv_stray_plates *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < GTV_STRAY_PLATES_MAX; i++)
        gtv_plate_best_finish(&s->strays[i].best);
    free(s);
}

// ---- Telling ----

static void ask(struct gtv_stray_plates *s, struct stray *x, const struct gtv_plate_ask *how,
                const struct gtv_scene_settings *settings, int64_t wall_ms)
{
    struct gtv_plate_verdict verdict;
    if (!settings->plates || !gtv_plate_pass_say(&x->pass, how, &verdict))
        return;
    char key[80];
    (void)snprintf(key, sizeof(key), "plate.read/%s/%lld", verdict.text, (long long)(x->first_ms / MINUTE));
    const struct gtv_happening_event about = {
        .key = key,
        .object_type = gtv_vehicle_names[x->two_lines ? GTV_MOTORCYCLE : GTV_CAR],
        .confidence = verdict.confidence,
        .first_ms = x->first_ms,
        .from_plate = true,
    };
    gtv_plate_tell(s->teller, &x->best, &about, (uint64_t)x->first_ms, settings, &verdict, wall_ms, x->text);
}

static void end(struct gtv_stray_plates *s, struct stray *x, const struct gtv_scene_settings *settings,
                int64_t wall_ms)
{
    ask(s, x, &(struct gtv_plate_ask){.threshold = settings->plate_confidence, .over = true}, settings,
        wall_ms);
    gtv_plate_best_finish(&x->best);
    *x = (struct stray){0};
}

// ---- Whose plate it is ----

static struct stray *pass_of(struct gtv_stray_plates *s, const struct gtv_plate *plate)
{
    struct stray *unused = NULL;
    for (size_t i = 0; i < GTV_STRAY_PLATES_MAX; i++) {
        struct stray *x = &s->strays[i];
        struct gtv_plate_verdict so_far;
        if (!x->pass.readings) {
            unused = x;
            continue;
        }
        gtv_plate_vote_result(&x->pass.vote, &so_far);
        if (gtv_plate_alike(x->first, plate->text, DIFFER) ||
            gtv_plate_alike(so_far.text, plate->text, DIFFER))
            return x;
    }
    return unused;
}

static void add(struct gtv_stray_plates *s, const struct gtv_plates_look *look,
                const struct gtv_plate_part *part, const struct gtv_plate *plate)
{
    struct stray *x = pass_of(s, plate);
    if (!x)
        return;
    if (!x->pass.readings) {
        gtv_plate_pass_init(&x->pass);
        memcpy(x->first, plate->text, sizeof(x->first));
        x->first_ms = look->wall_ms;
    }
    x->seen_ms = look->wall_ms;
    x->two_lines = plate->two_lines;
    if (x->text[0])
        gtv_plate_recent_note(&s->teller->recent, x->text, true, look->wall_ms);
    if (x->pass.told || x->pass.readings >= GTV_PLATE_PASS_READINGS)
        return;
    const struct gtv_plate_chance chance = {.vehicle = x->two_lines ? GTV_MOTORCYCLE : GTV_CAR,
                                            .width = plate->width,
                                            .height = plate->h,
                                            .sharpness = plate->sharpness,
                                            .wall_ms = look->wall_ms};
    if (gtv_plate_pass_add(&x->pass, &chance, plate))
        gtv_plate_best_note(&x->best, look, part, NULL, plate,
                            s->teller->config->store && look->settings->crops);
}

// ---- Searching ----

static bool search(struct gtv_stray_plates *s, const struct gtv_plates_look *look)
{
    const struct gtv_track_plates_config *config = s->teller->config;
    const int whole[4] = {0, 0, look->frame->width, look->frame->height};
    struct gtv_plate_part part;
    bool failed = false, found = false;
    if (!gtv_plate_part_cut(look->frame, whole, 0, look->settings, &part))
        return false;
    int64_t began = gtv_mono_ns();
    const struct gtv_plate_picture picture = {part.rgb, part.w, part.h, (size_t)part.w * 3};
    size_t n =
        gtv_plates_read(config->plates, look->worker, &picture, NULL, GTV_PLATES_QUICK, s->read, &failed);
    for (size_t i = 0; i < n; i++) {
        // Without a vehicle around it only what reads as a Brazilian plate is one.
        if (s->read[i].format < GTV_PLATE_FORMAT_OLD)
            continue;
        found = true;
        add(s, look, &part, &s->read[i]);
    }
    free(part.rgb);
    gtv_histogram_observe(config->meters->seconds, (double)(gtv_mono_ns() - began) / 1e9);
    gtv_counter_add(failed  ? config->meters->failed
                    : found ? config->meters->found
                            : config->meters->none,
                    1);
    return found;
}

static int64_t next_search(const struct gtv_stray_plates *s)
{
    if (!s->misses)
        for (size_t i = 0; i < GTV_STRAY_PLATES_MAX; i++)
            if (s->strays[i].pass.readings && !s->strays[i].pass.told)
                return GTV_STRAY_SEARCH_MS;
    if (!s->misses)
        return GTV_STRAY_TOLD_MS;
    uint32_t doubles = s->misses - 1 < DOUBLES ? s->misses - 1 : DOUBLES;
    int64_t ms = (int64_t)GTV_STRAY_MISSED_MS << doubles;
    return ms < GTV_STRAY_MISSED_MAX_MS ? ms : GTV_STRAY_MISSED_MAX_MS;
}

// Where nothing has moved since it was searched in vain there is nothing new to find.
static bool nothing_new(const struct gtv_stray_plates *s, const struct gtv_plates_look *look)
{
    int64_t since = look->wall_ms - s->searched_ms;
    return look->still && s->misses >= GTV_STRAY_STILL && since >= 0 && since < GTV_STRAY_STILL_MS;
}

void gtv_stray_plates_look(struct gtv_stray_plates *s, const struct gtv_plates_look *look, bool vehicles,
                           double *saved_ms)
{
    bool due =
        look->settings->stray_plates && !vehicles && *saved_ms > 0 && !nothing_new(s, look) &&
        (look->wall_ms >= s->due_ms || look->wall_ms < s->due_ms - (int64_t)2 * GTV_STRAY_MISSED_MAX_MS);
    if (due) {
        int64_t began = gtv_mono_ns();
        s->misses = search(s, look) ? 0 : s->misses + 1;
        s->searched_ms = look->wall_ms;
        s->due_ms = look->wall_ms + next_search(s);
        *saved_ms -= (double)(gtv_mono_ns() - began) / 1e6;
    }
    const struct gtv_plate_ask still = {.threshold = look->settings->plate_confidence,
                                        .wall_ms = look->wall_ms};
    for (size_t i = 0; i < GTV_STRAY_PLATES_MAX; i++) {
        struct stray *x = &s->strays[i];
        if (!x->pass.readings)
            continue;
        ask(s, x, &still, look->settings, look->wall_ms);
        if (look->wall_ms - x->seen_ms > GTV_STRAY_GONE_MS && (due || vehicles))
            end(s, x, look->settings, look->wall_ms);
    }
}

void gtv_stray_plates_finish(struct gtv_stray_plates *s, const struct gtv_scene_settings *settings,
                             int64_t wall_ms)
{
    for (size_t i = 0; i < GTV_STRAY_PLATES_MAX; i++)
        if (s->strays[i].pass.readings)
            end(s, &s->strays[i], settings, wall_ms);
}
