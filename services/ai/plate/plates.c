#include "services/ai/plate/plates.h"

#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "services/ai/plate/confidence.h"
#include "services/ai/plate/net.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LATE_CONFIDENCE 0.5 // a second look must be surer than a first

enum {
    SMALLEST_PLATE = 24,   // pixels of its width: smaller ones are not looked at twice
    SMALLEST_VEHICLE = 48, // pixels of its longer side: smaller ones have no readable plate
    LOWER_PART_OF = 100,   // pixels of a vehicle's height: smaller ones are not looked at in parts
    LARGE = 1600,          // pixels of a picture's side
};

// Of the joined line of a two-line plate: three letters, then four signs.
#define UPPER_SHARE 0.4375

// A set of networks. It does not change once it is made but for what is loaded; whoever reads holds it.
struct chain {
    atomic_size_t refs;
    struct gtv_plate_model models[GTV_PLATE_HEADS];
    struct gtv_plate_net *nets[GTV_PLATE_HEADS]; // NULL: not there
    struct gtv_log log;
    bool complete;     // there are a localiser and a recogniser, or were until they failed to load
    char message[512]; // why not

    pthread_t thread; // loads what every picture needs
    bool threaded;
    atomic_bool loading;

    pthread_t warming; // loads what reads plates, where some are expected
    atomic_int warmth; // 0: not expected; 1: being started; 2: to be joined
};

struct gtv_plates {
    pthread_mutex_t lock; // of the pointer
    struct chain *chain;
};

// ---- Making it ----

// Workers that share a slot. A slot is memory of 8 to 15 MiB; every picture needs the first network, a
// picture with plates the recognisers, for a third of the time in all, and few the text localiser.
static const size_t sharers[GTV_PLATE_HEADS] = {
    [GTV_PLATE_HEAD_CORNERS] = 1,
    [GTV_PLATE_HEAD_TEXTMAP] = 4,
    [GTV_PLATE_HEAD_SLOTS] = 4,
    [GTV_PLATE_HEAD_CTC] = 2,
};

static bool find_all(struct chain *p, const struct gtv_plates_config *config, struct gtv_error *err)
{
    bool found[GTV_PLATE_HEADS];
    if (!config->runtime) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "the inference runtime could not start");
        return false;
    }
    if (!gtv_plate_model_find(config->models_dir, config->lpr_model, p->models, found, err))
        return false;
    bool localiser = found[GTV_PLATE_HEAD_CORNERS] || found[GTV_PLATE_HEAD_TEXTMAP];
    bool recogniser = found[GTV_PLATE_HEAD_SLOTS] || found[GTV_PLATE_HEAD_CTC];
    if (!localiser || !recogniser) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL,
                      "no network that %s is in %s: run ./gtv models, or give LPR_MODEL",
                      localiser ? "reads plates" : "finds plates", config->models_dir);
        return false;
    }
    // No less exact in bf16 on the development pictures.
    bool exact = strcmp(config->precision, "f32") == 0 || !gtv_infer_has_bf16(config->runtime);
    for (int h = 0; h < GTV_PLATE_HEADS; h++) {
        size_t slots = (config->slots + sharers[h] - 1) / sharers[h];
        if (found[h])
            p->nets[h] = gtv_plate_net_create(config->runtime, &p->models[h], exact ? "f32" : "bf16",
                                              slots ? slots : 1, &p->log);
    }
    return true;
}

static bool has(const struct chain *p, enum gtv_plate_head head)
{
    return gtv_plate_net_usable(p->nets[head]);
}

static enum gtv_plate_head first_localiser(const struct chain *p)
{
    return has(p, GTV_PLATE_HEAD_CORNERS) ? GTV_PLATE_HEAD_CORNERS : GTV_PLATE_HEAD_TEXTMAP;
}

static bool usable(const struct chain *p)
{
    return p->complete && (has(p, GTV_PLATE_HEAD_CORNERS) || has(p, GTV_PLATE_HEAD_TEXTMAP)) &&
           (has(p, GTV_PLATE_HEAD_SLOTS) || has(p, GTV_PLATE_HEAD_CTC));
}

