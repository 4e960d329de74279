#include "services/ai/watch/planner.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/metrics/metrics.h"
#include "services/ai/watch/budget.h"
#include "services/ai/watch/watcher.h"

#include <math.h>
#include <stdlib.h>

enum {
    LOOK_MS = 25,       // of a look, before one was measured
    PLATES_MIN_MS = 25, // a second and camera, for plates, however little there is: one now and then
    PLATES_FIRST_MS = 200,
    LATE_MS = 120, // looks that wait longer for a worker mean that there is less than was thought
};
#define FOLLOW 0.3  // of a new measurement in a moving average
#define LESS   0.85 // of the budget a second while looks wait
#define MORE   0.04 // regained a second
#define LEAST  0.2
// Plates give way before looks do: what they may take shrinks fast and grows slowly, each second.
#define PLATES_LESS 0.6
#define PLATES_MORE 1.15
#define KEY_COSTS   3.5 // a key frame's decoding, in those of a mean picture

struct gtv_planner {
    struct gtv_planner_config config;
    double pressure; // 0..1: what is left of the budget
    struct gtv_capacity last;
    struct gtv_gauge *budget, *used, *slowest;
    struct gtv_counter *decode, *gate, *look, *analysis, *plates, *quiet;
};

static void follow(double *mean, double value, bool first)
{
    *mean = first ? value : *mean + (value - *mean) * FOLLOW;
}

static double wanted_rate(const struct gtv_planner *p, const struct gtv_scene_settings *settings)
{
    return settings->max_looks > 0 ? settings->max_looks : p->config.max_fps;
}

double gtv_planner_first_interval(const struct gtv_planner *p, const struct gtv_scene_settings *settings)
{
    return 1000 / wanted_rate(p, settings);
}

void gtv_planner_measure(struct gtv_planner *p, struct gtv_planned *c, const struct gtv_source_status *s,
                         double analysis_ms, double plate_ms, const struct gtv_scene_settings *settings)
{
    int64_t now = gtv_mono_ms();
    double seconds = (double)(now - c->at_ms) / 1000;
    bool first = !c->measured;
    if (c->at_ms && seconds > 0.1) {
        uint64_t looks = s->looks - c->looks, still = s->still - c->still;
        double decode = (s->decode.cpu_ms - c->decode_ms) / seconds;
        double looking = (s->look_ms - c->look_ms) / seconds;
        if (s->squeezed || s->decode.mode == GTV_DECODE_KEYS)
            follow(&c->keys, decode, c->keys <= 0);
        if (!s->squeezed)
            follow(&c->decode, decode, c->decode <= 0);
        follow(&c->gate, (s->gate_cpu_ms - c->gate_ms) / seconds, first);
        follow(&c->looking, looking, first);
        follow(&c->analysis, (analysis_ms - c->analysis_ms) / seconds, first);
        follow(&c->plates, (plate_ms - c->plate_ms) / seconds, first);
        if (looks)
            follow(&c->one_look, (s->look_ms - c->look_ms) / (double)looks, c->one_look <= 0);
        if (looks + still)
            follow(&c->busy, (double)looks / (double)(looks + still), first);
        c->wait_ms = looks ? s->look_wait_ms : 0;
        gtv_counter_add(p->quiet, s->quiet - c->quiet);
        gtv_counter_add(p->decode, (uint64_t)lround(fmax(s->decode.cpu_ms - c->decode_ms, 0)));
        gtv_counter_add(p->gate, (uint64_t)lround(fmax(s->gate_cpu_ms - c->gate_ms, 0)));
        gtv_counter_add(p->look, (uint64_t)lround(fmax(s->look_ms - c->look_ms, 0)));
        gtv_counter_add(p->analysis, (uint64_t)lround(fmax(analysis_ms - c->analysis_ms, 0)));
        gtv_counter_add(p->plates, (uint64_t)lround(fmax(plate_ms - c->plate_ms, 0)));
        c->measured = true;
    }
    if (s->decode.mode != GTV_DECODE_KEYS && s->decode.key_interval_ms > 0 &&
        s->decode.frame_interval_ms > 0 && c->decode > 0) { // an estimate until it is measured
        double share = s->decode.frame_interval_ms / s->decode.key_interval_ms * KEY_COSTS;
        c->keys = c->decode * fmin(share, 1);
    }
    c->can_squeeze = s->squeezed || (s->decode.mode != GTV_DECODE_KEYS && s->decode.key_interval_ms > 0);
    c->at_ms = now;
    c->decode_ms = s->decode.cpu_ms;
    c->gate_ms = s->gate_cpu_ms;
    c->look_ms = s->look_ms;
    c->analysis_ms = analysis_ms;
    c->plate_ms = plate_ms;
    c->looks = s->looks;
    c->still = s->still;
    c->quiet = s->quiet;
    c->wanted = wanted_rate(p, settings);
    c->priority = settings->priority;
}

// Looks that wait for a worker say that the machine has less to give than the budget (other programs, posted
// pictures): then there are fewer of them.
static void feel_pressure(struct gtv_planner *p, struct gtv_planned *const *cameras, size_t n)
{
    double wait = 0;
    size_t looked = 0;
    for (size_t i = 0; i < n; i++) {
        wait += cameras[i]->wait_ms;
        looked += cameras[i]->wait_ms > 0;
    }
    if (looked && wait / (double)looked > LATE_MS)
        p->pressure = fmax(p->pressure * LESS, LEAST);
    else
        p->pressure = fmin(p->pressure + MORE, 1);
}

