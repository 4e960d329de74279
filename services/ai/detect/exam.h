// One picture examined: bytes in, vehicles (and plates) out. What /detect, /detect/upload, /detect/batch and
// the jobs of the queue have in common.
#ifndef GTV_AI_EXAM_H
#define GTV_AI_EXAM_H

#include "lib/base/bytes.h"
#include "lib/json/json.h"
#include "services/ai/engine/engine.h"
#include "services/ai/picture/picture.h"

#include <stdatomic.h>

// What exams share: the engine, and memory of each worker that is used again and again. Outlives its exams.
struct gtv_exam;
struct gtv_exam_plates; // exam_plates.h
struct gtv_examiner;
struct gtv_examiner_config {
    struct gtv_engine *engine;   // outlives the examiner's last exam
    size_t workers;              // of the engine
    struct gtv_metrics *metrics; // NULL: none
    // Reads the plates of an exam with vehicles, on its worker (exam_plates.h); NULL: plates are not read.
    void (*read_plates)(struct gtv_exam *exam, size_t worker, void *user);
    void *plates; // its user
};
struct gtv_examiner *gtv_examiner_create(const struct gtv_examiner_config *config);
void gtv_examiner_destroy(struct gtv_examiner *x); // after the engine; NULL is accepted

// What a client may ask for with a picture; each is optional.
struct gtv_exam_options {
    double confidence; // "confidence", 0..1; by default CONFIDENCE_THRESHOLD
    uint32_t vehicles; // "classes": bits as in struct gtv_work; 0: all
    bool annotate;     // "annotate": the picture comes back as JPEG with its boxes drawn
    bool no_plates;    // "plates": false; plates are not read
};
// From the keys of a JSON object (classes: a list, or names with commas between), or from the query (names
// with commas; annotate as gtv_parse_bool reads it). False with GTV_E_INVALID and the field's name. Both
// begin with *out as it is: the caller's defaults.
bool gtv_exam_options_json(yyjson_val *object, struct gtv_exam_options *out,
                           struct gtv_error *err) GTV_WARN_UNUSED;
struct gtv_http_request;
bool gtv_exam_options_query(struct gtv_http_request *req, struct gtv_exam_options *out,
                            struct gtv_error *err) GTV_WARN_UNUSED;

struct gtv_exam {
    // ---- Set by the caller ----
    struct gtv_work work; // kind and client; the rest is gtv_exam_post's
    int64_t camera_id;
    int64_t received_wall_ms, received_ns; // received_ns: by gtv_mono_ns; processing_ms counts from there
    struct gtv_str picture;                // the file, or its base64; lives until done is called
    bool base64;
    const char *field; // of the request, named in errors about the picture
    struct gtv_exam_options options;
    atomic_bool *cancelled;              // NULL, or: true means that nobody wants it any more
    void (*done)(struct gtv_exam *exam); // on a worker's thread; the exam is the caller's again

    // ---- What came out, from done on ----
    struct gtv_error err; // code 0: all is well
    struct gtv_detections found;
    struct gtv_exam_plates *plates; // NULL: none were looked for
    int width, height;              // of the picture, upright
    char model[64];
    double base64_ms, decode_ms, prepare_ms, plate_ms, annotate_ms;
    double processing_ms;        // from received_ns to done
    struct gtv_bytes *annotated; // JPEG, or NULL

    // ---- The examiner's ----
    struct gtv_examiner *examiner;
    struct gtv_picture_scratch *scratch; // a worker's, while it works on it
    struct gtv_str file;                 // from prepare to finish
};

// Any thread. False when the engine is full: done is not called.
bool gtv_exam_post(struct gtv_exam *exam, struct gtv_examiner *x) GTV_WARN_UNUSED;
// Any thread, before done: as gtv_engine_withdraw. True: done is not called.
bool gtv_exam_withdraw(struct gtv_exam *exam) GTV_WARN_UNUSED;
// Adds "detections" (with the plates; one of a vehicle that was not found is a detection of its own, see
// add_lone_plates), "processing_time_ms", "image", "model" (and "annotated_image", a data: URL, when
// inline_image and there is one). Of an exam without an error.
void gtv_exam_write(const struct gtv_exam *exam, yyjson_mut_doc *doc, yyjson_mut_val *object,
                    bool inline_image);
void gtv_exam_finish(struct gtv_exam *exam); // frees what came out; not the exam itself

#endif