static void *load_localiser(void *arg)
{
    struct chain *p = arg;
    (void)pthread_setname_np(pthread_self(), "ai-plates");
    while (usable(p) && !gtv_plate_net_load(p->nets[first_localiser(p)]))
        continue; // each fails once, and then the other is the first
    atomic_store(&p->loading, false);
    return NULL;
}

static struct chain *create_chain(const struct gtv_plates_config *config)
{
    struct chain *p = GTV_NEW(struct chain);
    struct gtv_error err = {0};
    atomic_init(&p->refs, 1);
    atomic_init(&p->loading, false);
    atomic_init(&p->warmth, 0);
    p->log = (struct gtv_log){.component = "ai"};
    if (!config->enabled)
        return p;
    p->complete = find_all(p, config, &err);
    if (!p->complete) {
        snprintf(p->message, sizeof(p->message), "%s", err.message);
        return p;
    }
    atomic_store(&p->loading, true);
    p->threaded = pthread_create(&p->thread, NULL, load_localiser, p) == 0;
    if (!p->threaded)
        atomic_store(&p->loading, false); // the first picture loads it
    return p;
}

static void drop_chain(struct chain *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    if (p->threaded)
        (void)pthread_join(p->thread, NULL);
    if (atomic_load(&p->warmth) == 2)
        (void)pthread_join(p->warming, NULL);
    for (int h = 0; h < GTV_PLATE_HEADS; h++)
        gtv_plate_net_destroy(p->nets[h]);
    free(p);
}

static struct chain *hold(struct gtv_plates *p)
{
    (void)pthread_mutex_lock(&p->lock);
    struct chain *chain = p->chain;
    atomic_fetch_add(&chain->refs, 1);
    (void)pthread_mutex_unlock(&p->lock);
    return chain;
}

struct gtv_plates *gtv_plates_create(const struct gtv_plates_config *config)
{
    struct gtv_plates *p = GTV_NEW(struct gtv_plates);
    (void)pthread_mutex_init(&p->lock, NULL);
    p->chain = create_chain(config);
    return p;
}

