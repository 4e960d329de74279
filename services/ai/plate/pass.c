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
};
#define SURE        0.97 // from this confidence a plate is sure, where the camera has none of its own
#define NEARER      1.04 // times as wide as before: worth another reading
#define MUCH_NEARER 1.25
#define SHARPER     1.2
#define MUCH_BETTER 1.1  // times the weight of the best reading so far: the pass has got better
#define ALONE       0.97 // from this confidence one reading is enough

// Readings of a small plate err alike, however confident they are: how many that say the same it takes, by
// the width in pixels of the widest. Below the last a plate is never sure. Chosen on passes of the rendered
// street at three sizes, sharp and blurred (docs/accuracy.md).
static const struct {
    double width;
    uint32_t votes;
} needs[] = {{60, 1}, {50, 2}, {40, 3}, {30, 4}};

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
    bool better = c->width >= p->tried_width * NEARER;
    p->tries++;
    p->tried_ms = c->wall_ms;
    p->tried_width = fmax(p->tried_width, c->width);
    p->tried_sharpness = fmax(p->tried_sharpness, c->sharpness);
    if (better)
        p->better_ms = c->wall_ms;
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
    if (weight > p->best * MUCH_BETTER)
        p->better_ms = c->wall_ms;
    p->best = weight;
    return true;
}

static bool is_sure(const struct gtv_plate_pass *p, double threshold, const struct gtv_plate_verdict *v)
{
    if (v->format < GTV_PLATE_FORMAT_OLD)
        return v->sure && v->confidence >= threshold;
    if (v->confidence < (threshold > 0 ? threshold : SURE) || (v->votes < 2 && v->confidence < ALONE))
        return false;
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
        if (p->plate_width >= needs[i].width)
            return v->votes >= needs[i].votes;
    return false;
}

bool gtv_plate_pass_say(struct gtv_plate_pass *p, const struct gtv_plate_ask *ask,
                        struct gtv_plate_verdict *out)
{
    if (p->told || p->readings == 0)
        return false;
    gtv_plate_vote_result(&p->vote, out);
    out->sure = is_sure(p, ask->threshold, out);
    bool now = ask->over || (ask->wall_ms && ask->wall_ms - p->better_ms >= GTV_PLATE_PASS_STANDS_MS);
    if (!out->text[0] || (!out->sure && !now))
        return false;
    if (out->format == GTV_PLATE_FORMAT_FOREIGN && out->votes < FOREIGN_VOTES)
        return false;
    p->told = true;
    return true;
}

bool gtv_plate_alike(const char *a, const char *b, size_t differ)
{
    char x[GTV_PLATE_KEY_MAX + 1], y[GTV_PLATE_KEY_MAX + 1];
    size_t n = strlen(a), other = 0;
    if (gtv_plate_key(gtv_str_of(a), x) && gtv_plate_key(gtv_str_of(b), y) && strcmp(x, y) == 0)
        return true;
    if (n == 0 || strlen(b) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        other += a[i] != b[i];
    return other <= differ;
}

void gtv_plate_recent_note(struct gtv_plate_recent *r, const char *text, bool sure, int64_t wall_ms)
{
    size_t at = 0;
    for (size_t i = 0; i < GTV_PLATE_RECENT; i++) {
        if (strcmp(r->told[i].text, text) == 0) {
            at = i;
            sure = sure || r->told[i].sure;
            break;
        }
        if (r->told[i].wall_ms < r->told[at].wall_ms)
            at = i;
    }
    r->told[at].wall_ms = wall_ms;
    r->told[at].sure = sure;
    (void)!gtv_str_copy(r->told[at].text, sizeof(r->told[at].text), gtv_str_of(text));
}

const char *gtv_plate_recent_find(const struct gtv_plate_recent *r, const struct gtv_plate_verdict *verdict,
                                  int64_t wall_ms, bool *sure)
{
    for (size_t i = 0; i < GTV_PLATE_RECENT; i++) {
        int64_t since = wall_ms - r->told[i].wall_ms;
        if (r->told[i].wall_ms && since < GTV_PLATE_RECENT_MS && since > -GTV_PLATE_RECENT_MS &&
            (r->told[i].sure || !verdict->sure) &&
            gtv_plate_alike(r->told[i].text, verdict->text, verdict->sure ? 0 : 1)) {
            *sure = r->told[i].sure;
            return r->told[i].text;
        }
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
