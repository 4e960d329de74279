#include "services/ai/plate/pass.h"

#include "lib/contract/plate.h"
#include "services/ai/plate/confidence.h"

#include <math.h>

enum {
    FEW = 3,          // readings that are made whatever they promise: a vote needs them
    APART_MS = 120,   // two readings closer to one another see the same
    ANOTHER_MS = 450, // after that long it is another view, though no better one
    MISSED_MS = 200,  // after a look that found no plate; doubled with each further one
    MISSED_DOUBLES = 4,
    FOREIGN_VOTES = 2, // readings that a foreign plate must have to be said
    PAIR = 2,          // readings that a plate narrower than ALONE_WIDTH needs
    MANY = 5,          // and one narrower than PAIR_WIDTH: its readings err alike
};
#define ALONE_WIDTH 55   // pixels of a plate of which one reading may be enough
#define PAIR_WIDTH  40   // and two
#define NEARER      1.04 // times as wide as before: worth another reading
#define MUCH_NEARER 1.25
#define SHARPER     1.2
#define ALONE       0.97 // from this confidence one reading is enough

// A vehicle's least width in pixels: below it its plate has less than some twenty.
static const double least_width[GTV_VEHICLE_COUNT] = {
    [GTV_CAR] = 80, [GTV_MOTORCYCLE] = 52, [GTV_BUS] = 120, [GTV_TRUCK] = 110};

void gtv_plate_pass_init(struct gtv_plate_pass *p)
{
    memset(p, 0, sizeof(*p));
    gtv_plate_vote_init(&p->vote);
}

static bool exhausted(const struct gtv_plate_pass *p, const struct gtv_plate_chance *c)
{
    if (p->tries >= GTV_PLATE_PASS_MOST)
        return true;
    if (p->readings >= GTV_PLATE_PASS_READINGS)
        return c->width < p->read_width * MUCH_NEARER;
    return p->tries >= GTV_PLATE_PASS_TRIES && c->width < p->tried_width * MUCH_NEARER;
}

double gtv_plate_pass_worth(const struct gtv_plate_pass *p, const struct gtv_plate_chance *c)
{
    double size = c->width / least_width[c->vehicle];
    if (size < 1)
        return 0;
    size = fmin(size, 4);
    if (!p || p->tries == 0)
        return 2 * size;
    double since = (double)(c->wall_ms - p->tried_ms);
    if (p->told || since < APART_MS || exhausted(p, c))
        return 0;
    bool nearer = c->width >= p->tried_width * NEARER;
    if (p->misses) {
        uint32_t doubles = p->misses - 1 < MISSED_DOUBLES ? p->misses - 1 : MISSED_DOUBLES;
        if (since < (double)(MISSED_MS << doubles) && c->width < p->tried_width * MUCH_NEARER)
            return 0;
    } else if (p->readings >= FEW && !nearer && c->sharpness < p->tried_sharpness * SHARPER &&
               since < ANOTHER_MS) {
        return 0;
    }
    return size / (1 + p->readings + p->misses);
}

bool gtv_plate_pass_add(struct gtv_plate_pass *p, const struct gtv_plate_chance *c,
                        const struct gtv_plate *plate)
{
    p->tries++;
    p->tried_ms = c->wall_ms;
    p->tried_width = fmax(p->tried_width, c->width);
    p->tried_sharpness = fmax(p->tried_sharpness, c->sharpness);
    if (!plate) {
        p->misses++;
        return false;
    }
    p->misses = 0;
    p->readings++;
    p->read_width = fmax(p->read_width, c->width);
    p->plate_width = fmax(p->plate_width, plate->width);
    gtv_plate_vote_add(&p->vote, &(struct gtv_plate_reading){.chars = &plate->chars,
                                                             .mass = plate->mass,
                                                             .band = plate->band,
                                                             .width = plate->width,
                                                             .sharpness = plate->sharpness,
                                                             .tilt = plate->tilt,
                                                             .format = plate->format,
                                                             .text = plate->text,
                                                             .two_lines = plate->two_lines});
    double weight =
        gtv_plate_vote_weight(plate->width, plate->sharpness, plate->tilt) * fmax(plate->confidence, 0.05);
    if (weight <= p->best)
        return false;
    p->best = weight;
    return true;
}