// A camera that gets fewer looks than it asks for reads fewer plates until it gets them.
static void share_plates(const struct gtv_planner *p, struct gtv_planned *c, double rate, bool squeeze,
                         size_t n)
{
    double most = (double)p->config.cores * 1000 * p->config.cpu_budget / (double)n;
    bool short_of_time = squeeze || rate < c->wanted * 0.98 || p->pressure < 0.98;
    double ms = c->plates_ms > 0 ? c->plates_ms : PLATES_FIRST_MS;
    ms *= short_of_time ? PLATES_LESS : PLATES_MORE;
    c->plates_ms = fmax(fmin(ms, most), PLATES_MIN_MS);
}

void gtv_planner_share(struct gtv_planner *p, struct gtv_planned *const *cameras, size_t n)
{
    struct gtv_budget_camera *list = gtv_alloc((n ? n : 1) * sizeof(*list));
    struct gtv_capacity *last = &p->last;
    feel_pressure(p, cameras, n);
    double full = (double)p->config.cores * 1000 * p->config.cpu_budget, slowest = 0;
    *last = (struct gtv_capacity){
        .cores = p->config.cores, .cameras = n, .budget = full, .pressure = p->pressure};
    for (size_t i = 0; i < n; i++) {
        const struct gtv_planned *c = cameras[i];
        list[i] = (struct gtv_budget_camera){.decode = c->decode,
                                             .keys = c->keys > 0 ? c->keys : c->decode,
                                             .look = c->one_look > 0 ? c->one_look : LOOK_MS,
                                             .busy = c->measured ? fmax(c->busy, 0.05) : 1,
                                             .wanted = c->wanted,
                                             .floor = p->config.min_fps,
                                             .priority = c->priority,
                                             .may_squeeze = c->can_squeeze};
        double decode = c->squeeze ? c->keys : c->decode;
        last->decode += decode;
        last->gate += c->gate;
        last->look += c->looking;
        last->analysis += c->analysis;
        last->plates += c->plates;
        last->used += decode + c->looking;
    }
    (void)gtv_budget_share(list, n, full * p->pressure);
    for (size_t i = 0; i < n; i++) {
        cameras[i]->interval_ms = 1000 / fmax(list[i].rate, 0.01);
        cameras[i]->squeeze = list[i].squeeze;
        share_plates(p, cameras[i], list[i].rate, list[i].squeeze, n);
        slowest = fmax(slowest, cameras[i]->interval_ms);
        last->each += (list[i].decode + list[i].wanted * list[i].look * list[i].busy) / (double)n;
    }
    last->more = gtv_budget_more(list, n, full);
    gtv_gauge_set(p->budget, lround(full * p->pressure));
    gtv_gauge_set(p->used, lround(last->used));
    gtv_gauge_set(p->slowest, lround(slowest));
    free(list);
}

void gtv_planner_capacity(const struct gtv_planner *p, struct gtv_capacity *out)
{
    size_t programs = out->programs;
    *out = p->last;
    out->programs = programs;
}

static struct gtv_counter *stage(struct gtv_metrics *m, const char *label)
{
    return gtv_metrics_counter(
        m, "gtv_ai_watch_cpu_seconds_total", label,
        "CPU time spent on cameras, by stage; the gate is part of decode, the analysis "
        "and plates are part of look.");
}

struct gtv_planner *gtv_planner_create(const struct gtv_planner_config *config)
{
    struct gtv_planner *p = GTV_NEW(struct gtv_planner);
    struct gtv_metrics *m = config->metrics;
    p->config = *config;
    p->pressure = 1;
    p->last = (struct gtv_capacity){.cores = config->cores,
                                    .budget = (double)config->cores * 1000 * config->cpu_budget,
                                    .pressure = 1,
                                    .more = -1};
    p->decode = stage(m, "stage=\"decode\"");
    p->gate = stage(m, "stage=\"gate\"");
    p->look = stage(m, "stage=\"look\"");
    p->analysis = stage(m, "stage=\"analysis\"");
    p->plates = stage(m, "stage=\"plates\"");
    gtv_metrics_parts(m, "gtv_ai_watch_cpu_seconds_total", 1000);
    p->quiet = gtv_metrics_counter(m, "gtv_ai_watch_quiet_key_frames_total", "",
                                   "Key frames that were not decoded, as by the sizes of the pictures before "
                                   "them nothing had moved.");
    p->budget =
        gtv_metrics_gauge(m, "gtv_ai_watch_budget_cores", "", "CPU cores that watching may take now.");
    p->used = gtv_metrics_gauge(m, "gtv_ai_watch_used_cores", "", "CPU cores that watching takes.");
    p->slowest = gtv_metrics_gauge(m, "gtv_ai_watch_slowest_interval_seconds", "",
                                   "Longest time between two looks at a camera, as granted.");
    gtv_metrics_parts(m, "gtv_ai_watch_budget_cores", 1000); // milliseconds a second
    gtv_metrics_parts(m, "gtv_ai_watch_used_cores", 1000);
    gtv_metrics_parts(m, "gtv_ai_watch_slowest_interval_seconds", 1000);
    return p;
}

void gtv_planner_set_rates(struct gtv_planner *p, double max_fps, double min_fps, double cpu_budget)
{
    p->config.max_fps = max_fps;
    p->config.min_fps = min_fps;
    p->config.cpu_budget = cpu_budget;
}

void gtv_planner_destroy(struct gtv_planner *p)
{
    free(p);
}
