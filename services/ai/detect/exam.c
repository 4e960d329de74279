// An exam's way on its worker: prepare (base64, decoding, into the network's input) -> [the network] ->
// finish (what is asked of the picture at full size) -> release (done). The file's bytes stay until finish.
#include "services/ai/detect/exam.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/contract/contract.h"
#include "services/ai/detect/annotate.h"
#include "services/ai/detect/exam_plates.h"

#include <stdio.h>
#include <stdlib.h>

enum { SPARE_SCRATCHES = 2 }; // kept by each worker: one picture after the other, and one that is read again

enum {
    STAGE_WAIT,
    STAGE_UNWRAP,
    STAGE_DECODE,
    STAGE_PREPARE,
    STAGE_INFER,
    STAGE_PLATES,
    STAGE_ANNOTATE,
    STAGES
};

static const char *const stage_labels[STAGES] = {"stage=\"wait\"",    "stage=\"base64\"", "stage=\"decode\"",
                                                 "stage=\"prepare\"", "stage=\"infer\"",  "stage=\"plates\"",
                                                 "stage=\"annotate\""};

// A worker's own: no lock.
struct shelf {
    struct gtv_picture_scratch *spare[SPARE_SCRATCHES];
    size_t count;
};

struct gtv_examiner {
    struct gtv_engine *engine;
    struct gtv_histogram *stages[STAGES]; // NULL without metrics
    size_t workers;
    struct shelf *shelves;
    void (*read_plates)(struct gtv_exam *exam, size_t worker, void *user); // NULL: none
    void *plates;
};

static double ms_since(int64_t ns)
{
    return (double)(gtv_mono_ns() - ns) / 1e6;
}

static struct gtv_exam *exam_of(struct gtv_work *w)
{
    return (struct gtv_exam *)(void *)((char *)w - offsetof(struct gtv_exam, work));
}

static bool is_cancelled(const struct gtv_exam *exam)
{
    return exam->cancelled && atomic_load(exam->cancelled);
}

// ---- On a worker ----

static void take_scratch(struct gtv_exam *exam, size_t worker)
{
    struct shelf *shelf = &exam->examiner->shelves[worker];
    exam->scratch = shelf->count ? shelf->spare[--shelf->count] : gtv_picture_scratch_create();
}

static void return_scratch(struct gtv_exam *exam, size_t worker)
{
    struct shelf *shelf = &exam->examiner->shelves[worker];
    if (exam->scratch && shelf->count < SPARE_SCRATCHES)
        shelf->spare[shelf->count++] = exam->scratch;
    else
        gtv_picture_scratch_destroy(exam->scratch);
    exam->scratch = NULL;
    exam->file = (struct gtv_str){0};
}

static bool wants_plates(const struct gtv_exam *exam)
{
    return exam->examiner->read_plates && !exam->options.no_plates;
}

// Whether the file is read once more when it is known what is in it.
static bool needs_file(const struct gtv_exam *exam)
{
    return exam->options.annotate || wants_plates(exam);
}

static bool read_picture(struct gtv_exam *exam, const struct gtv_model *model, uint8_t *pixels,
                         struct gtv_geometry *g)
{
    struct gtv_picture_info info = {0};
    int64_t start = gtv_mono_ns();
    exam->file = exam->picture;
    if (exam->base64 && !gtv_picture_from_base64(exam->scratch, exam->picture, &exam->file, &exam->err))
        return false;
    exam->base64_ms = ms_since(start);
    bool ok = gtv_picture_to_input(exam->scratch, exam->file, model, pixels, g, &info, &exam->err);
    exam->width = info.width;
    exam->height = info.height;
    exam->decode_ms = info.decode_ms;
    exam->prepare_ms = info.prepare_ms;
    return ok;
}

static bool prepare(struct gtv_work *w, size_t worker, const struct gtv_model *model, uint8_t *pixels,
                    struct gtv_geometry *g)
{
    struct gtv_exam *exam = exam_of(w);
    if (is_cancelled(exam)) {
        gtv_error_set(&exam->err, GTV_E_CANCELLED, NULL, NULL);
        return false;
    }
    take_scratch(exam, worker);
    bool ok = read_picture(exam, model, pixels, g);
    if (!ok && exam->field)
        snprintf(exam->err.field, sizeof(exam->err.field), "%s", exam->field);
    if (!ok || !needs_file(exam))
        return_scratch(exam, worker);
    return ok;
}

