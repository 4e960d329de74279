// Routes about single cameras that are more than orders and states: settings, a test look, crops, capacity.
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/http/client.h"
#include "services/ai/detect/exam.h"
#include "services/ai/picture/jpeg_write.h"
#include "services/ai/picture/picture.h"
#include "services/ai/service.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TESTS_MAX = 8, // at once
    SNAPSHOT_TIMEOUT_MS = 8000,
    POLL_MS = 50,
    SNAPSHOT_MAX = 8 << 20,
    MASKED_QUALITY = 90,
};

// ---- Settings ----

static void reply_settings(struct gtv_ai *ai, struct gtv_http_request *req, int64_t id)
{
    struct gtv_error err = {0};
    const struct gtv_scene_settings *s = gtv_watcher_settings(ai->watcher, id, &err);
    if (!s) {
        gtv_reply_error_from(req, &err);
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    gtv_scene_settings_write(s, doc, o);
    gtv_reply_json(req, 200, doc);
}

void gtv_ai_handle_analysis(struct gtv_http_request *req, void *user)
{
    int64_t id;
    if (gtv_ai_camera_id(req, &id))
        reply_settings(user, req, id);
}

void gtv_ai_handle_analysis_put(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_error err = {0};
    int64_t id;
    if (!gtv_ai_camera_id(req, &id))
        return;
    struct gtv_scene_settings *s = GTV_NEW(struct gtv_scene_settings);
    if (!gtv_scene_settings_read(gtv_http_body(req), s, &err))
        gtv_reply_invalid(req, &err);
    else if (!gtv_watcher_set(ai->watcher, id, s, &err))
        gtv_reply_error_from(req, &err);
    else
        reply_settings(ai, req, id);
    free(s);
}

// ---- Capacity ----

void gtv_ai_handle_capacity(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_capacity c;
    struct gtv_outbox_stats events;
    gtv_watcher_capacity(ai->watcher, &c);
    gtv_watcher_outbox_stats(ai->watcher, &events);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_strcpy(doc, o, "program", gtv_watcher_owner(ai->watcher));
    yyjson_mut_obj_add_uint(doc, o, "programs", c.programs);
    yyjson_mut_obj_add_uint(doc, o, "cores", c.cores);
    yyjson_mut_obj_add_uint(doc, o, "cameras", c.cameras);
    yyjson_mut_obj_add_int(doc, o, "max_cameras", (int)ai->settings->max_cameras);
    yyjson_mut_obj_add_real(doc, o, "budget_ms_per_s", gtv_json_hundredths(c.budget));
    yyjson_mut_obj_add_real(doc, o, "used_ms_per_s", gtv_json_hundredths(c.used));
    yyjson_mut_obj_add_real(doc, o, "pressure", gtv_json_hundredths(c.pressure));
    yyjson_mut_val *stages = yyjson_mut_obj_add_obj(doc, o, "stages_ms_per_s");
    yyjson_mut_obj_add_real(doc, stages, "decode", gtv_json_hundredths(c.decode - c.gate));
    yyjson_mut_obj_add_real(doc, stages, "gate", gtv_json_hundredths(c.gate));
    yyjson_mut_obj_add_real(doc, stages, "detect",
                            gtv_json_hundredths(fmax(c.look - c.analysis - c.plates, 0)));
    yyjson_mut_obj_add_real(doc, stages, "analysis", gtv_json_hundredths(c.analysis));
    yyjson_mut_obj_add_real(doc, stages, "plates", gtv_json_hundredths(c.plates));
    if (c.more >= 0) {
        double room = (double)ai->settings->max_cameras - (double)c.cameras;
        yyjson_mut_obj_add_real(doc, o, "camera_ms_per_s", gtv_json_hundredths(c.each));
        yyjson_mut_obj_add_sint(doc, o, "more_cameras", (int64_t)fmax(fmin(c.more, room), 0));
    } else {
        yyjson_mut_obj_add_null(doc, o, "camera_ms_per_s");
        yyjson_mut_obj_add_null(doc, o, "more_cameras");
    }
    yyjson_mut_val *durable = yyjson_mut_obj_add_obj(doc, o, "durable_events");
    yyjson_mut_obj_add_uint(doc, durable, "told", events.told);
    yyjson_mut_obj_add_uint(doc, durable, "told_before", events.again);
    yyjson_mut_obj_add_uint(doc, durable, "fenced", events.fenced);
    yyjson_mut_obj_add_uint(doc, durable, "lost", events.lost);
    yyjson_mut_obj_add_uint(doc, durable, "spool_bytes", events.spool_bytes);
    gtv_json_add_text(doc, durable, "problem", events.problem);
    yyjson_mut_val *crops = yyjson_mut_obj_add_obj(doc, o, "crops");
    struct gtv_store_stats kept = {0};
    if (ai->crops)
        gtv_store_get_stats(ai->crops, &kept);
    yyjson_mut_obj_add_str(doc, crops, "store", ai->s3 ? "s3" : "folder");
    yyjson_mut_obj_add_uint(doc, crops, "bytes", kept.bytes);
    yyjson_mut_obj_add_uint(doc, crops, "sent", kept.sent);
    yyjson_mut_obj_add_uint(doc, crops, "failures", kept.failures);
    gtv_json_add_text(doc, crops, "problem", *ai->crops_problem ? ai->crops_problem : kept.problem);
    gtv_reply_json(req, 200, doc);
}

// ---- Crops ----

void gtv_ai_handle_crop(struct gtv_http_request *req, void *user)
{
    static const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, {"image/jpeg", 10}},
        {{"Cache-Control", 13}, {"private, max-age=60", 19}},
    };
    struct gtv_ai *ai = user;
    char name[GTV_STORE_NAME_CAP];
    struct gtv_str camera = gtv_http_param(req, "camera"), day = gtv_http_param(req, "day"),
                   file = gtv_http_param(req, "name");
    struct gtv_bytes *picture = NULL;
    name[0] = '\0';
    if (ai->crops && camera.n + day.n + file.n + 3 <= sizeof(name)) {
        snprintf(name, sizeof(name), GTV_STR_FMT "/" GTV_STR_FMT "/" GTV_STR_FMT, GTV_STR_ARG(camera),
                 GTV_STR_ARG(day), GTV_STR_ARG(file));
        picture = gtv_store_get(ai->crops, name);
    }
    if (picture)
        gtv_http_reply(req, 200, headers, 2, picture);
    else if (ai->s3 && gtv_store_is_name(name))
        gtv_s3_serve(ai->s3, ai->pictures, req, name);
    else
        gtv_reply_error(req, GTV_E_NOT_FOUND, "name", "There is no such picture; old ones are removed");
    gtv_bytes_unref(picture);
}

