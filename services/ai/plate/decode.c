#include "services/ai/plate/decode.h"

#include "lib/base/mem.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

const char gtv_plate_signs[GTV_PLATE_SIGNS + 1] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const char *const gtv_plate_format_names[] = {"unreadable", "foreign", "old", "mercosul"};

// EITHER: the position where digits and letters may stand; there look-alikes are rivals.
enum { N = GTV_PLATE_CHARS, S = GTV_PLATE_SIGNS, LETTERS = 10, EITHER = 4 };

// A slot that says something may still be none of the seven: a stroke of the frame, a doubled sign.
#define SKIP 0.01
// Nothing is impossible: a recogniser's certainty must not outvote all others.
#define FLOOR     1e-4
#define TINY      1e-300
#define CTC_FLOOR 1e-6F
// A step that shows some sign that no plate has counts as blank at this price.
#define CTC_OTHER 0.001F

int gtv_plate_sign(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    int upper = toupper((unsigned char)c);
    return upper >= 'A' && upper <= 'Z' ? upper - 'A' + LETTERS : -1;
}

// The signs that may stand at a position: [*first, *last).
static void range(int position, int *first, int *last)
{
    *first = position < 3 ? LETTERS : 0;
    *last = position < 3 || position == EITHER ? S : LETTERS;
}

// Adds to each sign a share of what its look-alikes of the other kind have: where the format leaves one kind,
// a reading of the other still says which.
static void add_look_alikes(const float in[S], float out[S])
{
    static const struct {
        char is, read;
        float share;
    } pairs[] = {{'O', '0', 0.1F},  {'0', 'O', 0.1F}, {'I', '1', 0.1F},  {'1', 'I', 0.1F},  {'Z', '2', 0.1F},
                 {'2', 'Z', 0.1F},  {'S', '5', 0.1F}, {'5', 'S', 0.1F},  {'B', '8', 0.1F},  {'8', 'B', 0.1F},
                 {'G', '6', 0.1F},  {'6', 'G', 0.1F}, {'Q', '0', 0.05F}, {'D', '0', 0.03F}, {'0', 'Q', 0.05F},
                 {'0', 'D', 0.05F}, {'T', '7', 0.03F}};
    memcpy(out, in, sizeof(float) * S);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        out[gtv_plate_sign(pairs[i].is)] += pairs[i].share * in[gtv_plate_sign(pairs[i].read)];
}

// Marginals (any scale) to logarithms that are normalised at each position.
static void finish_marginals(double m[N][S], struct gtv_plate_chars *out)
{
    for (int k = 0; k < N; k++) {
        int first, last;
        range(k, &first, &last);
        double sum = 0, total = 0;
        for (int c = first; c < last; c++)
            sum += m[k][c];
        for (int c = first; c < last; c++) {
            m[k][c] = (sum > TINY ? m[k][c] / sum : 0) + FLOOR;
            total += m[k][c];
        }
        for (int c = 0; c < S; c++)
            out->log[k][c] = c >= first && c < last ? (float)log(m[k][c] / total) : -INFINITY;
    }
}

// ---- Slots ----

static void free_of_slots(const float *p, size_t slots, struct gtv_plate_opinion *out)
{
    size_t n = 0;
    out->free_log = 0;
    for (size_t j = 0; j < slots; j++) {
        const float *row = p + j * (S + 1);
        int best = 0;
        for (int c = 1; c <= S; c++)
            best = row[c] > row[best] ? c : best;
        out->free_log += log(fmax((double)row[best], TINY));
        if (best < S && n + 1 < sizeof(out->free))
            out->free[n++] = gtv_plate_signs[best];
    }
    out->free[n] = '\0';
}

void gtv_plate_decode_slots(const float *p, size_t slots, struct gtv_plate_opinion *out)
{
    assert(slots > 0 && slots <= GTV_PLATE_MAX_STEPS);
    double ahead[GTV_PLATE_MAX_STEPS + 1][N + 1] = {{1}}, back[GTV_PLATE_MAX_STEPS + 1][N + 1] = {{0}};
    float alike[GTV_PLATE_MAX_STEPS][S];
    double skip[GTV_PLATE_MAX_STEPS], emit[GTV_PLATE_MAX_STEPS][N];
    for (size_t j = 0; j < slots; j++) {
        const float *row = p + j * (S + 1);
        add_look_alikes(row, alike[j]);
        skip[j] = (double)row[S] + SKIP * (1 - (double)row[S]);
        for (int k = 0; k < N; k++) {
            int first, last;
            range(k, &first, &last);
            emit[j][k] = 0;
            for (int c = first; c < last; c++)
                emit[j][k] += (double)(k == EITHER ? row[c] : alike[j][c]);
        }
        for (int k = 0; k <= N; k++)
            ahead[j + 1][k] = ahead[j][k] * skip[j] + (k > 0 ? ahead[j][k - 1] * emit[j][k - 1] : 0);
    }
    back[slots][N] = 1;
    for (size_t j = slots; j-- > 0;) {
        for (int k = 0; k <= N; k++)
            back[j][k] = back[j + 1][k] * skip[j] + (k < N ? back[j + 1][k + 1] * emit[j][k] : 0);
    }
    double m[N][S] = {{0}};
    for (int k = 0; k < N; k++) {
        for (size_t j = 0; j < slots; j++) {
            double here = ahead[j][k] * back[j + 1][k + 1];
            for (int c = 0; c < S; c++)
                m[k][c] += here * (double)(k == EITHER ? p[j * (S + 1) + (size_t)c] : alike[j][c]);
        }
    }
    finish_marginals(m, &out->chars);
    out->mass = log(fmax(ahead[slots][N], TINY));
    free_of_slots(p, slots, out);
}

