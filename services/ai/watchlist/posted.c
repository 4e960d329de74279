// Plates of examined pictures, posted or queued, on their way from a worker to the watch-list.
#include "lib/base/mem.h"
#include "services/ai/detect/exam_plates.h"
#include "services/ai/service.h"

#include <stdlib.h>

struct posted {
    struct gtv_ai *ai;
    struct gtv_exam exam; // what an alert needs of it
    struct gtv_exam_plates plates;
};

static void on_loop(void *arg)
{
    struct posted *p = arg;
    if (p->ai->settings->alert_posted)
        gtv_watchlists_on_exam(p->ai->watchlists, &p->exam);
    free(p);
}

void gtv_ai_examined(struct gtv_exam *exam, size_t worker, void *user)
{
    struct gtv_ai *ai = user;
    gtv_exam_read_plates(exam, worker, ai->plates);
    if (exam->camera_id < 1 || !exam->plates || !exam->plates->count)
        return;
    struct posted *p = GTV_NEW(struct posted);
    p->ai = ai;
    p->plates = *exam->plates;
    p->exam = (struct gtv_exam){.camera_id = exam->camera_id,
                                .received_wall_ms = exam->received_wall_ms,
                                .width = exam->width,
                                .height = exam->height,
                                .plates = &p->plates};
    p->exam.found = exam->found;
    if (!gtv_loop_post(ai->loop, on_loop, p)) {
        gtv_log_warn(&ai->log, "plates were not compared with the watch-list: the loop is busy",
                     "camera=%lld", (long long)exam->camera_id);
        free(p);
    }
}