void gtv_plates_destroy(struct gtv_plates *p)
{
    if (!p)
        return;
    drop_chain(p->chain);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

bool gtv_plates_load(struct gtv_plates *p)
{
    for (int h = 0; h < GTV_PLATE_HEADS; h++)
        (void)gtv_plate_net_load(p->chain->nets[h]);
    return usable(p->chain);
}

static void *load_recognisers(void *arg)
{
    struct chain *p = arg;
    (void)pthread_setname_np(pthread_self(), "ai-plates");
    (void)gtv_plate_net_load(p->nets[GTV_PLATE_HEAD_SLOTS]);
    (void)gtv_plate_net_load(p->nets[GTV_PLATE_HEAD_CTC]);
    return NULL;
}

void gtv_plates_expect(struct gtv_plates *p)
{
    if (!p)
        return;
    struct chain *chain = hold(p);
    int cold = 0;
    if (usable(chain) && atomic_compare_exchange_strong(&chain->warmth, &cold, 1))
        atomic_store(&chain->warmth,
                     pthread_create(&chain->warming, NULL, load_recognisers, chain) == 0 ? 2 : 0);
    drop_chain(chain);
}

void gtv_plates_swap(struct gtv_plates *a, struct gtv_plates *b)
{
    (void)pthread_mutex_lock(&a->lock);
    struct chain *chain = a->chain;
    a->chain = b->chain;
    (void)pthread_mutex_unlock(&a->lock);
    b->chain = chain;
}

bool gtv_plates_ready(struct gtv_plates *p)
{
    if (!p)
        return false;
    struct chain *chain = hold(p);
    bool yes = usable(chain);
    drop_chain(chain);
    return yes;
}

bool gtv_plates_loading(const struct gtv_plates *p)
{
    return atomic_load(&p->chain->loading);
}

const char *gtv_plates_message(const struct gtv_plates *p)
{
    const char *message = p->chain->message[0] ? p->chain->message : NULL;
    for (int h = 0; h < GTV_PLATE_HEADS && !message; h++)
        message = gtv_plate_net_failure(p->chain->nets[h]);
    return message;
}

const struct gtv_plate_model *gtv_plates_model(const struct gtv_plates *p, enum gtv_plate_head head)
{
    return usable(p->chain) && has(p->chain, head) ? &p->chain->models[head] : NULL;
}

// What one read works with.
struct reader {
    struct chain *p;
    size_t worker;
    const struct gtv_plate_picture *picture;
    bool failed;
};

static bool take(struct reader *r, enum gtv_plate_head head, struct gtv_plate_run *run)
{
    bool ok = gtv_plate_net_take(r->p->nets[head], r->worker, run);
    r->failed = r->failed || !ok;
    return ok;
}

static const struct gtv_tensor *run_net(struct reader *r, const struct gtv_plate_run *run)
{
    const struct gtv_tensor *t = gtv_plate_net_run(run);
    r->failed = r->failed || !t;
    return t;
}

// ---- Where plates are ----

static void cut(const struct gtv_plate_picture *picture, const int region[4], double margin, int out[4])
{
    int dx = (int)ceil(region[2] * margin), dy = (int)ceil(region[3] * margin);
    int x = region[0] - dx, y = region[1] - dy, right = region[0] + region[2] + dx,
        bottom = region[1] + region[3] + dy;
    out[0] = x < 0 ? 0 : x;
    out[1] = y < 0 ? 0 : y;
    out[2] = (right > picture->width ? picture->width : right) - out[0];
    out[3] = (bottom > picture->height ? picture->height : bottom) - out[1];
}

static size_t places_of(const struct gtv_plate_model *m, const struct gtv_tensor *t,
                        struct gtv_plate_place out[GTV_PLATE_MAX_PLACES])
{
    if (m->head == GTV_PLATE_HEAD_CORNERS)
        return gtv_plate_places_of_corners(t->data, t->count / 15, m->score_threshold, m->nms_threshold, out);
    uint8_t *mask = gtv_alloc(t->count);
    int *stack = gtv_alloc(t->count * sizeof(*stack));
    size_t n = gtv_plate_places_of_text(t->data, m->input.width, m->input.height, m->score_threshold, mask,
                                        stack, out);
    free(stack);
    free(mask);
    return n;
}

// Places in the pixels of the network's input.
static size_t find_places(struct reader *r, enum gtv_plate_head head, const struct gtv_geometry *g,
                          const int at[4], struct gtv_plate_place out[GTV_PLATE_MAX_PLACES])
{
    const uint8_t *from = r->picture->rgb + (size_t)at[1] * r->picture->stride + (size_t)at[0] * 3;
    struct gtv_plate_run run;
    size_t n = 0;
    if (!take(r, head, &run))
        return 0;
    if (gtv_geometry_fill(g, from, at[2], at[3], r->picture->stride, run.pixels)) {
        const struct gtv_tensor *t = run_net(r, &run);
        n = t ? places_of(&r->p->models[head], t, out) : 0;
    } else {
        r->failed = true;
    }
    gtv_plate_net_give(r->p->nets[head], &run);
    return n;
}

static size_t locate(struct reader *r, enum gtv_plate_head head, const int region[4], double margin,
                     struct gtv_plate_place out[GTV_PLATE_MAX_PLACES])
{
    int at[4];
    cut(r->picture, region, margin, at);
    if (at[2] < 8 || at[3] < 8)
        return 0;
    struct gtv_geometry g;
    gtv_plate_model_geometry(&r->p->models[head], at[2], at[3], &g);
    size_t n = find_places(r, head, &g, at, out);
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 4; k++) {
            out[i].quad.x[k] = (float)(((double)out[i].quad.x[k] - g.x) * g.back_x + at[0]);
            out[i].quad.y[k] = (float)(((double)out[i].quad.y[k] - g.y) * g.back_y + at[1]);
            bool vertical = (k & 1) != 0;
            out[i].box[k] = (float)(vertical ? ((double)out[i].box[k] - g.y) * g.back_y + at[1]
                                             : ((double)out[i].box[k] - g.x) * g.back_x + at[0]);
        }
    }
    return n;
}

// ---- What they read ----

