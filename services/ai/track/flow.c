#include "services/ai/track/flow.h"

#include <math.h>
#include <string.h>

static const double MOST_WEIGHT = 30;   // so that it follows when lanes are closed
static const double LEAST_WEIGHT = 0.8; // of a way that is worth telling
static const double NOISE = 0.02;       // frames a second
static const double STANDING = 0.01;    // slower than this teaches nothing about the way

static int cell(double at, int n)
{
    int i = (int)floor(at * n);
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static bool same_way(const struct gtv_flow_way *way, double vx, double vy)
{
    return way->vx * vx + way->vy * vy > 0;
}

void gtv_flow_learn(struct gtv_flow *f, double x, double y, double vx, double vy, double weight)
{
    if (!(hypot(vx, vy) > STANDING) || !(weight > 0))
        return;
    struct gtv_flow_way *ways = f->cells[cell(y, GTV_FLOW_ROWS)][cell(x, GTV_FLOW_COLUMNS)], *way = NULL;
    for (size_t i = 0; i < GTV_FLOW_WAYS && !way; i++) {
        if (ways[i].weight > 0 && same_way(&ways[i], vx, vy))
            way = &ways[i];
    }
    if (!way) { // the weaker one makes room
        way = ways[0].weight <= ways[1].weight ? &ways[0] : &ways[1];
        if (way->weight > weight) { // a stray one only weakens it
            way->weight -= weight;
            return;
        }
        *way = (struct gtv_flow_way){.weight = weight, .vx = vx, .vy = vy, .var = NOISE * NOISE * 4};
        return;
    }
    way->weight = fmin(way->weight + weight, MOST_WEIGHT);
    double share = weight / way->weight, dx = vx - way->vx, dy = vy - way->vy;
    way->vx += share * dx;
    way->vy += share * dy;
    way->var += share * ((dx * dx + dy * dy) / 2 - way->var);
}

// Adds a cell's ways to those gathered so far.
static size_t gather(const struct gtv_flow_way *ways, double factor, struct gtv_flow_way *out, size_t n)
{
    for (size_t i = 0; i < GTV_FLOW_WAYS; i++) {
        const struct gtv_flow_way *way = &ways[i];
        double weight = way->weight * factor;
        if (!(weight > 0))
            continue;
        size_t k = 0;
        while (k < n && !same_way(&out[k], way->vx, way->vy))
            k++;
        if (k == n) {
            if (n == GTV_FLOW_WAYS)
                continue;
            memset(&out[n++], 0, sizeof(*out));
        }
        struct gtv_flow_way *to = &out[k];
        double share = weight / (to->weight + weight), dx = way->vx - to->vx, dy = way->vy - to->vy;
        // The mean of two groups; its variance is theirs and that between them.
        to->var = (1 - share) * to->var + share * way->var + share * (1 - share) * (dx * dx + dy * dy) / 2;
        to->vx += share * dx;
        to->vy += share * dy;
        to->weight += weight;
    }
    return n;
}

size_t gtv_flow_ask(const struct gtv_flow *f, double x, double y, struct gtv_flow_way out[GTV_FLOW_WAYS])
{
    int row = cell(y, GTV_FLOW_ROWS), column = cell(x, GTV_FLOW_COLUMNS);
    size_t n = gather(f->cells[row][column], 1, out, 0);
    for (int r = row - 1; r <= row + 1; r++) {
        for (int c = column - 1; c <= column + 1; c++) {
            bool inside = r >= 0 && r < GTV_FLOW_ROWS && c >= 0 && c < GTV_FLOW_COLUMNS;
            if (inside && (r != row || c != column))
                n = gather(f->cells[r][c], 0.3, out, n);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (out[i].weight >= LEAST_WEIGHT) {
            out[kept] = out[i];
            out[kept++].var += NOISE * NOISE;
        }
    }
    return kept;
}