bool gtv_plate_pass_say(struct gtv_plate_pass *p, double threshold, bool over, struct gtv_plate_verdict *out)
{
    if (p->told || p->readings == 0)
        return false;
    gtv_plate_vote_result(&p->vote, out);
    if (threshold > 0 && out->format >= GTV_PLATE_FORMAT_OLD)
        out->sure = out->confidence >= threshold && (out->votes >= 2 || out->confidence >= ALONE);
    else if (threshold > 0)
        out->sure = out->sure && out->confidence >= threshold;
    // A few readings of a small plate may be surely wrong.
    size_t wanted = p->plate_width >= ALONE_WIDTH ? 1 : p->plate_width >= PAIR_WIDTH ? PAIR : MANY;
    out->sure = out->sure && (size_t)out->votes >= wanted;
    if (!out->text[0] || (!out->sure && !over))
        return false;
    if (out->format == GTV_PLATE_FORMAT_FOREIGN && out->votes < FOREIGN_VOTES)
        return false;
    p->told = true;
    return true;
}

// Also a converted plate and its old form are the same.
static bool same(const char *told, const char *text, bool nearly)
{
    char a[GTV_PLATE_KEY_MAX + 1], b[GTV_PLATE_KEY_MAX + 1];
    size_t n = strlen(told), differ = 0;
    if (gtv_plate_key(gtv_str_of(told), a) && gtv_plate_key(gtv_str_of(text), b) && strcmp(a, b) == 0)
        return true;
    if (!nearly || strlen(text) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        differ += told[i] != text[i];
    return differ <= 1;
}

void gtv_plate_recent_note(struct gtv_plate_recent *r, const char *text, int64_t wall_ms)
{
    size_t oldest = 0;
    for (size_t i = 0; i < GTV_PLATE_RECENT; i++) {
        if (strcmp(r->told[i].text, text) == 0) {
            r->told[i].wall_ms = wall_ms;
            return;
        }
        if (r->told[i].wall_ms < r->told[oldest].wall_ms)
            oldest = i;
    }
    r->told[oldest].wall_ms = wall_ms;
    (void)!gtv_str_copy(r->told[oldest].text, sizeof(r->told[oldest].text), gtv_str_of(text));
}

const char *gtv_plate_recent_find(const struct gtv_plate_recent *r, const struct gtv_plate_verdict *verdict,
                                  int64_t wall_ms)
{
    for (size_t i = 0; i < GTV_PLATE_RECENT; i++) {
        int64_t since = wall_ms - r->told[i].wall_ms;
        if (r->told[i].wall_ms && since < GTV_PLATE_RECENT_MS && since > -GTV_PLATE_RECENT_MS &&
            same(r->told[i].text, verdict->text, !verdict->sure))
            return r->told[i].text;
    }
    return NULL;
}

double gtv_plate_look_alike(const struct gtv_plate_look *a, const struct gtv_plate_look *b)
{
    enum { N = GTV_PLATE_LOOK_SIDE * GTV_PLATE_LOOK_SIDE };
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < N; i++) {
        ma += a->luma[i] / N;
        mb += b->luma[i] / N;
    }
    for (int i = 0; i < N; i++) {
        double x = a->luma[i] - ma, y = b->luma[i] - mb;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    return aa < N || bb < N ? 1 : ab / sqrt(aa * bb);
}

static bool inside(const struct gtv_plate *plate, const int box[4], double margin)
{
    double x = plate->x + plate->w / 2.0, y = plate->y + plate->h / 2.0;
    return x >= box[0] - margin * box[2] && x <= box[0] + (1 + margin) * box[2] &&
           y >= box[1] - margin * box[3] && y <= box[1] + (1 + margin) * box[3];
}

// Nearer to the camera: it stands lower in the picture. Boxes that are nearly the same are of one vehicle.
static bool in_front(const int other[4], const int box[4])
{
    double w = fmin(other[0] + other[2], box[0] + box[2]) - fmax(other[0], box[0]);
    double h = fmin(other[1] + other[3], box[1] + box[3]) - fmax(other[1], box[1]);
    double shared = w > 0 && h > 0 ? w * h : 0;
    double both = (double)other[2] * other[3] + (double)box[2] * box[3] - shared;
    return other[1] + other[3] > box[1] + box[3] * 1.03 && shared < 0.6 * both;
}

const struct gtv_plate *gtv_plate_pass_own(const struct gtv_plate *plates, size_t n, const int box[4],
                                           const int (*others)[4], size_t other_count)
{
    for (size_t i = 0; i < n; i++) {
        bool own = inside(&plates[i], box, 0.05);
        for (size_t k = 0; own && k < other_count; k++)
            own = !(in_front(others[k], box) && inside(&plates[i], others[k], 0));
        if (own)
            return &plates[i];
    }
    return NULL;
}