// ---- A look now ----
// fetching (a snapshot of the media node) or, where cameras are read by RTSP, waiting (for the picture of the
// watcher's next look) -> looking (an exam of the engine) -> answered. The request may
// leave at any time.

struct gtv_camera_test {
    struct gtv_ai *ai;
    struct gtv_http_request *req; // NULL: gone
    struct gtv_http_fetch *fetch;
    struct gtv_timer *waiting;
    int64_t until_ms;
    struct gtv_bytes *picture;
    struct gtv_exam exam;
    int64_t camera_id;
    struct gtv_camera_test *prev, *next;
};

static void ignore_close(void *arg, bool complete)
{
}

static void test_free(struct gtv_camera_test *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        t->ai->camera_tests = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->ai->camera_test_count--;
    if (t->req)
        gtv_http_on_close(t->req, ignore_close, NULL);
    gtv_timer_destroy(t->waiting);
    gtv_bytes_unref(t->picture);
    gtv_exam_finish(&t->exam);
    free(t);
}

static void fail_test(struct gtv_camera_test *t, const struct gtv_error *err)
{
    struct gtv_http_request *req = t->req;
    test_free(t);
    if (req)
        gtv_reply_error_from(req, err);
}

static void on_examined(void *arg)
{
    struct gtv_camera_test *t = arg;
    struct gtv_http_request *req = t->req;
    if (!req || t->exam.err.code) {
        struct gtv_error err = t->exam.err;
        fail_test(t, &err);
        return;
    }
    char path[GTV_CAMERA_PATH_CAP];
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_sint(doc, o, "camera_id", t->camera_id);
    yyjson_mut_obj_add_strcpy(doc, o, "stream", gtv_camera_path(t->camera_id, path));
    gtv_exam_write(&t->exam, doc, o, true);
    test_free(t);
    gtv_reply_json(req, 200, doc);
}

