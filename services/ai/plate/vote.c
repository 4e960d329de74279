#include "services/ai/plate/vote.h"

#include "services/ai/plate/confidence.h"

#include <math.h>

// Readings of one pass are not independent: the same blur, the same dirt. So many count as one more.
#define KINSHIP 0.35
// Below this mass a reading is of no Brazilian plate; it does not vote for characters.
#define FOREIGN_MASS (-6.0)
// One reading alone is sure from here on.
#define ALONE 0.97

void gtv_plate_vote_init(struct gtv_plate_vote *v)
{
    memset(v, 0, sizeof(*v));
}

double gtv_plate_vote_weight(double width, double sharpness, double tilt)
{
    // A plate of 90 pixels shows all that the recognisers use; at 35 they guess.
    double size = fmin(1, fmax(0.05, (width - 25) / 65));
    double sharp = sharpness > 0 ? fmin(1, fmax(0.3, log(1 + sharpness) / log(1 + 400.0))) : 0.7;
    double upright = fmax(0.3, fmin(1, (50 - tilt) / 35));
    return size * sharp * upright;
}

static void remember(struct gtv_plate_vote *v, const char *text, double weight)
{
    size_t least = 0;
    for (size_t i = 0; i < GTV_PLATE_VOTE_ODD; i++) {
        if (v->seen[i].count && strcmp(v->seen[i].text, text) == 0) {
            v->seen[i].count++;
            v->seen[i].weight += weight;
            return;
        }
        if (v->seen[i].weight < v->seen[least].weight)
            least = i;
    }
    if (v->seen[least].count && v->seen[least].weight >= weight)
        return;
    if (!gtv_str_copy(v->seen[least].text, sizeof(v->seen[least].text), gtv_str_of(text)))
        return;
    v->seen[least].count = 1;
    v->seen[least].weight = weight;
}

void gtv_plate_vote_add(struct gtv_plate_vote *v, const struct gtv_plate_reading *r)
{
    if (v->count >= GTV_PLATE_VOTE_MAX)
        return;
    double weight = gtv_plate_vote_weight(r->width, r->sharpness, r->tilt);
    v->count++;
    v->two_lines += r->two_lines;
    if (r->format == GTV_PLATE_FORMAT_FOREIGN) {
        v->foreign_weight += weight;
        remember(v, r->text, weight);
        return;
    }
    if (r->mass < FOREIGN_MASS)
        return;
    struct gtv_plate_choice choice;
    gtv_plate_choose(r->chars, r->band, &choice);
    // What reads badly by itself says little about any character.
    weight *= fmax(0.05, gtv_plate_confidence(choice.sure, r->mass));
    for (int k = 0; k < GTV_PLATE_CHARS; k++) {
        for (int c = 0; c < GTV_PLATE_SIGNS; c++)
            v->log[k][c] += weight * fmax(-30, (double)r->chars->log[k][c]);
    }
    v->weight += weight;
    v->mass += weight * fmax(-15, r->mass);
    v->band += weight * r->band;
    remember(v, choice.text, weight);
}

static void foreign_result(const struct gtv_plate_vote *v, struct gtv_plate_verdict *out)
{
    size_t best = 0;
    double all = 0;
    for (size_t i = 0; i < GTV_PLATE_VOTE_ODD; i++) {
        best = v->seen[i].weight > v->seen[best].weight ? i : best;
        all += v->seen[i].weight;
    }
    out->format = GTV_PLATE_FORMAT_FOREIGN;
    memcpy(out->text, v->seen[best].text, sizeof(out->text));
    out->votes = v->seen[best].count;
    out->confidence = all > 0 ? 0.9 * v->seen[best].weight / all : 0;
    out->sure = out->votes >= 3 && out->confidence >= GTV_PLATE_SURE_CONFIDENCE;
}

void gtv_plate_vote_result(const struct gtv_plate_vote *v, struct gtv_plate_verdict *out)
{
    memset(out, 0, sizeof(*out));
    out->readings = v->count;
    out->two_lines = v->two_lines * 2 > v->count;
    if (v->foreign_weight > v->weight) {
        foreign_result(v, out);
        return;
    }
    if (v->weight <= 0)
        return;
    // The sum over n equal readings counts as (1 + KINSHIP (n - 1)) of one.
    double equal = 0, heaviest = 0;
    for (size_t i = 0; i < GTV_PLATE_VOTE_ODD; i++) {
        if (v->seen[i].count)
            heaviest = fmax(heaviest, v->seen[i].weight / v->seen[i].count);
    }
    equal = heaviest > 0 ? v->weight / heaviest : 1;
    double scale = (1 + KINSHIP * fmax(0, equal - 1)) / v->weight;
    struct gtv_plate_chars sums;
    for (int k = 0; k < GTV_PLATE_CHARS; k++) {
        for (int c = 0; c < GTV_PLATE_SIGNS; c++)
            sums.log[k][c] = (float)(v->log[k][c] * scale);
    }
    const struct gtv_plate_chars *one = &sums;
    const double weight = 1;
    gtv_plate_pool(&one, &weight, 1, &out->chars);
    struct gtv_plate_choice choice;
    gtv_plate_choose(&out->chars, v->band / v->weight, &choice);
    out->confidence = gtv_plate_confidence(choice.sure, v->mass / v->weight);
    for (size_t i = 0; i < GTV_PLATE_VOTE_ODD; i++) {
        if (v->seen[i].count && strcmp(v->seen[i].text, choice.text) == 0)
            out->votes = v->seen[i].count;
    }
    if (out->confidence < GTV_PLATE_LEAST_CONFIDENCE)
        return;
    out->format = choice.format;
    memcpy(out->text, choice.text, sizeof(choice.text));
    out->sure = out->confidence >= GTV_PLATE_SURE_CONFIDENCE && (out->votes >= 2 || out->confidence >= ALONE);
}
