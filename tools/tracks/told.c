#include "tools/tracks/told.h"

#include "lib/base/mem.h"
#include "services/ai/watch/analysis.h"

#include <stdlib.h>

struct gtv_told {
    struct gtv_metrics *metrics;
    struct gtv_plate_meters meters;
    struct gtv_plates *plates;
    struct gtv_analysis *analysis;
};

static void on_live(void *arg, struct gtv_bytes *event, int64_t wall_ms)
{
    (void)arg;
    (void)wall_ms;
    gtv_bytes_unref(event);
}

static void on_happening(void *arg, const char *type, const char *key, struct gtv_bytes *event,
                         int64_t wall_ms)
{
    (void)arg;
    (void)type;
    (void)key;
    (void)wall_ms;
    printf("%.*s\n", (int)event->len, (const char *)event->data);
    gtv_bytes_unref(event);
}

struct gtv_told *gtv_told_create(const struct gtv_told_config *config)
{
    struct gtv_told *t = GTV_NEW(struct gtv_told);
    t->metrics = gtv_metrics_create();
    gtv_plate_meters_init(&t->meters, t->metrics);
    t->plates = gtv_plates_create(&(struct gtv_plates_config){
        .runtime = gtv_clip_runtime(config->clip),
        .models_dir = config->models_dir,
        .lpr_model = config->lpr_model,
        .precision = "auto",
        .slots = 1,
        .enabled = config->settings->plates,
    });
    if (gtv_plates_message(t->plates))
        (void)fprintf(stderr, "gtv-ai-clip: plates are not read: %s\n", gtv_plates_message(t->plates));
    t->analysis = gtv_analysis_create(&(struct gtv_analysis_config){
        .camera_id = 1,
        .confidence = config->confidence,
        .settings = config->settings,
        .plates = t->plates,
        .meters = &t->meters,
        .on_live = on_live,
        .on_happening = on_happening,
        .arg = t,
    });
    gtv_analysis_allow_plates(t->analysis, config->plates_ms);
    return t;
}

bool gtv_told_look(struct gtv_told *t, const struct gtv_clip_look *look, int64_t wall_ms)
{
    double elsewhere_ms = 0;
    bool again = false;
    gtv_analysis_look(t->analysis, &(struct gtv_look){
                                       .camera_id = 1,
                                       .wall_ms = wall_ms,
                                       .frame = look->frame,
                                       .model = look->model,
                                       .found = &look->found,
                                       .computed = 1,
                                       .elsewhere_ms = &elsewhere_ms,
                                       .again = &again,
                                   });
    return again;
}

void gtv_told_destroy(struct gtv_told *t)
{
    if (!t)
        return;
    gtv_analysis_finish(t->analysis, false);
    gtv_analysis_destroy(t->analysis);
    gtv_plates_destroy(t->plates);
    gtv_metrics_destroy(t->metrics);
    free(t);
}
