#include "services/ai/gate/gate.h"

#include "lib/base/mem.h"

#include <math.h>
#include <stdlib.h>

enum {
    CELL = 4, // pixels: what moves is looked for in squares of this side
    MAX_CELLS = (GTV_GATE_MAX_SIDE / CELL) * (GTV_GATE_MAX_SIDE / CELL),
    CELL_LEAST = 6, // of its pixels must differ
    SURE_CELLS = 4, // so many are motion at once; fewer only when they stay
    STAY_MS = 300,  // for that long two looks in a row are asked for
    HOLD_MS = 1000, // a fault is one when it lasts
    CLEAR_MS = 500, // and is over when it is away
    GAP_MS = 10000, // without frames: what was learnt may be wrong
    CUT_MS = 600,   // most of the picture is new for that long: another picture
    MOST_SHIFT = 4, // pixels that a shake is looked for
    EVERY = 7,      // of the pixels, one is asked for the light as a whole
    FAULTS = 5,
};

// Seconds in which the backgrounds and the noise follow.
static const double FAST_S = 2, SLOW_S = 40, NOISE_S = 10, LIGHT_S = 0.4;
static const float CUT_SHARE = 0.55F;   // of the pixels
static const float NOISE_FACTOR = 3.2F; // mean deviations that are no motion
static const float MOST_NOISE = 14;     // leaves that move more than that are motion
static const double BLACK_MEAN = 26, BLACK_SPREAD = 4;
// Grey levels from a pixel to the next, and around the mean: less of both, and there is nothing to see.
static const double FLAT_DETAIL = 1.3, FLAT_SPREAD = 10;
static const double GREY_CHROMA = 1.6, COLOUR_CHROMA = 3;
static const double SHAKE_BETTER = 0.6; // how much better the shifted picture must fit
static const double SHAKE_ON = 0.35, SHAKE_OFF = 0.1, SHAKE_S = 1.5;

struct gtv_gate {
    struct gtv_gate_config config;
    size_t pixels;
    bool begun, moved; // moved: the last frame had something
    int64_t wall_ms, learn_until_ms, same_since_ms, cut_since_ms, moved_ms;
    unsigned faults;
    int64_t turned_ms[FAULTS]; // since when it is other than told; 0: it is not
    double shaking;            // share of the last frames that were shifted
    double light;              // of the frame against the slow background, lately
    bool grey;
    uint8_t *last, *masked;
    float *fast, *slow, *noise;
    uint8_t *differs;
    float across[GTV_GATE_MAX_SIDE], down[GTV_GATE_MAX_SIDE]; // slow means of columns and rows
};

const char *gtv_gate_fault_name(enum gtv_gate_fault one)
{
    switch (one) {
    case GTV_GATE_FROZEN:
        return "frozen";
    case GTV_GATE_BLACK:
        return "black";
    case GTV_GATE_COVERED:
        return "covered";
    case GTV_GATE_SHAKING:
        return "shaking";
    case GTV_GATE_INFRARED:
        return "infrared";
    }
    return "";
}

// ---- Life ----

void gtv_gate_set(struct gtv_gate *g, const struct gtv_scene_settings *settings)
{
    memset(g->masked, 0, g->pixels);
    for (size_t i = 0; settings && i < settings->area_count; i++) {
        const struct gtv_area *a = &settings->areas[i];
        if (a->kind != GTV_AREA_PRIVACY && a->kind != GTV_AREA_EXCLUSION)
            continue;
        for (int y = 0; y < g->config.height; y++) {
            for (int x = 0; x < g->config.width; x++) {
                if (gtv_area_holds(a, (x + 0.5) / g->config.width, (y + 0.5) / g->config.height))
                    g->masked[y * g->config.width + x] = 1;
            }
        }
    }
}

struct gtv_gate *gtv_gate_create(const struct gtv_gate_config *config)
{
    if (config->width < 16 || config->height < 16 || config->width > GTV_GATE_MAX_SIDE ||
        config->height > GTV_GATE_MAX_SIDE)
        return NULL;
    struct gtv_gate *g = GTV_NEW(struct gtv_gate);
    g->config = *config;
    g->config.settings = NULL;
    g->config.sensitivity = config->sensitivity > 0 ? fmin(config->sensitivity, 1) : 0.5;
    g->config.freeze_s = config->freeze_s > 0 ? config->freeze_s : 10;
    g->config.learn_s = config->learn_s > 0 ? config->learn_s : 2;
    g->pixels = (size_t)config->width * (size_t)config->height;
    g->last = gtv_alloc(g->pixels);
    g->masked = gtv_alloc(g->pixels);
    g->differs = gtv_alloc(g->pixels);
    g->fast = gtv_alloc(g->pixels * sizeof(float));
    g->slow = gtv_alloc(g->pixels * sizeof(float));
    g->noise = gtv_alloc(g->pixels * sizeof(float));
    gtv_gate_set(g, config->settings);
    return g;
}

