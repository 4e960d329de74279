#include "services/ai/plate/match.h"

#include "lib/base/mem.h"
#include "services/ai/plate/confusion.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *const gtv_plate_match_names[] = {"exact", "converted", "wildcard", "similar"};

// A sign too many or too few: recognisers seldom do that with a plate.
#define GAP 4.8

enum { WILD_ONE = 100, WILD_ANY = 101 }; // beside the signs 0..35

struct entry {
    uint8_t sign[GTV_PLATE_PATTERN_MAX];
    uint8_t length;
    bool wild, exact;
    char key[GTV_PLATE_KEY_MAX + 1]; // empty: it has none
    float tolerance;
};

struct gtv_plate_matcher {
    float cost[GTV_PLATE_SIGNS][GTV_PLATE_SIGNS]; // [is][read], nats
    size_t count;
    struct entry *entries;
};

// ---- Making it ----

static bool parse(const struct gtv_plate_watch *watch, struct entry *out)
{
    size_t signs = 0;
    memset(out, 0, sizeof(*out));
    for (const char *p = watch->pattern; *p; p++) {
        if (*p == ' ' || *p == '-' || *p == '.')
            continue;
        int sign = *p == '*' ? WILD_ANY : *p == '?' ? WILD_ONE : gtv_plate_sign(*p);
        if (sign < 0 || out->length == GTV_PLATE_PATTERN_MAX)
            return false;
        out->wild = out->wild || sign >= WILD_ONE;
        signs += sign < WILD_ONE;
        out->sign[out->length++] = (uint8_t)sign;
    }
    out->exact = watch->exact;
    out->tolerance = (float)(watch->tolerance > 0 ? watch->tolerance : GTV_PLATE_TOLERANCE);
    if (!out->wild && !gtv_plate_key(gtv_str_of(watch->pattern), out->key))
        out->key[0] = '\0';
    return signs > 0;
}

struct gtv_plate_matcher *gtv_plate_matcher_create(const struct gtv_plate_watch *entries, size_t count,
                                                   size_t *bad, struct gtv_error *err)
{
    if (count > GTV_PLATE_MATCHER_MAX) {
        gtv_error_set(err, GTV_E_TOO_LARGE, NULL, "a watch-list has at most %d entries",
                      (int)GTV_PLATE_MATCHER_MAX);
        return NULL;
    }
    struct gtv_plate_matcher *m = GTV_NEW(struct gtv_plate_matcher);
    m->entries = gtv_alloc((count + 1) * sizeof(*m->entries));
    for (m->count = 0; m->count < count; m->count++) {
        if (parse(&entries[m->count], &m->entries[m->count]))
            continue;
        if (bad)
            *bad = m->count;
        gtv_error_set(err, GTV_E_INVALID, "plate",
                      "a plate has letters, digits, * and ?, at least one of them a letter or digit, and at "
                      "most %d",
                      (int)GTV_PLATE_PATTERN_MAX);
        gtv_plate_matcher_destroy(m);
        return NULL;
    }
    for (int is = 0; is < GTV_PLATE_SIGNS; is++) {
        for (int read = 0; read < GTV_PLATE_SIGNS; read++)
            m->cost[is][read] = (float)gtv_plate_confusion(is, read) / 10;
    }
    return m;
}

void gtv_plate_matcher_destroy(struct gtv_plate_matcher *m)
{
    if (!m)
        return;
    free(m->entries);
    free(m);
}

// ---- Wildcards ----

static bool fits_pattern(const struct entry *e, const uint8_t *read, size_t n)
{
    size_t i = 0, k = 0, star = SIZE_MAX, from = 0;
    while (k < n) {
        if (i < e->length && (e->sign[i] == WILD_ONE || e->sign[i] == read[k])) {
            i++;
            k++;
        } else if (i < e->length && e->sign[i] == WILD_ANY) {
            star = i++;
            from = k;
        } else if (star != SIZE_MAX) {
            // The star takes one sign more, and the rest is tried again.
            i = star + 1;
            k = ++from;
        } else {
            return false;
        }
    }
    while (i < e->length && e->sign[i] == WILD_ANY)
        i++;
    return i == e->length;
}

// ---- Similar ones ----

// What is compared: the text, and what each of its signs costs as any other.
struct reading {
    uint8_t sign[GTV_PLATE_PATTERN_MAX];
    size_t length;
    char key[GTV_PLATE_KEY_MAX + 1];
    float cost[GTV_PLATE_PATTERN_MAX][GTV_PLATE_SIGNS]; // [position][is]
};

static bool add_slip(struct gtv_plate_match *out, size_t position, int listed, int read, double cost)
{
    if (out->slip_count == GTV_PLATE_SLIPS_MAX)
        return false;
    out->slips[out->slip_count++] = (struct gtv_plate_slip){
        .position = (int)position,
        .listed = listed >= 0 ? gtv_plate_signs[listed] : '\0',
        .read = read >= 0 ? gtv_plate_signs[read] : '\0',
        .cost = cost,
    };
    out->cost += cost;
    return true;
}

static bool same_length(const struct entry *e, const struct reading *r, size_t from, size_t to, size_t shift,
                        struct gtv_plate_match *out)
{
    for (size_t i = from; i < to; i++) {
        int is = e->sign[i], read = r->sign[i + shift];
        if (is == read)
            continue;
        if (!add_slip(out, i + shift, is, read, (double)r->cost[i + shift][is]) ||
            out->cost > (double)e->tolerance)
            return false;
    }
    return true;
}