// ---- CTC ----

// One step of the recogniser, reduced to what plates have.
struct step {
    float raw[S], alike[S];
    float rest; // blank, gaps, and at a price everything else
};

static void reduce_step(const float *p, const struct gtv_plate_ctc *ctc, struct step *out)
{
    float *raw = out->raw, known = p[ctc->blank];
    for (int c = 0; c < S; c++) {
        raw[c] = p[ctc->upper[c]] + (c >= LETTERS ? p[ctc->lower[c - LETTERS]] : 0);
        known += raw[c];
    }
    float gap = 0;
    for (size_t i = 0; i < ctc->gap_count; i++)
        gap += p[ctc->gaps[i]];
    add_look_alikes(raw, out->alike);
    for (int c = 0; c < S; c++) {
        raw[c] += CTC_FLOOR;
        out->alike[c] += CTC_FLOOR;
    }
    float other = fmaxf(0, 1 - known - gap);
    out->rest = p[ctc->blank] + gap + CTC_OTHER * other + CTC_FLOOR;
}

static void free_of_ctc(const float *p, size_t steps, const struct gtv_plate_ctc *ctc,
                        struct gtv_plate_opinion *out)
{
    size_t n = 0, before = ctc->classes;
    out->free_log = 0;
    for (size_t t = 0; t < steps; t++, p += ctc->classes) {
        size_t best = 0;
        for (size_t c = 1; c < ctc->classes; c++)
            best = p[c] > p[best] ? c : best;
        out->free_log += log(fmax((double)p[best], TINY));
        bool again = best == before;
        before = best;
        for (int c = 0; c < S && !again; c++) {
            bool is = ctc->upper[c] == best || (c >= LETTERS && ctc->lower[c - LETTERS] == best);
            if (is && n + 1 < sizeof(out->free))
                out->free[n++] = gtv_plate_signs[c];
        }
    }
    out->free[n] = '\0';
}

static const float *signs_at(const struct step *in, int position)
{
    return position == EITHER ? in->raw : in->alike;
}

// The lattice: rest[0] sign[0] rest[1] ... sign[6] rest[7]. A sign follows another directly unless they are
// the same; then something must stand between them.
struct column {
    double sign[N][S], rest[N + 1];
};

struct stage {
    struct step in;
    struct column ahead;
    double enter[N][S]; // the part of ahead that entered its sign at this step
    double scale;
};

static void step_ahead(struct stage *l, const struct column *before)
{
    struct column *now = &l->ahead;
    const struct step *in = &l->in;
    double sum = 0, total_before = 0;
    memset(now, 0, sizeof(*now));
    for (int k = 0; k <= N; k++) {
        // total_before: of all signs at position k - 1.
        now->rest[k] = (before->rest[k] + total_before) * (double)in->rest;
        sum += now->rest[k];
        if (k == N)
            break;
        const float *sign = signs_at(in, k);
        int first, last;
        range(k, &first, &last);
        double total = 0;
        for (int c = first; c < last; c++) {
            double from = before->rest[k] + (k > 0 ? total_before - before->sign[k - 1][c] : 0);
            l->enter[k][c] = fmax(0, from) * (double)sign[c];
            now->sign[k][c] = l->enter[k][c] + before->sign[k][c] * (double)sign[c];
            sum += now->sign[k][c];
            total += before->sign[k][c];
        }
        total_before = total;
    }
    double scale = 1 / fmax(sum, TINY);
    for (int k = 0; k <= N; k++) {
        now->rest[k] *= scale;
        for (int c = 0; c < S && k < N; c++) {
            now->sign[k][c] *= scale;
            l->enter[k][c] *= scale;
        }
    }
    l->scale = scale;
}