void gtv_gate_destroy(struct gtv_gate *g)
{
    if (!g)
        return;
    free(g->last);
    free(g->masked);
    free(g->differs);
    free(g->fast);
    free(g->slow);
    free(g->noise);
    free(g);
}

// ---- Faults ----

static void judge(struct gtv_gate *g, enum gtv_gate_fault fault, bool now, int64_t wall_ms, int64_t hold_ms)
{
    int bit = 0;
    while (!((unsigned)fault & 1U << bit))
        bit++;
    bool told = (g->faults & (unsigned)fault) != 0;
    if (now == told) {
        g->turned_ms[bit] = 0;
        return;
    }
    if (g->turned_ms[bit] == 0)
        g->turned_ms[bit] = wall_ms;
    if (wall_ms - g->turned_ms[bit] >= (now ? hold_ms : CLEAR_MS))
        g->faults ^= (unsigned)fault;
}

struct look {
    const uint8_t *luma; // dense
    double mean, spread; // of the values
    double detail;       // mean step from a pixel to the one on its right
    bool same;           // as the frame before
};

static void measure(const struct gtv_gate *g, struct look *l)
{
    uint64_t sum = 0, squares = 0, steps = 0;
    size_t width = (size_t)g->config.width;
    for (size_t row = 0; row < g->pixels; row += 2 * width) { // every second row tells as much
        const uint8_t *p = l->luma + row;
        uint32_t row_sum = 0, row_squares = 0, row_steps = 0;
        for (size_t x = 0; x + 1 < width; x++) {
            int step = p[x] - p[x + 1];
            row_sum += p[x];
            row_squares += (uint32_t)p[x] * p[x];
            row_steps += (uint32_t)(step < 0 ? -step : step);
        }
        sum += row_sum;
        squares += row_squares;
        steps += row_steps;
    }
    size_t rows = ((size_t)g->config.height + 1) / 2;
    double n = (double)(rows * (width - 1));
    l->mean = (double)sum / n;
    l->spread = sqrt(fmax((double)squares / n - l->mean * l->mean, 0));
    l->detail = (double)steps / n;
}

// How far two profiles are apart when one is shifted by d: their mean difference.
static double apart(const float *a, const float *b, int n, int d)
{
    double sum = 0;
    for (int i = MOST_SHIFT; i < n - MOST_SHIFT; i++)
        sum += fabsf(a[i] - b[i + d]);
    return sum / (n - 2 * MOST_SHIFT);
}

static bool shifted_profile(const float *now, const float *usual, int n)
{
    double still = apart(now, usual, n, 0), best = still;
    for (int d = -MOST_SHIFT; d <= MOST_SHIFT; d++)
        best = fmin(best, apart(now, usual, n, d));
    return still > 1 && best < SHAKE_BETTER * still;
}

// Steps from column to column and row to row: unlike the values themselves they do not mind the light.
static void profile(const struct gtv_gate *g, const uint8_t *luma, float *across, float *down)
{
    int width = g->config.width, height = g->config.height;
    uint32_t columns[GTV_GATE_MAX_SIDE] = {0}, rows[GTV_GATE_MAX_SIDE];
    for (int y = 0; y < height; y++) {
        const uint8_t *p = luma + (size_t)y * (size_t)width;
        uint32_t sum = 0;
        for (int x = 0; x < width; x++) {
            columns[x] += p[x];
            sum += p[x];
        }
        rows[y] = sum;
    }
    for (int x = 0; x < width; x++)
        across[x] = (float)((double)columns[x] - (double)columns[x ? x - 1 : 0]) / (float)height;
    for (int y = 0; y < height; y++)
        down[y] = (float)((double)rows[y] - (double)rows[y ? y - 1 : 0]) / (float)width;
}

static double follow(double seconds, double dt)
{
    return 1 - exp(-dt / seconds);
}

