// The console's database behind one small interface. Calls block: they belong to one thread that is no
// loop's.
#ifndef GTV_CONSOLE_DB_H
#define GTV_CONSOLE_DB_H

#include "lib/contract/contract.h"

enum {
    GTV_DB_EVENT_CAP = 64,
    GTV_DB_PLATE_CAP = 16,
    GTV_DB_KEEP_ROWS = 200000, // the newest detections; older ones are deleted
};

// One stored object. Zeroed, then filled; id is the database's.
struct gtv_db_detection {
    int64_t id;
    int64_t camera_id;
    int64_t wall_ms; // when the camera saw it
    char camera_name[GTV_CAMERA_NAME_MAX + 1];
    char plate[GTV_DB_PLATE_CAP]; // "" when none was read
    struct gtv_detected object;
    int frame_width, frame_height;
    char event[GTV_DB_EVENT_CAP]; // the Redis entry it came from, and its place in it: stored once
    int event_index;
};

struct gtv_db_filter {
    int64_t camera_id;            // 0: all
    char plate[GTV_DB_PLATE_CAP]; // "": all
    int64_t limit, offset;
};

struct gtv_db;

// url: sqlite:/path/to/file.db (its folder is made). keep_rows 0: GTV_DB_KEEP_ROWS. NULL with *err.
struct gtv_db *gtv_db_open(const char *url, int64_t keep_rows, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_db_close(struct gtv_db *db);
// The last event whose detections are stored; "" when there is none.
bool gtv_db_last_event(struct gtv_db *db, char out[GTV_DB_EVENT_CAP], struct gtv_error *err) GTV_WARN_UNUSED;
// Stores rows (those already there are passed over) and last_event in one transaction; all or nothing.
bool gtv_db_store(struct gtv_db *db, const struct gtv_db_detection *rows, size_t n, const char *last_event,
                  struct gtv_error *err) GTV_WARN_UNUSED;
// Newest first. rows has room for filter->limit; *total counts all that match.
bool gtv_db_find(struct gtv_db *db, const struct gtv_db_filter *filter, struct gtv_db_detection *rows,
                 size_t *n, int64_t *total, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
