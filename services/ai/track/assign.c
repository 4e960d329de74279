// Kuhn-Munkres by shortest augmenting paths with potentials (R. Jonker and A. Volgenant, Computing 38, 1987),
// on the matrix padded so that every row may stay single: row r has a column of its own, columns + r, at the
// price of a single pair. O(rows^2 (rows + columns)).
#include "services/ai/track/track.h"

#include <assert.h>
#include <float.h>

enum { ROWS = GTV_TRACK_MAX, COLUMNS = 2 * GTV_TRACK_MAX };

struct work {
    const float *cost;
    size_t rows, columns;
    float single;
    double row_price[ROWS + 1], column_price[COLUMNS + 1], least[COLUMNS + 1];
    int row_of[COLUMNS + 1]; // 1..rows, or 0; entries count from 1
    int before[COLUMNS + 1];
    bool used[COLUMNS + 1];
};

static double cost_of(const struct work *w, int row, size_t column)
{
    if (column > w->columns)
        return column - w->columns == (size_t)row ? w->single : GTV_ASSIGN_NEVER;
    return w->cost[(size_t)(row - 1) * w->columns + column - 1];
}

// Extends the tree from column j0 by the cheapest edge; returns the column reached.
static int grow(struct work *w, int j0)
{
    int row = w->row_of[j0], next = 0;
    double delta = DBL_MAX;
    size_t all = w->columns + w->rows;
    for (size_t j = 1; j <= all; j++) {
        if (w->used[j])
            continue;
        double reduced = cost_of(w, row, j) - w->row_price[row] - w->column_price[j];
        if (reduced < w->least[j]) {
            w->least[j] = reduced;
            w->before[j] = j0;
        }
        if (w->least[j] < delta) {
            delta = w->least[j];
            next = (int)j;
        }
    }
    for (size_t j = 0; j <= all; j++) {
        if (w->used[j]) {
            w->row_price[w->row_of[j]] += delta;
            w->column_price[j] -= delta;
        } else {
            w->least[j] -= delta;
        }
    }
    return next;
}

static void add_row(struct work *w, int row)
{
    size_t all = w->columns + w->rows;
    for (size_t j = 0; j <= all; j++) {
        w->least[j] = DBL_MAX;
        w->used[j] = false;
    }
    w->row_of[0] = row;
    int j0 = 0;
    do {
        w->used[j0] = true;
        j0 = grow(w, j0);
    } while (w->row_of[j0] != 0);
    while (j0) {
        int from = w->before[j0];
        w->row_of[j0] = w->row_of[from];
        j0 = from;
    }
}

void gtv_assign(const float *cost, size_t rows, size_t columns, float single, int *to)
{
    assert(rows <= ROWS && columns <= GTV_TRACK_MAX);
    struct work w = {.cost = cost, .rows = rows, .columns = columns, .single = single};
    for (size_t r = 1; r <= rows; r++)
        add_row(&w, (int)r);
    for (size_t r = 0; r < rows; r++)
        to[r] = -1;
    for (size_t j = 1; j <= columns; j++) {
        if (w.row_of[j] && cost_of(&w, w.row_of[j], j) < single)
            to[w.row_of[j] - 1] = (int)j - 1;
    }
}