static void watch_shakes(struct gtv_gate *g, const struct look *l, double dt)
{
    float across[GTV_GATE_MAX_SIDE] = {0}, down[GTV_GATE_MAX_SIDE] = {0};
    profile(g, l->luma, across, down);
    bool shifted = l->spread >= FLAT_SPREAD && (shifted_profile(across, g->across, g->config.width) ||
                                                shifted_profile(down, g->down, g->config.height));
    g->shaking += follow(SHAKE_S, dt) * ((shifted ? 1 : 0) - g->shaking);
    float share = (float)follow(FAST_S, dt);
    for (int x = 0; x < g->config.width; x++)
        g->across[x] += share * (across[x] - g->across[x]);
    for (int y = 0; y < g->config.height; y++)
        g->down[y] += share * (down[y] - g->down[y]);
}

static void judge_all(struct gtv_gate *g, const struct look *l, const struct gtv_gate_frame *frame, double dt)
{
    int64_t now = frame->wall_ms;
    bool black = l->mean < BLACK_MEAN && l->spread < BLACK_SPREAD;
    judge(g, GTV_GATE_BLACK, black, now, HOLD_MS);
    judge(g, GTV_GATE_COVERED, !black && l->detail < FLAT_DETAIL && l->spread < FLAT_SPREAD, now, HOLD_MS);
    if (!l->same)
        g->same_since_ms = now;
    judge(g, GTV_GATE_FROZEN, l->same && (double)(now - g->same_since_ms) >= g->config.freeze_s * 1000, now,
          0);
    if (frame->chroma >= 0) {
        g->grey = frame->chroma < (g->grey ? COLOUR_CHROMA : GREY_CHROMA);
        judge(g, GTV_GATE_INFRARED, g->grey && !black, now, HOLD_MS);
    }
    watch_shakes(g, l, dt);
    bool told = (g->faults & GTV_GATE_SHAKING) != 0;
    judge(g, GTV_GATE_SHAKING, g->shaking > (told ? SHAKE_OFF : SHAKE_ON), now, HOLD_MS / 2);
}

// ---- Motion ----

static void learn_anew(struct gtv_gate *g, const uint8_t *luma, int64_t wall_ms)
{
    for (size_t i = 0; i < g->pixels; i++) {
        g->fast[i] = g->slow[i] = luma[i];
        g->noise[i] = 1.5F;
    }
    profile(g, luma, g->across, g->down);
    g->light = 0;
    g->shaking = 0;
    g->cut_since_ms = 0;
    g->learn_until_ms = wall_ms + (int64_t)(g->config.learn_s * 1000);
}

// By how much the frame as a whole is brighter than the background: the median difference, which no vehicle
// moves.
static double light_of(const struct gtv_gate *g, const uint8_t *luma)
{
    uint32_t histogram[512] = {0}, count = 0, seen = 0;
    for (size_t i = 0; i < g->pixels; i += EVERY) {
        if (g->masked[i])
            continue;
        histogram[256 + (int)((float)luma[i] - g->slow[i])]++;
        count++;
    }
    for (int i = 0; i < 512; i++) {
        seen += histogram[i];
        if (2 * seen > count)
            return i - 256;
    }
    return 0;
}

// Compares, and learns. What differs is marked; returns how many pixels do. Written without branches, so that
// compilers make it several pixels at a time.
static size_t compare(struct gtv_gate *g, const uint8_t *restrict luma, double dt)
{
    const float fast = (float)follow(FAST_S, dt), slow = (float)follow(SLOW_S, dt);
    const float noise = (float)follow(NOISE_S, dt), light = (float)g->light;
    const float base = 18 - 13 * (float)g->config.sensitivity;
    float *restrict fast_at = g->fast, *restrict slow_at = g->slow, *restrict noise_at = g->noise;
    uint8_t *restrict differs_at = g->differs;
    const uint8_t *restrict masked = g->masked;
    for (size_t i = 0; i < g->pixels; i++) {
        float v = (float)luma[i], off_fast = v - fast_at[i], off_slow = v - light - slow_at[i];
        float least = base + NOISE_FACTOR * noise_at[i];
        float by_fast = off_fast < 0 ? -off_fast : off_fast, by_slow = off_slow < 0 ? -off_slow : off_slow;
        float by_least = by_fast < by_slow ? by_fast : by_slow;
        // Where something moves, little is learnt at once; where it goes on moving, it is noise in the end.
        float share = by_least > least ? 0.25F : 1.0F;
        float deviation = by_fast < 2 * MOST_NOISE ? by_fast : 2 * MOST_NOISE;
        float now = noise_at[i] + share * noise * (deviation - noise_at[i]);
        fast_at[i] += share * fast * off_fast;
        slow_at[i] += share * slow * off_slow;
        noise_at[i] = now < MOST_NOISE ? now : MOST_NOISE;
        differs_at[i] = (uint8_t)((share < 1.0F) & (masked[i] == 0));
    }
    size_t count = 0;
    for (size_t i = 0; i < g->pixels; i++)
        count += differs_at[i];
    return count;
}