static size_t read_slots(struct reader *r, const struct gtv_plate_place *place, struct gtv_plate *out,
                         struct gtv_plate_opinion opinions[2])
{
    const struct gtv_plate_model *m = &r->p->models[GTV_PLATE_HEAD_SLOTS];
    const struct gtv_plate_quad plain =
        gtv_plate_quad_of_box(place->box[0], place->box[1], place->box[2], place->box[3]);
    const struct gtv_plate_quad *quads[2] = {&place->quad, &plain};
    struct gtv_plate_run run;
    size_t n = 0;
    if (!take(r, GTV_PLATE_HEAD_SLOTS, &run))
        return 0;
    for (int i = 0; i < 2; i++) {
        gtv_plate_warp(r->picture, quads[i], -m->margin, -m->margin, 1 + m->margin, 1 + m->margin, run.pixels,
                       m->input.width, m->input.height, (size_t)m->input.width * 3);
        const struct gtv_tensor *t = run_net(r, &run);
        if (t)
            gtv_plate_decode_slots(t->data, m->slots, &opinions[n++]);
    }
    gtv_plate_net_give(r->p->nets[GTV_PLATE_HEAD_SLOTS], &run);
    return n;
}

static void fill_ctc(struct reader *r, const struct gtv_plate_place *place, uint8_t *pixels)
{
    const struct gtv_plate_model *m = &r->p->models[GTV_PLATE_HEAD_CTC];
    size_t stride = (size_t)m->input.width * 3;
    if (place->two_lines) {
        // Side by side: the network reads one line.
        int upper = (int)(m->input.width * UPPER_SHARE);
        gtv_plate_warp(r->picture, &place->quad, 0, place->top, 1, place->split, pixels, upper,
                       m->input.height, stride);
        gtv_plate_warp(r->picture, &place->quad, 0, place->split, 1, 1, pixels + (size_t)upper * 3,
                       m->input.width - upper, m->input.height, stride);
    } else {
        gtv_plate_warp(r->picture, &place->quad, -m->margin, -m->margin, 1 + m->margin, 1 + m->margin, pixels,
                       m->input.width, m->input.height, stride);
    }
}

static size_t read_ctc(struct reader *r, const struct gtv_plate_place *place,
                       struct gtv_plate_opinion *opinion)
{
    const struct gtv_plate_model *m = &r->p->models[GTV_PLATE_HEAD_CTC];
    struct gtv_plate_run run;
    if (!take(r, GTV_PLATE_HEAD_CTC, &run))
        return 0;
    fill_ctc(r, place, run.pixels);
    const struct gtv_tensor *t = run_net(r, &run);
    if (t)
        gtv_plate_decode_ctc(t->data, t->count / m->ctc.classes, &m->ctc, opinion);
    gtv_plate_net_give(r->p->nets[GTV_PLATE_HEAD_CTC], &run);
    return t != NULL;
}

// Sharpness and band are measured on a crop of one size, whichever networks there are.
static void look_at(struct reader *r, struct gtv_plate *out)
{
    enum { W = 128, H = 48 };
    uint8_t crop[W * H * 3];
    const double margin = 0.12;
    gtv_plate_warp(r->picture, &out->quad, -margin, -margin, 1 + margin, 1 + margin, crop, W, H,
                   (size_t)W * 3);
    out->sharpness = gtv_plate_sharpness(crop, W, H, (size_t)W * 3);
    out->band = gtv_plate_blue_band(crop, W, H, (size_t)W * 3, margin);
    out->tilt = gtv_plate_quad_tilt(&out->quad);
    out->width = gtv_plate_quad_width(&out->quad);
}

// Below this mass a text is neither of the two formats; so sure must it be that it is reported as it stands.
#define FOREIGN_MASS (-6.0)
#define FOREIGN_SURE (-1.0)

static void judge(struct gtv_plate *out, const struct gtv_plate_opinion *opinions, size_t count)
{
    struct gtv_plate_choice choice;
    gtv_plate_choose(&out->chars, out->band, &choice);
    out->confidence = gtv_plate_confidence(choice.sure, out->mass);
    out->format = choice.format;
    memcpy(out->text, choice.text, sizeof(choice.text));
    const struct gtv_plate_opinion *free = &opinions[0];
    for (size_t i = 1; i < count; i++)
        free = opinions[i].free_log > free->free_log ? &opinions[i] : free;
    if (out->mass < FOREIGN_MASS && free->free_log > FOREIGN_SURE && strlen(free->free) >= 4) {
        out->format = GTV_PLATE_FORMAT_FOREIGN;
        memcpy(out->text, free->free, sizeof(out->text));
        out->confidence = exp(free->free_log);
    } else if (out->confidence < GTV_PLATE_LEAST_CONFIDENCE) {
        out->format = GTV_PLATE_FORMAT_UNREADABLE;
        out->text[0] = '\0';
    }
}

