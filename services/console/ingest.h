// Follows the events in Redis: status events go to the directory, what is new in view goes to the store. It
// begins when the database was reached, with what stands a little before the last event that is stored there:
// that is not stored again, but tells which vehicles are in view already.
#ifndef GTV_CONSOLE_INGEST_H
#define GTV_CONSOLE_INGEST_H

#include "services/console/directory.h"
#include "services/console/store.h"

enum { GTV_INGEST_LOOK_BACK_MS = 5000 }; // more than twice GTV_NEWCOMER_MS

struct gtv_ingest;

// store and directory must outlive it. Loop thread, as all here. Never NULL; what is wrong with the address
// shows in the log.
struct gtv_ingest *gtv_ingest_create(struct gtv_loop *loop, const char *redis_url, struct gtv_store *store,
                                     struct gtv_directory *directory, struct gtv_metrics *metrics);
// Nothing more is read. NULL is accepted, here and below.
void gtv_ingest_stop(struct gtv_ingest *in);
// After stop, and after the loop: the store may answer until then.
void gtv_ingest_destroy(struct gtv_ingest *in);

// Where to begin reading so that the last so many ms before `last` are seen again; "0": with all there is.
void gtv_ingest_look_back(const char *last, char out[GTV_DB_EVENT_CAP]);

// Reads a detection event into out (camera, time, frame) and objects[]. False for what is none, or has values
// that make no sense: a box outside 32 bits, a confidence outside 0..1, more than GTV_MAX_OBJECTS objects.
// Objects that are followed over a track are passed over.
bool gtv_ingest_parse(yyjson_val *event, struct gtv_db_detection *out,
                      struct gtv_detected objects[GTV_MAX_OBJECTS],
                      char plates[GTV_MAX_OBJECTS][GTV_DB_PLATE_CAP], size_t *count) GTV_WARN_UNUSED;

#endif