static void observe(const struct gtv_exam *exam)
{
    const struct gtv_examiner *x = exam->examiner;
    if (!x->stages[0])
        return;
    const struct gtv_work *w = &exam->work;
    gtv_histogram_observe(x->stages[STAGE_WAIT], w->wait_ms / 1000);
    if (exam->plates)
        gtv_histogram_observe(x->stages[STAGE_PLATES], exam->plate_ms / 1000);
    if (exam->annotated)
        gtv_histogram_observe(x->stages[STAGE_ANNOTATE], exam->annotate_ms / 1000);
    if (exam->base64)
        gtv_histogram_observe(x->stages[STAGE_UNWRAP], exam->base64_ms / 1000);
    gtv_histogram_observe(x->stages[STAGE_DECODE], exam->decode_ms / 1000);
    gtv_histogram_observe(x->stages[STAGE_PREPARE], exam->prepare_ms / 1000);
    gtv_histogram_observe(x->stages[STAGE_INFER], w->infer_ms / 1000);
}

// Drawn last, with all that was found.
static void annotate(struct gtv_exam *exam)
{
    if (!exam->options.annotate || is_cancelled(exam))
        return;
    int64_t start = gtv_mono_ns();
    exam->annotated = gtv_exam_draw(exam, exam->file, &exam->err);
    exam->annotate_ms = ms_since(start);
}

static void finish(struct gtv_work *w, size_t worker, const struct gtv_model *model,
                   const struct gtv_detections *found, const struct gtv_error *err)
{
    struct gtv_exam *exam = exam_of(w);
    if (model)
        snprintf(exam->model, sizeof(exam->model), "%s", model->name);
    if (err) {
        exam->err = *err;
        if (model) // it is there, and failed
            exam->err.code = GTV_E_INTERNAL;
    }
    if (found) { // prepare said yes: the file is still there, where it is needed
        exam->found.count = found->count;
        memcpy(exam->found.objects, found->objects, found->count * sizeof(found->objects[0]));
        if (wants_plates(exam) && !is_cancelled(exam))
            exam->examiner->read_plates(exam, worker, exam->examiner->plates);
        annotate(exam);
        observe(exam);
    }
    return_scratch(exam, worker);
}

static void release(struct gtv_work *w, size_t worker)
{
    struct gtv_exam *exam = exam_of(w);
    exam->processing_ms = ms_since(exam->received_ns);
    exam->done(exam);
}

// ---- From outside ----

struct gtv_examiner *gtv_examiner_create(const struct gtv_examiner_config *config)
{
    static const double seconds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5};
    struct gtv_examiner *x = GTV_NEW(struct gtv_examiner);
    x->engine = config->engine;
    x->workers = config->workers;
    x->read_plates = config->read_plates;
    x->plates = config->plates;
    x->shelves = gtv_alloc(config->workers * sizeof(*x->shelves));
    for (size_t i = 0; i < STAGES && config->metrics; i++)
        x->stages[i] = gtv_metrics_histogram(config->metrics, "gtv_ai_stage_seconds", stage_labels[i],
                                             "Stages of a posted picture's way.", seconds,
                                             sizeof(seconds) / sizeof(seconds[0]));
    return x;
}

void gtv_examiner_destroy(struct gtv_examiner *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->workers; i++)
        while (x->shelves[i].count)
            gtv_picture_scratch_destroy(x->shelves[i].spare[--x->shelves[i].count]);
    free(x->shelves);
    free(x);
}

bool gtv_exam_post(struct gtv_exam *exam, struct gtv_examiner *x)
{
    static const struct gtv_work_ops ops = {prepare, finish, release};
    exam->examiner = x;
    exam->work.ops = &ops;
    exam->work.min_confidence = exam->options.confidence;
    exam->work.vehicles = exam->options.vehicles;
    exam->err = (struct gtv_error){.code = GTV_OK};
    exam->found.count = 0;
    exam->plates = NULL;
    return gtv_engine_post(x->engine, &exam->work);
}

bool gtv_exam_withdraw(struct gtv_exam *exam)
{
    return gtv_engine_withdraw(exam->examiner->engine, &exam->work);
}

void gtv_exam_finish(struct gtv_exam *exam)
{
    gtv_bytes_unref(exam->annotated);
    exam->annotated = NULL;
    free(exam->plates);
    exam->plates = NULL;
}