static bool read_place(struct reader *r, const struct gtv_plate_place *place, struct gtv_plate *out)
{
    struct gtv_plate_opinion opinions[3];
    const struct gtv_plate_chars *chars[3];
    double weights[3] = {0}, total = 0;
    size_t n = 0;
    memset(out, 0, sizeof(*out));
    out->quad = place->quad;
    out->located = place->score;
    out->two_lines = place->two_lines;
    out->x = (int)floorf(place->box[0]);
    out->y = (int)floorf(place->box[1]);
    out->w = (int)ceilf(place->box[2]) - out->x;
    out->h = (int)ceilf(place->box[3]) - out->y;
    look_at(r, out);
    if (has(r->p, GTV_PLATE_HEAD_SLOTS)) {
        n = read_slots(r, place, out, opinions);
        // One recogniser, one weight, however many crops it saw.
        for (size_t i = 0; i < n; i++)
            weights[i] = r->p->models[GTV_PLATE_HEAD_SLOTS].weight / (double)n;
    }
    if (has(r->p, GTV_PLATE_HEAD_CTC) && n == 2 &&
        gtv_plate_settled(&opinions[0], &opinions[1], out->band, out->two_lines ? 0 : out->width)) {
        // It would agree, and a pool of two that agree is what the confidence was calibrated on.
        for (size_t i = 0; i < n; i++)
            weights[i] += r->p->models[GTV_PLATE_HEAD_CTC].weight / (double)n;
    } else if (has(r->p, GTV_PLATE_HEAD_CTC)) {
        size_t more = read_ctc(r, place, &opinions[n]);
        // It was made for documents: on small plates it errs more often than the other.
        weights[n] =
            r->p->models[GTV_PLATE_HEAD_CTC].weight * (n ? fmax(0.33, fmin(1, (out->width - 20) / 60)) : 1);
        n += more;
    }
    if (n == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        chars[i] = &opinions[i].chars;
        total += weights[i];
        // What one recogniser holds for impossible must not settle it alone.
        out->mass += weights[i] * fmax(-15, fmin(0, opinions[i].mass));
    }
    out->mass /= fmax(total, 1e-9);
    gtv_plate_pool(chars, weights, n, &out->chars);
    judge(out, opinions, n);
    return true;
}

// ---- Regions ----

// Readable before foreign before unreadable, the surer first.
static double rank(const struct gtv_plate *plate)
{
    double class = plate->format >= GTV_PLATE_FORMAT_OLD ? 2 : plate->format == GTV_PLATE_FORMAT_FOREIGN;
    return class + plate->confidence;
}

static double centre_x(const struct gtv_plate *plate)
{
    return plate->x + plate->w / 2.0;
}

static bool same_place(const struct gtv_plate *a, const struct gtv_plate *b)
{
    return fabs(centre_x(a) - centre_x(b)) < fmin(a->w, b->w) / 2.0 &&
           fabs(a->y + a->h / 2.0 - b->y - b->h / 2.0) < fmin(a->h, b->h) / 2.0;
}

// The best first; of two readings of one plate the better stays.
static size_t add_plate(struct gtv_plate *out, size_t n, const struct gtv_plate *plate)
{
    for (size_t i = 0; i < n; i++) {
        if (!same_place(&out[i], plate))
            continue;
        if (rank(&out[i]) >= rank(plate))
            return n;
        memmove(&out[i], &out[i + 1], (n - i - 1) * sizeof(*out));
        n--;
        break;
    }
    size_t at = n;
    while (at > 0 && rank(&out[at - 1]) < rank(plate))
        at--;
    if (at == GTV_PLATES_MAX)
        return n;
    if (n == GTV_PLATES_MAX)
        n--;
    memmove(&out[at + 1], &out[at], (n - at) * sizeof(*out));
    out[at] = *plate;
    return n + 1;
}