// One sign was read too many, or too few: the best place for it.
static bool with_gap(const struct entry *e, const struct reading *r, struct gtv_plate_match *out)
{
    bool more = r->length > e->length, found = false;
    struct gtv_plate_match best = {.cost = INFINITY};
    if (GAP > (double)e->tolerance)
        return false;
    for (size_t gap = 0; gap <= e->length; gap++) {
        struct gtv_plate_match m = {.entry = out->entry, .kind = out->kind};
        if (!more && gap == e->length)
            break;
        bool ok = same_length(e, r, 0, gap, 0, &m) &&
                  add_slip(&m, gap, more ? -1 : e->sign[gap], more ? r->sign[gap] : -1, GAP) &&
                  m.cost <= (double)e->tolerance;
        // Behind the gap the text runs one ahead of the list, or one behind it.
        for (size_t i = more ? gap : gap + 1; ok && i < e->length; i++) {
            size_t at = more ? i + 1 : i - 1;
            if (e->sign[i] != r->sign[at])
                ok = add_slip(&m, at, e->sign[i], r->sign[at], (double)r->cost[at][e->sign[i]]) &&
                     m.cost <= (double)e->tolerance;
        }
        if (ok && m.cost < best.cost) {
            best = m;
            found = true;
        }
    }
    if (found)
        *out = best;
    return found;
}

static bool match_one(const struct entry *e, const struct reading *r, struct gtv_plate_match *out)
{
    out->slip_count = 0;
    out->cost = 0;
    if (e->wild) {
        out->kind = GTV_PLATE_MATCH_WILDCARD;
        return fits_pattern(e, r->sign, r->length);
    }
    if (e->length == r->length && memcmp(e->sign, r->sign, r->length) == 0) {
        out->kind = GTV_PLATE_MATCH_EXACT;
        return true;
    }
    if (e->key[0] && strcmp(e->key, r->key) == 0) {
        out->kind = GTV_PLATE_MATCH_CONVERTED;
        return true;
    }
    if (e->exact)
        return false;
    out->kind = GTV_PLATE_MATCH_SIMILAR;
    if (e->length == r->length)
        return same_length(e, r, 0, e->length, 0, out);
    bool one_apart = e->length + 1U == r->length || r->length + 1U == e->length;
    return one_apart && with_gap(e, r, out);
}

static bool begin(const struct gtv_plate_matcher *m, const char *text, const struct gtv_plate_chars *chars,
                  struct reading *r)
{
    r->length = 0;
    for (const char *p = text; *p; p++) {
        int sign = gtv_plate_sign(*p);
        if (sign < 0)
            continue;
        if (r->length == GTV_PLATE_PATTERN_MAX)
            return false;
        r->sign[r->length++] = (uint8_t)sign;
    }
    if (!gtv_plate_key(gtv_str_of(text), r->key))
        r->key[0] = '\0';
    for (size_t k = 0; k < r->length; k++) {
        for (int is = 0; is < GTV_PLATE_SIGNS; is++) {
            float cost = m->cost[is][r->sign[k]];
            if (chars && r->length == GTV_PLATE_CHARS && isfinite(chars->log[k][is]))
                cost = fminf(cost, fmaxf(0, chars->log[k][r->sign[k]] - chars->log[k][is]));
            r->cost[k][is] = cost;
        }
    }
    return r->length > 0;
}

static bool before(const struct gtv_plate_match *a, const struct gtv_plate_match *b)
{
    return a->kind != b->kind ? a->kind < b->kind : a->cost < b->cost;
}

size_t gtv_plate_matcher_find(const struct gtv_plate_matcher *m, const char *text,
                              const struct gtv_plate_chars *chars, struct gtv_plate_match *out, size_t cap)
{
    struct reading r;
    size_t n = 0;
    if (cap == 0 || !begin(m, text, chars, &r))
        return 0;
    for (size_t i = 0; i < m->count; i++) {
        struct gtv_plate_match match = {.entry = i};
        if (!match_one(&m->entries[i], &r, &match))
            continue;
        size_t at = n;
        while (at > 0 && before(&match, &out[at - 1]))
            at--;
        if (at == cap)
            continue;
        n -= n == cap;
        memmove(&out[at + 1], &out[at], (n - at) * sizeof(*out));
        out[at] = match;
        n++;
    }
    return n;
}

// ---- Saying it ----

static void say_slip(char *out, size_t cap, const struct gtv_plate_slip *s)
{
    if (!s->listed)
        snprintf(out, cap, "%c was read at position %d, which the list does not have", s->read,
                 s->position + 1);
    else if (!s->read)
        snprintf(out, cap, "%c of the list was not read before position %d", s->listed, s->position + 1);
    else
        snprintf(out, cap, "%c of the list was read as %c at position %d", s->listed, s->read,
                 s->position + 1);
}

const char *gtv_plate_match_why(const struct gtv_plate_matcher *m, const struct gtv_plate_match *match,
                                char out[GTV_PLATE_WHY_CAP])
{
    static const char *const whole[] = {"the plate of the list", "the plate of the list in its other form",
                                        "the pattern of the list fits"};
    if (match->kind != GTV_PLATE_MATCH_SIMILAR) {
        snprintf(out, GTV_PLATE_WHY_CAP, "%s", whole[match->kind]);
        return out;
    }
    size_t n = 0;
    for (size_t i = 0; i < match->slip_count && n + 1 < GTV_PLATE_WHY_CAP; i++) {
        char slip[80];
        say_slip(slip, sizeof(slip), &match->slips[i]);
        int k = snprintf(out + n, GTV_PLATE_WHY_CAP - n, "%s%s", i ? ", " : "", slip);
        n += k > 0 ? (size_t)k : 0;
    }
    if (n < GTV_PLATE_WHY_CAP)
        snprintf(out + n, GTV_PLATE_WHY_CAP - n, " (cost %.1f of %.1f)", match->cost,
                 (double)m->entries[match->entry].tolerance);
    return out;
}