// On a worker's thread.
static void on_exam_done(struct gtv_exam *exam)
{
    struct gtv_camera_test *t =
        (struct gtv_camera_test *)(void *)((char *)exam - offsetof(struct gtv_camera_test, exam));
    if (!gtv_loop_post(t->ai->loop, on_examined, t))
        abort(); // 65,536 posts wait: nothing would be answered any more
}

// Nothing under a privacy mask leaves the program.
static bool mask(struct gtv_camera_test *t, const struct gtv_scene_settings *s, struct gtv_error *err)
{
    bool masks = false;
    for (size_t i = 0; i < s->area_count; i++)
        masks = masks || s->areas[i].kind == GTV_AREA_PRIVACY;
    if (!masks)
        return true;
    struct gtv_image image = {0};
    if (!gtv_picture_decode(gtv_bytes_str(t->picture), &image, err))
        return false;
    gtv_scene_blacken(s, image.rgb, image.width, image.height, image.stride, 0, 0, 1, 1);
    struct gtv_bytes *jpeg =
        gtv_jpeg_encode(image.rgb, image.width, image.height, image.stride, MASKED_QUALITY);
    gtv_image_finish(&image);
    if (!jpeg) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "There is no memory for the picture");
        return false;
    }
    gtv_bytes_unref(t->picture);
    t->picture = jpeg;
    return true;
}

// Takes over t->picture.
static void examine(struct gtv_camera_test *t)
{
    struct gtv_error err = {0};
    const struct gtv_scene_settings *s = gtv_watcher_settings(t->ai->watcher, t->camera_id, &err);
    if (!s || !t->req || !mask(t, s, &err)) {
        fail_test(t, &err);
        return;
    }
    t->exam = (struct gtv_exam){
        .work = {.kind = GTV_WORK_REQUEST, .client = (uint64_t)t->camera_id},
        .camera_id = t->camera_id,
        .received_wall_ms = gtv_wall_ms(),
        .received_ns = gtv_mono_ns(),
        .picture = gtv_bytes_str(t->picture),
        .options = {.confidence = s->min_confidence > 0 ? s->min_confidence : t->ai->settings->confidence,
                    .vehicles = s->vehicles,
                    .annotate = true,
                    .no_plates = !s->plates},
        .done = on_exam_done};
    if (!gtv_exam_post(&t->exam, t->ai->examiner)) {
        gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "Too many pictures wait already");
        fail_test(t, &err);
    }
}

static void on_snapshot(void *arg, const struct gtv_http_response *r, const struct gtv_error *failure)
{
    struct gtv_camera_test *t = arg;
    struct gtv_error err = {0};
    t->fetch = NULL;
    if (!r || failure)
        gtv_error_set(&err, GTV_E_UPSTREAM, NULL, "The media node gave no picture: %.150s",
                      failure ? failure->message : "");
    else if (r->status != 200 || !r->body)
        gtv_error_set(&err, GTV_E_UPSTREAM, NULL,
                      "The media node gave no picture of the camera: it answered %d%s", r->status,
                      r->status == 404 ? "; where it is a MediaMTX, start watching the camera first" : "");
    if (err.code || !r) {
        fail_test(t, &err);
        return;
    }
    t->picture = gtv_bytes_ref(r->body);
    examine(t);
}

