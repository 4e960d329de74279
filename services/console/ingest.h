// Follows the events in Redis: status events go to the directory, what is new in view goes to the store.
#ifndef GTV_CONSOLE_INGEST_H
#define GTV_CONSOLE_INGEST_H

#include "services/console/directory.h"
#include "services/console/store.h"

struct gtv_ingest;

// from: the id of the last event that is stored ("" for all that Redis still has). store and directory must
// outlive it. Loop thread.
struct gtv_ingest *gtv_ingest_create(struct gtv_loop *loop, const char *redis_url, const char *from,
                                     struct gtv_store *store, struct gtv_directory *directory,
                                     struct gtv_metrics *metrics, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_ingest_destroy(struct gtv_ingest *in);

// Reads a detection event into out (camera, time, frame) and objects[]. False for what is none, or has values
// that make no sense: a box outside 32 bits, a confidence outside 0..1, more than GTV_MAX_OBJECTS objects.
// Objects that are followed over a track are passed over.
bool gtv_ingest_parse(yyjson_val *event, struct gtv_db_detection *out,
                      struct gtv_detected objects[GTV_MAX_OBJECTS],
                      char plates[GTV_MAX_OBJECTS][GTV_DB_PLATE_CAP], size_t *count) GTV_WARN_UNUSED;

#endif
