// What the handlers of lists have in common: requests whose answer comes later, pages, query parameters.
// Loop thread.
#ifndef GTV_CONSOLE_ANSWERS_H
#define GTV_CONSOLE_ANSWERS_H

#include "services/console/api.h"
#include "services/console/paging.h"

// A request whose answer is under way. req is NULL once the client has left.
struct gtv_pending {
    struct gtv_console *console;
    struct gtv_http_request *req;
    struct gtv_page page;
    int64_t camera_id; // the one asked for; 0: all
    int64_t bucket_ms; // of counts
    int64_t from_ms, to_ms;
};

struct gtv_pending *gtv_pending_begin(struct gtv_console *c, struct gtv_http_request *req);
// Frees p. The request, NULL when its client has left, is no longer tied to it.
struct gtv_http_request *gtv_pending_end(struct gtv_pending *p);
// The same for an answer of the database: the page's list is answered, add writing its rows one by one into
// o, or that the database failed, or that there is no such page.
typedef void (*gtv_answer_add_fn)(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_pending *asked,
                                  const struct gtv_store_result *r, size_t at);
void gtv_pending_end_found(struct gtv_pending *p, const struct gtv_store_result *r, gtv_answer_add_fn add);
// Answers that the database has too much to do. Ends p.
void gtv_pending_refuse(struct gtv_pending *p);

// "count", "next", "previous"; returns "results".
yyjson_mut_val *gtv_answer_list(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_http_request *req,
                                const struct gtv_page *page, int64_t total);
bool gtv_answer_page(struct gtv_http_request *req, struct gtv_page *page) GTV_WARN_UNUSED;

// Parameters of the query; absent ones leave *out alone. False with GTV_E_INVALID and the field.
bool gtv_query_camera(struct gtv_http_request *req, int64_t *out, struct gtv_error *err) GTV_WARN_UNUSED;
// Upper case, without spaces, dashes and dots: letters, digits, * and ?.
bool gtv_query_plate(struct gtv_http_request *req, char out[GTV_DB_PATTERN_CAP],
                     struct gtv_error *err) GTV_WARN_UNUSED;
// "from" (included) and "to" (not included): ISO 8601, UTC where no offset stands, or milliseconds.
bool gtv_query_times(struct gtv_http_request *req, int64_t *from_ms, int64_t *to_ms,
                     struct gtv_error *err) GTV_WARN_UNUSED;
// A word or an id, as it is.
bool gtv_query_word(struct gtv_http_request *req, const char *name, char *out, size_t cap,
                    struct gtv_error *err) GTV_WARN_UNUSED;

// o["image_url"]: where the console serves a picture of that name; null without one.
void gtv_answer_image(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *crop);
// "camera_id", "camera_name" (the one it has now; the one it had then where the camera is gone), "timestamp"
// and "track_id" (null for 0).
void gtv_answer_seen(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_console *c, int64_t camera_id,
                     const char *camera_name, int64_t wall_ms, int64_t track);
// "plate", "plate_format", "plate_confidence" and "plate_uncertain"; null where there is none, the latter
// three also where only its text is known.
void gtv_answer_plate(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_db_plate *p);
void gtv_answer_box(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_detected *d, int width,
                    int height); // "bbox" and "frame"

#endif
