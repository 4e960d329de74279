// Many cameras in one request: each line is an operation of its own, so many at once as the media nodes take.
#ifndef GTV_STREAMING_BULK_H
#define GTV_STREAMING_BULK_H

#include "services/streaming/ops.h"

enum {
    GTV_BULK_LINES = 2000,           // cameras in one request; more are answered 413
    GTV_BULK_BODY = 2 * 1024 * 1024, // bytes of a body; more are answered 413
    GTV_BULK_JOBS = 4,               // requests under way; one more is answered 503
    GTV_BULK_AT_ONCE = 16,           // cameras of one request under way, for each media node
};

struct gtv_bulk_line {
    size_t line; // in the CSV file, or the item's position in the JSON list, from 1
    struct gtv_camera camera;
    struct gtv_op_outcome outcome; // err is set where the line itself is wrong
    bool over;
};

struct gtv_bulk {
    struct gtv_bulk_line *lines;
    size_t count;
};

// Reads a JSON list, an object with the list "cameras", or a CSV file with a header. False: err says why none
// of it can be used; wrong lines have their err. Pure. text is changed while CSV is read.
bool gtv_bulk_parse(char *text, size_t n, bool csv, struct gtv_bulk *out,
                    struct gtv_error *err) GTV_WARN_UNUSED;
// One more line, zeroed, valid until the next one. NULL with *err: there are GTV_BULK_LINES.
struct gtv_bulk_line *gtv_bulk_add(struct gtv_bulk *b, size_t line, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_bulk_finish(struct gtv_bulk *b);
// {"success","total","succeeded","failed","results":[...]}; success: no line failed.
yyjson_mut_doc *gtv_bulk_answer(const struct gtv_bulk *b);

// POST /cameras/provision/bulk, /cameras/import and /cameras/adopt, on any loop.
void gtv_handle_bulk(struct gtv_http_request *req, void *worker);
void gtv_handle_import(struct gtv_http_request *req, void *worker);
void gtv_handle_adopt(struct gtv_http_request *req, void *worker);

#endif