// What does not read as a Brazilian plate is looked at once more.
static bool read_patiently(struct reader *r, const struct gtv_plate_place *place, struct gtv_plate *out)
{
    if (!read_place(r, place, out))
        return false;
    if (out->format >= GTV_PLATE_FORMAT_OLD || out->width < SMALLEST_PLATE)
        return true;
    struct gtv_plate again;
    const struct gtv_plate_place wide = gtv_plate_place_widened(place);
    if (read_place(r, &wide, &again) && again.format >= GTV_PLATE_FORMAT_OLD &&
        again.confidence > LATE_CONFIDENCE)
        *out = again;
    return true;
}

// Adds to the n plates of `out`.
static size_t read_region(struct reader *r, enum gtv_plate_head head, const int region[4], double margin,
                          struct gtv_plate *out, size_t n)
{
    struct gtv_plate_place places[GTV_PLATE_MAX_PLACES];
    size_t count = locate(r, head, region, margin, places);
    if (head == GTV_PLATE_HEAD_TEXTMAP && count > GTV_PLATES_MAX_TEXTS)
        count = GTV_PLATES_MAX_TEXTS;
    for (size_t i = 0; i < count; i++) {
        struct gtv_plate plate;
        // Any sign has text: only what reads as a Brazilian plate is one.
        bool read = head == GTV_PLATE_HEAD_CORNERS ? read_patiently(r, &places[i], &plate)
                                                   : read_place(r, &places[i], &plate);
        plate.by_text = head == GTV_PLATE_HEAD_TEXTMAP;
        if (read && (head == GTV_PLATE_HEAD_CORNERS || plate.format >= GTV_PLATE_FORMAT_OLD))
            n = add_plate(out, n, &plate);
    }
    return n;
}

static bool reads_well(const struct gtv_plate *plates, size_t n)
{
    return n > 0 && plates[0].format >= GTV_PLATE_FORMAT_OLD;
}

static size_t read_texts(struct reader *r, const int region[4], bool vehicle,
                         struct gtv_plate out[GTV_PLATES_MAX], size_t n)
{
    return read_region(r, GTV_PLATE_HEAD_TEXTMAP, region,
                       vehicle ? r->p->models[GTV_PLATE_HEAD_TEXTMAP].margin : 0, out, n);
}

static size_t read_around(struct reader *r, const int region[4], bool vehicle, enum gtv_plates_effort effort,
                          struct gtv_plate out[GTV_PLATES_MAX])
{
    enum gtv_plate_head first = first_localiser(r->p);
    bool texts = first == GTV_PLATE_HEAD_CORNERS && has(r->p, GTV_PLATE_HEAD_TEXTMAP);
    size_t n = texts && effort == GTV_PLATES_LINES ? read_texts(r, region, vehicle, out, 0) : 0;
    if (reads_well(out, n))
        return n;
    n = read_region(r, first, region, vehicle ? r->p->models[first].margin : 0, out, n);
    if (!reads_well(out, n) && vehicle && effort >= GTV_PLATES_CAREFUL && region[3] >= LOWER_PART_OF) {
        // Most plates are in the lower part, where the localiser then sees them larger.
        int top = region[3] * 35 / 100;
        const int lower[4] = {region[0], region[1] + top, region[2], region[3] - top};
        n = read_region(r, first, lower, r->p->models[first].margin, out, n);
    }
    if (!reads_well(out, n) && texts && effort == GTV_PLATES_THOROUGH)
        n = read_texts(r, region, vehicle, out, n);
    return n;
}

size_t gtv_plates_read(struct gtv_plates *p, size_t slot, const struct gtv_plate_picture *picture,
                       const int region[4], enum gtv_plates_effort effort,
                       struct gtv_plate out[GTV_PLATES_MAX], bool *failed)
{
    struct reader r = {.p = hold(p), .worker = slot, .picture = picture};
    const int whole[4] = {0, 0, picture->width, picture->height};
    size_t n = usable(r.p) ? read_around(&r, region ? region : whole, region != NULL, effort, out) : 0;
    if (failed)
        *failed = r.failed;
    drop_chain(r.p);
    return n;
}

// ---- Pictures ----

// Keeps the better of two readings of one plate.
static void keep(struct gtv_plate_found *out, size_t *n, const struct gtv_plate *plate)
{
    for (size_t i = 0; i < *n; i++) {
        if (same_place(&out[i].plate, plate)) {
            if (rank(plate) > rank(&out[i].plate))
                out[i].plate = *plate;
            return;
        }
    }
    if (*n < GTV_PLATES_MAX_FOUND)
        out[(*n)++] = (struct gtv_plate_found){*plate, -1};
}