// Squares with enough that differs. Returns how many; the bounds are in pixels.
static size_t cells(const struct gtv_gate *g, int *left, int *top, int *right, int *bottom)
{
    size_t n = 0;
    int width = g->config.width, height = g->config.height;
    *left = width;
    *top = height;
    *right = *bottom = 0;
    for (int y = 0; y + CELL <= height; y += CELL) {
        for (int x = 0; x + CELL <= width; x += CELL) {
            int count = 0;
            for (int r = 0; r < CELL; r++) {
                const uint8_t *p = g->differs + (size_t)(y + r) * (size_t)width + (size_t)x;
                count += p[0] + p[1] + p[2] + p[3];
            }
            if (count < CELL_LEAST)
                continue;
            n++;
            *left = x < *left ? x : *left;
            *top = y < *top ? y : *top;
            *right = x + CELL > *right ? x + CELL : *right;
            *bottom = y + CELL > *bottom ? y + CELL : *bottom;
        }
    }
    return n;
}

static void find_motion(struct gtv_gate *g, const struct look *l, int64_t wall_ms, double dt,
                        struct gtv_gate_result *out)
{
    double light = light_of(g, l->luma);
    g->light += follow(LIGHT_S, dt) * (light - g->light);
    if (fabs(light - g->light) > 4) // a cloud is slow, a lamp is not
        g->light = light;
    size_t differ = compare(g, l->luma, dt);
    out->share = (double)differ / (double)g->pixels;
    if (out->share < (double)CUT_SHARE)
        g->cut_since_ms = 0;
    else if (g->cut_since_ms == 0)
        g->cut_since_ms = wall_ms;
    else if (wall_ms - g->cut_since_ms > CUT_MS)
        learn_anew(g, l->luma, wall_ms);
    int left, top, right, bottom;
    size_t n = cells(g, &left, &top, &right, &bottom);
    bool stays = g->moved && wall_ms - g->moved_ms <= STAY_MS;
    g->moved = n > 0;
    g->moved_ms = wall_ms;
    out->motion = n >= SURE_CELLS || (n > 0 && (stays || dt * 1000 > STAY_MS));
    if (n > 0 && out->motion) {
        out->x = (double)left / g->config.width;
        out->y = (double)top / g->config.height;
        out->w = (double)(right - left) / g->config.width;
        out->h = (double)(bottom - top) / g->config.height;
    }
}

void gtv_gate_update(struct gtv_gate *g, const struct gtv_gate_frame *frame, struct gtv_gate_result *out)
{
    memset(out, 0, sizeof(*out));
    int64_t step_ms = g->begun ? frame->wall_ms - g->wall_ms : 0;
    step_ms = step_ms < 1 ? 1 : step_ms;
    double dt = (double)step_ms / 1000;
    size_t width = (size_t)g->config.width;
    struct look l = {.luma = g->last, .same = g->begun};
    for (size_t y = 0; y < (size_t)g->config.height; y++) {
        const uint8_t *from = frame->luma + y * frame->stride;
        l.same = l.same && memcmp(g->last + y * width, from, width) == 0;
        memcpy(g->last + y * width, from, width);
    }
    if (!g->begun || step_ms > GAP_MS) {
        learn_anew(g, g->last, frame->wall_ms);
        g->same_since_ms = frame->wall_ms;
    }
    g->begun = true;
    g->wall_ms = frame->wall_ms;
    unsigned before = g->faults;
    measure(g, &l);
    judge_all(g, &l, frame, dt);
    find_motion(g, &l, frame->wall_ms, dt, out);
    out->learning = frame->wall_ms < g->learn_until_ms;
    out->motion = out->motion || out->learning;
    out->faults = g->faults;
    out->changed = g->faults ^ before;
}