static void look_for_picture(void *arg)
{
    struct gtv_camera_test *t = arg;
    struct gtv_error err = {0};
    if (!gtv_watcher_take_picture(t->ai->watcher, t->camera_id, &t->picture))
        gtv_error_set(&err, GTV_E_UPSTREAM, NULL, "The camera is not watched any more");
    else if (!t->picture && gtv_mono_ms() >= t->until_ms)
        gtv_error_set(&err, GTV_E_UPSTREAM_TIMEOUT, NULL, "The camera gave no picture for %d s",
                      SNAPSHOT_TIMEOUT_MS / 1000);
    if (err.code) {
        fail_test(t, &err);
    } else if (t->picture) {
        gtv_timer_stop(t->waiting);
        examine(t);
    }
}

// What was seen before somebody asked is not the look that is asked for.
static void wait_for_picture(struct gtv_camera_test *t)
{
    struct gtv_bytes *old = NULL;
    if (gtv_watcher_take_picture(t->ai->watcher, t->camera_id, &old))
        gtv_bytes_unref(old);
    t->until_ms = gtv_mono_ms() + SNAPSHOT_TIMEOUT_MS;
    t->waiting = gtv_timer_create(t->ai->loop, look_for_picture, t);
    gtv_timer_start(t->waiting, POLL_MS, POLL_MS);
}

static void on_gone(void *arg, bool complete)
{
    struct gtv_camera_test *t = arg;
    t->req = NULL;
    bool looking = t->picture != NULL; // the exam comes back
    if (t->fetch)
        gtv_http_fetch_cancel(t->fetch);
    t->fetch = NULL;
    if (!looking)
        test_free(t);
}

void gtv_ai_handle_camera_test(struct gtv_http_request *req, void *user)
{
    static const struct gtv_http_fetch_callbacks callbacks = {.on_done = on_snapshot};
    struct gtv_ai *ai = user;
    struct gtv_error err = {0};
    struct gtv_watched w;
    int64_t id;
    if (!gtv_ai_camera_id(req, &id))
        return;
    if (!gtv_watcher_get(ai->watcher, id, &w, &err)) {
        gtv_reply_error_from(req, &err);
        return;
    }
    if (ai->camera_test_count >= TESTS_MAX) {
        gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "%d cameras are being tested already", TESTS_MAX);
        gtv_reply_error_later(req, &err, 2);
        return;
    }
    struct gtv_camera_test *t = GTV_NEW(struct gtv_camera_test);
    char path[GTV_CAMERA_PATH_CAP];
    t->ai = ai;
    t->req = req;
    t->camera_id = id;
    t->next = ai->camera_tests;
    if (t->next)
        t->next->prev = t;
    ai->camera_tests = t;
    ai->camera_test_count++;
    gtv_http_on_close(req, on_gone, t);
    if (w.watched && w.source.way == GTV_READER_RTSP) { // a MediaMTX makes no snapshots
        wait_for_picture(t);
        return;
    }
    char *url = gtv_asprintf("%s/%s/snapshot.jpg", ai->settings->hls_url, gtv_camera_path(id, path));
    t->fetch = gtv_http_fetch(ai->snapshots,
                              &(struct gtv_http_fetch_options){.url = url,
                                                               .cause = gtv_http_cause(req),
                                                               .timeout_ms = SNAPSHOT_TIMEOUT_MS,
                                                               .max_body = SNAPSHOT_MAX},
                              &callbacks, t);
    free(url);
}

void gtv_ai_camera_tests_finish(struct gtv_ai *ai)
{
    struct gtv_camera_test *next;
    for (struct gtv_camera_test *t = ai->camera_tests; t; t = next) {
        next = t->next;
        if (t->fetch)
            gtv_http_fetch_cancel(t->fetch);
        struct gtv_error err = {.code = GTV_E_UNAVAILABLE};
        gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "The program ends");
        fail_test(t, &err);
    }
}