// ---- Options ----

static bool add_class(struct gtv_str name, uint32_t *bits, struct gtv_error *err)
{
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++)
        if (gtv_str_eq(name, gtv_str_of(gtv_vehicle_names[i]))) {
            *bits |= 1U << i;
            return true;
        }
    if (name.n <= 40 && gtv_utf8_valid(name))
        gtv_error_set(err, GTV_E_INVALID, "classes",
                      "\"" GTV_STR_FMT "\" is none of car, motorcycle, bus, truck", GTV_STR_ARG(name));
    else
        gtv_error_set(err, GTV_E_INVALID, "classes", "classes may be car, motorcycle, bus, truck");
    return false;
}

static bool classes_of_text(struct gtv_str text, uint32_t *bits, struct gtv_error *err)
{
    while (text.n)
        if (!add_class(gtv_str_trim(gtv_str_cut(&text, ',')), bits, err))
            return false;
    return true;
}

static bool classes_of_json(yyjson_val *value, uint32_t *bits, struct gtv_error *err)
{
    if (!value || yyjson_is_null(value))
        return true;
    *bits = 0;
    if (yyjson_is_str(value))
        return classes_of_text((struct gtv_str){yyjson_get_str(value), yyjson_get_len(value)}, bits, err);
    size_t i, n;
    yyjson_val *item;
    bool ok = yyjson_is_arr(value);
    if (!ok)
        gtv_error_set(err, GTV_E_INVALID, "classes", "classes must be a list of names");
    yyjson_arr_foreach(value, i, n, item)
    {
        if (!ok)
            break;
        struct gtv_str name = {yyjson_get_str(item), yyjson_get_len(item)};
        if (name.p)
            ok = add_class(name, bits, err);
        else
            ok = false, gtv_error_set(err, GTV_E_INVALID, "classes", "classes must be a list of names");
    }
    return ok;
}

static bool plates_of_json(yyjson_val *object, struct gtv_exam_options *out, struct gtv_error *err)
{
    bool plates = !out->no_plates;
    bool ok = gtv_json_get_bool(object, "plates", GTV_JSON_OPTIONAL, &plates, err);
    out->no_plates = !plates;
    return ok;
}

bool gtv_exam_options_json(yyjson_val *object, struct gtv_exam_options *out, struct gtv_error *err)
{
    return gtv_json_get_double(object, "confidence", GTV_JSON_OPTIONAL, 0, 1, &out->confidence, err) &&
           gtv_json_get_bool(object, "annotate", GTV_JSON_OPTIONAL, &out->annotate, err) &&
           plates_of_json(object, out, err) &&
           classes_of_json(yyjson_obj_get(object, "classes"), &out->vehicles, err);
}

bool gtv_exam_options_query(struct gtv_http_request *req, struct gtv_exam_options *out, struct gtv_error *err)
{
    struct gtv_str confidence = gtv_http_query(req, "confidence"), classes = gtv_http_query(req, "classes"),
                   annotate = gtv_http_query(req, "annotate"), plates = gtv_http_query(req, "plates");
    bool read_plates = !out->no_plates;
    if (confidence.p && !gtv_parse_double(confidence, 0, 1, &out->confidence)) {
        gtv_error_set(err, GTV_E_INVALID, "confidence", "confidence must be a number from 0 to 1");
        return false;
    }
    if (annotate.p && !gtv_parse_bool(annotate, &out->annotate)) {
        gtv_error_set(err, GTV_E_INVALID, "annotate", "annotate must be 1 or 0");
        return false;
    }
    if (plates.p && !gtv_parse_bool(plates, &read_plates)) {
        gtv_error_set(err, GTV_E_INVALID, "plates", "plates must be 1 or 0");
        return false;
    }
    out->no_plates = !read_plates;
    if (classes.p) {
        out->vehicles = 0;
        return classes_of_text(classes, &out->vehicles, err);
    }
    return true;
}

// ---- The answer ----

static void add_box(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, int x, int y, int w, int h)
{
    yyjson_mut_val *box = yyjson_mut_obj_add_obj(doc, o, name);
    yyjson_mut_obj_add_int(doc, box, "x", x);
    yyjson_mut_obj_add_int(doc, box, "y", y);
    yyjson_mut_obj_add_int(doc, box, "w", w);
    yyjson_mut_obj_add_int(doc, box, "h", h);
}

