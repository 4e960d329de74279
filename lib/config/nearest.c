#include "lib/config/internal.h"

enum { FAR = 2, SHORTEST = 5, LONGEST = 63 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

// Levenshtein's distance: letters put in, left out or exchanged.
static size_t distance(struct gtv_str a, struct gtv_str b)
{
    size_t row[LONGEST + 1];
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a.p[i - 1] != b.p[j - 1]));
            diagonal = above;
        }
    }
    return row[b.n];
}

const char *config_nearest(const struct gtv_program *p, struct gtv_str name)
{
    const char *best = NULL;
    size_t best_distance = FAR + 1;
    if (name.n < SHORTEST || name.n > LONGEST)
        return NULL;
    for (size_t i = 0; i < p->count; i++) {
        struct gtv_str env = gtv_str_of(p->table[i].env);
        // The first letter is seldom wrong, and tells MEDIA_HOST from REDIS_HOST.
        size_t d = env.n > LONGEST || env.p[0] != name.p[0] ? best_distance : distance(name, env);
        if (d < best_distance) {
            best = p->table[i].env;
            best_distance = d;
        }
    }
    return best;
}
