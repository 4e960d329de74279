// Measures what each camera costs and shares out the CPU's time once a second (budget.h). Loop thread only.
#ifndef GTV_AI_PLANNER_H
#define GTV_AI_PLANNER_H

#include "services/ai/watch/source.h"

struct gtv_planner;
struct gtv_capacity;

enum { GTV_PLANNER_MAX = 1000 }; // cameras: as many as AI_MAX_CAMERAS may be

struct gtv_planner_config {
    size_t cores;
    double cpu_budget;       // share of the cores that watching may take, 0..1
    double max_fps, min_fps; // looks a second of a camera without its own settings
    struct gtv_metrics *metrics;
};

// A camera's own memory. Zeroed is valid.
struct gtv_planned {
    bool measured;
    int64_t at_ms;
    double decode_ms, gate_ms, look_ms, analysis_ms, plate_ms; // totals when it was measured last
    uint64_t looks, still, quiet;
    // Moving averages, milliseconds of a core a second; one_look: milliseconds of one.
    double decode, keys, gate, looking, analysis, plates, one_look, busy, wait_ms;
    double wanted; // looks a second
    int priority;
    bool can_squeeze;
    // What came out:
    double interval_ms;
    bool squeeze;
    double plates_ms; // that reading plates may take, a second
};

struct gtv_planner *gtv_planner_create(const struct gtv_planner_config *config);
void gtv_planner_destroy(struct gtv_planner *p); // NULL is accepted
// Other rates than those it was created with; the next sharing keeps to them.
void gtv_planner_set_rates(struct gtv_planner *p, double max_fps, double min_fps, double cpu_budget);

// Between the looks at a camera of which nothing is known yet.
double gtv_planner_first_interval(const struct gtv_planner *p, const struct gtv_scene_settings *settings);
void gtv_planner_measure(struct gtv_planner *p, struct gtv_planned *c, const struct gtv_source_status *s,
                         double analysis_ms, double plate_ms, const struct gtv_scene_settings *settings);
void gtv_planner_share(struct gtv_planner *p, struct gtv_planned *const *cameras, size_t n);
void gtv_planner_capacity(const struct gtv_planner *p, struct gtv_capacity *out);

#endif