// plate NULL: none was found, or looked for.
static void add_plate(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_plate *plate)
{
    gtv_json_add_text(doc, o, "plate_number", plate ? plate->text : NULL);
    if (!plate) {
        yyjson_mut_obj_add_null(doc, o, "plate_confidence");
        yyjson_mut_obj_add_null(doc, o, "plate_format");
        yyjson_mut_obj_add_null(doc, o, "plate_bbox");
        return;
    }
    yyjson_mut_obj_add_real(doc, o, "plate_confidence", gtv_json_thousandths(plate->confidence));
    yyjson_mut_obj_add_str(doc, o, "plate_format", gtv_plate_format_names[plate->format]);
    add_box(doc, o, "plate_bbox", plate->x, plate->y, plate->w, plate->h);
}

static void add_detection(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct gtv_exam *exam,
                          const struct gtv_detected *d, const struct gtv_plate *plate, const char *when)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_sint(doc, o, "camera_id", exam->camera_id);
    yyjson_mut_obj_add_strcpy(doc, o, "timestamp", when);
    yyjson_mut_obj_add_strcpy(doc, o, "object_type", d->object_type);
    yyjson_mut_obj_add_real(doc, o, "confidence", gtv_json_thousandths(d->confidence));
    add_box(doc, o, "bbox", d->x, d->y, d->w, d->h);
    add_plate(doc, o, plate);
    // Makes are not recognised: the keys stay, as clients expect them.
    yyjson_mut_obj_add_null(doc, o, "vehicle_model");
    yyjson_mut_obj_add_null(doc, o, "vehicle_confidence");
}

static const struct gtv_plate *plate_of(const struct gtv_exam *exam, size_t vehicle)
{
    for (size_t i = 0; exam->plates && i < exam->plates->count; i++)
        if (exam->plates->found[i].vehicle == (int)vehicle)
            return &exam->plates->found[i].plate;
    return NULL;
}

// Where a plate reads well there is a vehicle, found or not (a close-up shows too little of it): a detection
// whose box is the plate's.
static void add_lone_plate(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct gtv_exam *exam,
                           const struct gtv_plate_found *found, const char *when)
{
    const struct gtv_plate *plate = &found->plate;
    enum gtv_vehicle kind = plate->two_lines ? GTV_MOTORCYCLE : GTV_CAR;
    bool wanted = !exam->options.vehicles || exam->options.vehicles & 1U << kind;
    if (found->vehicle >= 0 || !wanted || plate->format < GTV_PLATE_FORMAT_OLD ||
        plate->confidence < GTV_EXAM_LONE_CONFIDENCE || plate->confidence < exam->options.confidence)
        return;
    struct gtv_detected d = {
        .confidence = plate->confidence, .x = plate->x, .y = plate->y, .w = plate->w, .h = plate->h};
    snprintf(d.object_type, sizeof(d.object_type), "%s", gtv_vehicle_names[kind]);
    add_detection(doc, list, exam, &d, plate, when);
    yyjson_mut_obj_add_bool(doc, yyjson_mut_arr_get_last(list), "from_plate", true);
}

void gtv_exam_write(const struct gtv_exam *exam, yyjson_mut_doc *doc, yyjson_mut_val *object,
                    bool inline_image)
{
    char when[GTV_ISO8601_CAP];
    gtv_iso8601_naive(exam->received_wall_ms, when);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, object, "detections");
    for (size_t i = 0; i < exam->found.count; i++)
        add_detection(doc, list, exam, &exam->found.objects[i], plate_of(exam, i), when);
    for (size_t i = 0; exam->plates && i < exam->plates->count; i++)
        add_lone_plate(doc, list, exam, &exam->plates->found[i], when);
    yyjson_mut_obj_add_real(doc, object, "processing_time_ms", gtv_json_thousandths(exam->processing_ms));
    yyjson_mut_val *image = yyjson_mut_obj_add_obj(doc, object, "image");
    yyjson_mut_obj_add_int(doc, image, "width", exam->width);
    yyjson_mut_obj_add_int(doc, image, "height", exam->height);
    yyjson_mut_obj_add_strcpy(doc, object, "model", exam->model);
    if (inline_image && exam->annotated) {
        size_t n = 0;
        char *url = gtv_data_url(exam->annotated, &n);
        yyjson_mut_obj_add_strncpy(doc, object, "annotated_image", url, n);
        free(url);
    }
}