// How well a plate suits a vehicle: it lies in its lower part, near the middle, and is not tiny in it. 0: not
// its plate.
static double suits(const struct gtv_plate *plate, const struct gtv_detected *v)
{
    double x = (centre_x(plate) - v->x) / fmax(1, v->w);
    double y = (plate->y + plate->h / 2.0 - v->y) / fmax(1, v->h);
    if (x < -0.03 || x > 1.03 || y < -0.03 || y > 1.06)
        return 0;
    return 0.2 + v->confidence + 0.8 * (1 - 2 * fabs(x - 0.5)) + 0.5 * fmin(1, y) +
           1.5 * fmin(0.4, plate->w / fmax(1, v->w));
}

static void assign(struct gtv_plate_found *found, size_t n, const struct gtv_detected *vehicles, size_t count)
{
    bool taken[GTV_MAX_OBJECTS] = {false};
    for (size_t round = 0; round < n; round++) {
        double best = 0;
        size_t plate = 0, vehicle = 0;
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < count && found[i].vehicle < 0; k++) {
                double s = taken[k] ? 0 : suits(&found[i].plate, &vehicles[k]) + rank(&found[i].plate);
                if (taken[k] || suits(&found[i].plate, &vehicles[k]) <= 0 || s <= best)
                    continue;
                best = s;
                plate = i;
                vehicle = k;
            }
        }
        if (best <= 0)
            return;
        found[plate].vehicle = (int)vehicle;
        taken[vehicle] = true;
    }
}

static bool any_readable(const struct gtv_plate_found *found, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (found[i].plate.format >= GTV_PLATE_FORMAT_OLD)
            return true;
    }
    return false;
}

static size_t read_part(struct reader *r, const int region[4], enum gtv_plates_effort effort,
                        struct gtv_plate_found *out, size_t n)
{
    struct gtv_plate plates[GTV_PLATES_MAX];
    size_t count = read_around(r, region, false, effort, plates);
    for (size_t i = 0; i < count; i++)
        keep(out, &n, &plates[i]);
    return n;
}

static size_t examine(struct reader *r, const struct gtv_detected *vehicles, size_t vehicle_count,
                      struct gtv_plate_found *out)
{
    const int w = r->picture->width, h = r->picture->height, whole[4] = {0, 0, w, h};
    size_t n = 0;
    for (size_t i = 0; i < vehicle_count && i < GTV_PLATES_MAX_VEHICLES; i++) {
        const struct gtv_detected *v = &vehicles[i];
        if (v->w < SMALLEST_VEHICLE && v->h < SMALLEST_VEHICLE)
            continue;
        const int region[4] = {v->x, v->y, v->w, v->h};
        bool two_lines = strcmp(v->object_type, gtv_vehicle_names[GTV_MOTORCYCLE]) == 0;
        struct gtv_plate plates[GTV_PLATES_MAX];
        size_t count =
            read_around(r, region, true, two_lines ? GTV_PLATES_THOROUGH : GTV_PLATES_CAREFUL, plates);
        for (size_t k = 0; k < count; k++)
            keep(out, &n, &plates[k]);
    }
    if (!any_readable(out, n))
        n = read_part(r, whole, vehicle_count ? GTV_PLATES_THOROUGH : GTV_PLATES_QUICK, out, n);
    // Six parts of half a large picture's size: their plates are twice as large in the localiser.
    for (int i = 0; i < 6 && vehicle_count == 0 && (w > LARGE || h > LARGE) && !any_readable(out, n); i++)
        n = read_part(r, (const int[4]){i % 3 * w / 4, i / 3 * h / 2, w / 2, h / 2}, GTV_PLATES_QUICK, out,
                      n);
    assign(out, n, vehicles, vehicle_count);
    return n;
}

size_t gtv_plates_examine(struct gtv_plates *p, size_t slot, const struct gtv_plate_picture *picture,
                          const struct gtv_detected *vehicles, size_t vehicle_count,
                          struct gtv_plate_found *out)
{
    struct reader r = {.p = hold(p), .worker = slot, .picture = picture};
    size_t n = usable(r.p) ? examine(&r, vehicles, vehicle_count, out) : 0;
    drop_chain(r.p);
    return n;
}