// What follows from each state of step t - 1, when `after` is what follows from those of step t.
static void step_back(const struct stage *l, const struct column *after, struct column *out)
{
    const struct step *in = &l->in;
    double total_next = 0;
    for (int k = N; k >= 0; k--) {
        // total_next: of all signs at position k, reached now.
        double rest = after->rest[k] * (double)in->rest;
        int first = 0, last = 0;
        double total = 0;
        if (k > 0)
            range(k - 1, &first, &last);
        for (int c = first; c < last; c++) {
            double same_next = k < N ? after->sign[k][c] * (double)signs_at(in, k)[c] : 0;
            double stay = after->sign[k - 1][c] * (double)signs_at(in, k - 1)[c];
            out->sign[k - 1][c] = (stay + rest + fmax(0, total_next - same_next)) * l->scale;
            total += stay;
        }
        out->rest[k] = (rest + total_next) * l->scale;
        total_next = total;
    }
}

void gtv_plate_decode_ctc(const float *p, size_t steps, const struct gtv_plate_ctc *ctc,
                          struct gtv_plate_opinion *out)
{
    assert(steps > 0 && steps <= GTV_PLATE_MAX_STEPS);
    // 5 KB a step: too much for the stack of every thread.
    struct stage *l = gtv_alloc(steps * sizeof(*l));
    struct column before = {.rest = {1}};
    double mass = 0;
    for (size_t t = 0; t < steps; t++) {
        reduce_step(p + t * ctc->classes, ctc, &l[t].in);
        step_ahead(&l[t], t ? &l[t - 1].ahead : &before);
        mass -= log(l[t].scale);
    }
    struct column after = {{{0}}, {0}}, earlier;
    double end = l[steps - 1].ahead.rest[N];
    for (int c = 0; c < S; c++) {
        after.sign[N - 1][c] = 1;
        end += l[steps - 1].ahead.sign[N - 1][c];
    }
    after.rest[N] = 1;
    out->mass = mass + log(fmax(end, TINY));
    double m[N][S] = {{0}};
    for (size_t t = steps; t-- > 0;) {
        for (int k = 0; k < N; k++) {
            for (int c = 0; c < S; c++)
                m[k][c] += l[t].enter[k][c] * after.sign[k][c];
        }
        memset(&earlier, 0, sizeof(earlier));
        step_back(&l[t], &after, &earlier);
        after = earlier;
    }
    free(l);
    finish_marginals(m, &out->chars);
    free_of_ctc(p, steps, ctc, out);
}

// ---- Pool and choice ----

void gtv_plate_pool(const struct gtv_plate_chars *const opinions[], const double *weights, size_t count,
                    struct gtv_plate_chars *out)
{
    for (int k = 0; k < N; k++) {
        int first, last;
        range(k, &first, &last);
        double sum[S] = {0}, most = -INFINITY, total = 0;
        for (int c = first; c < last; c++) {
            for (size_t i = 0; i < count; i++)
                sum[c] += weights[i] * (double)opinions[i]->log[k][c];
            most = fmax(most, sum[c]);
        }
        for (int c = first; c < last; c++)
            total += exp(sum[c] - most);
        for (int c = 0; c < S; c++)
            out->log[k][c] = c >= first && c < last ? (float)(sum[c] - most - log(total)) : -INFINITY;
    }
}

void gtv_plate_choose(const struct gtv_plate_chars *chars, double mercosul, struct gtv_plate_choice *out)
{
    double digit = -INFINITY, letter = -INFINITY, digits = 0, letters = 0, joint = 0;
    int best_digit = 0, best_letter = LETTERS;
    for (int c = 0; c < S; c++) {
        double v = (double)chars->log[EITHER][c];
        if (c < LETTERS) {
            digits += exp(v);
            best_digit = v > digit ? c : best_digit;
            digit = fmax(digit, v);
        } else {
            letters += exp(v);
            best_letter = v > letter ? c : best_letter;
            letter = fmax(letter, v);
        }
    }
    out->odds = log(fmax(letters, TINY)) - log(fmax(digits, TINY)) + mercosul;
    bool new_format = letter + mercosul > digit;
    out->format = new_format ? GTV_PLATE_FORMAT_MERCOSUL : GTV_PLATE_FORMAT_OLD;
    for (int k = 0; k < N; k++) {
        int first, last;
        range(k, &first, &last);
        int best = first;
        for (int c = first; c < last; c++)
            best = chars->log[k][c] > chars->log[k][best] ? c : best;
        if (k == EITHER) {
            best = new_format ? best_letter : best_digit;
            double all = log(digits + letters * exp(mercosul));
            joint += (double)chars->log[k][best] + (new_format ? mercosul : 0) - all;
        } else {
            joint += (double)chars->log[k][best];
        }
        out->text[k] = gtv_plate_signs[best];
    }
    out->text[N] = '\0';
    out->sure = exp(fmin(0, joint));
}
