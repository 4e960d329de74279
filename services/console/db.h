// The console's database (SQLite or PostgreSQL) behind one small interface. Calls block, for a bounded time:
// they belong to one thread that is no loop's. While a PostgreSQL server is away they fail at once, and it is
// connected to again by a later call.
#ifndef GTV_CONSOLE_DB_H
#define GTV_CONSOLE_DB_H

#include "lib/contract/happening.h"
#include "lib/contract/plate.h"

enum {
    GTV_DB_EVENT_CAP = 192,
    GTV_DB_PLATE_CAP = 16,
    GTV_DB_PATTERN_CAP = 20,
    GTV_DB_TYPE_CAP = 24,
    GTV_DB_PLACE_CAP = 65, // of a line's or zone's id
    GTV_DB_NAME_CAP = 129,
    GTV_DB_CROP_CAP = 96,
    GTV_DB_WHY_CAP = 256,
    GTV_DB_KEEP_ROWS = 200000,       // the newest detections; older ones are deleted
    GTV_DB_KEEP_HAPPENINGS = 500000, // the newest of what happened
    GTV_DB_KEEP_DAYS = 90,           // of both, counted from when they were stored
    GTV_DB_TRIM_MAX = 5000,          // rows deleted in one transaction; the rest goes with the next ones
};

// A plate as it was read over a track; text is empty when there is none.
struct gtv_db_plate {
    char text[GTV_DB_PLATE_CAP];
    char key[GTV_PLATE_KEY_MAX + 1]; // the same for both forms of one registration
    char format[GTV_DB_PLATE_CAP];
    double confidence; // 0..1
    bool uncertain;
    int64_t votes;
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
    char event[GTV_DB_EVENT_CAP]; // the Redis entry or the track it came from, and its place in it: once
    int event_index;
    // Of those that were followed over a track; else 0 and empty.
    int64_t track, last_ms;
    struct gtv_db_plate read; // read.text is plate
    char crop[GTV_DB_CROP_CAP];
};

struct gtv_db_filter {
    int64_t camera_id; // 0: all
    // "": all; with * and ? a pattern; else found in both forms of a registration.
    char plate[GTV_DB_PATTERN_CAP];
    char vehicle_type[16];  // "": all
    int64_t from_ms, to_ms; // of the vehicle's moment, to_ms not included; 0: open
    int64_t limit, offset;
};

// Something that happened (lib/contract/happening.h), as it is stored. Fields that its kind has not are
// empty, 0, or as noted.
struct gtv_db_happening {
    int64_t id;
    char key[GTV_HAPPENING_KEY_CAP]; // stored once
    char type[GTV_DB_TYPE_CAP];
    int64_t camera_id, wall_ms, track, first_ms, last_ms;
    char camera_name[GTV_CAMERA_NAME_MAX + 1];
    struct gtv_detected object;
    int frame_width, frame_height;
    char place[GTV_DB_PLACE_CAP], place_name[GTV_DB_NAME_CAP], direction[GTV_DB_NAME_CAP];
    int forward;                                     // 1, 0; -1: it is no crossing
    double seconds, speed_kmh, limit_kmh, degrees;   // negative: not told
    char alert[GTV_DB_TYPE_CAP];                     // kind of an alert
    char list[GTV_DB_NAME_CAP], why[GTV_DB_WHY_CAP]; // the watch-list's entry, and how it matches
    char label[GTV_DB_NAME_CAP], severity[16];       // of that entry
    struct gtv_db_plate plate;
    char crop[GTV_DB_CROP_CAP];
};

struct gtv_db_happening_filter {
    int64_t camera_id;              // 0: all
    char type[GTV_DB_TYPE_CAP];     // "": all
    char alert[GTV_DB_TYPE_CAP];    // "": all
    char plate[GTV_DB_PATTERN_CAP]; // as above
    int64_t from_ms, to_ms;
    int64_t limit, offset;
};

// Crossings of lines, counted by line, direction and class, and by time where bucket_ms is not 0.
struct gtv_db_count_filter {
    int64_t camera_id;           // 0: all
    char line[GTV_DB_PLACE_CAP]; // "": all
    int64_t from_ms, to_ms;
    int64_t bucket_ms; // times are cut to multiples of it since 1970; 0: the whole time as one
    int64_t limit, offset;
};

struct gtv_db_count {
    int64_t camera_id, bucket_ms, count;
    char camera_name[GTV_CAMERA_NAME_MAX + 1];
    char line[GTV_DB_PLACE_CAP], line_name[GTV_DB_NAME_CAP], direction[GTV_DB_NAME_CAP];
    bool forward;
    char vehicle_type[16];
};

struct gtv_db_limits {
    int64_t rows, happenings, days; // 0: the defaults above
};

// Of several consoles on one server one leads: it alone stores what is new in view, until its link breaks.
struct gtv_db_stand {
    bool leads;
    char event[GTV_DB_EVENT_CAP]; // otherwise: the last event whose detections the leading one has stored
};

struct gtv_db;

// url: sqlite:/path/to/file.db (its folder is made) or postgresql://user:password@host:port/database. A
// database of an older version is brought up to date. limits NULL: the defaults. A server that does not
// answer is no failure: everything below fails with GTV_E_UNAVAILABLE until it does. One that answers and
// refuses (password, database, rights, a newer version) is: NULL with *err.
struct gtv_db *gtv_db_open(const char *url, const struct gtv_db_limits *limits,
                           struct gtv_error *err) GTV_WARN_UNUSED;
// Whether url is one that this version can open; nothing is opened for it. False with *err, in which no
// password stands.
bool gtv_db_url_ok(const char *url, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_db_set_limits(struct gtv_db *db, const struct gtv_db_limits *limits); // any thread
void gtv_db_close(struct gtv_db *db);
// Whether the server answers, and connects (again) if need be; true of a file. False with the cause.
bool gtv_db_check(struct gtv_db *db, struct gtv_error *err) GTV_WARN_UNUSED;
// Whether this console is the one of several that stores what is new in view, or has just become it. False
// when the server is away, with the cause.
bool gtv_db_lead(struct gtv_db *db, bool *leads, struct gtv_error *err) GTV_WARN_UNUSED;
// The last event whose detections are stored; "" when there is none.
bool gtv_db_last_event(struct gtv_db *db, char out[GTV_DB_EVENT_CAP], struct gtv_error *err) GTV_WARN_UNUSED;
// Stores rows (those already there are passed over) and last_event in one transaction; all or nothing.
// Nothing where another console leads: *stand (may be NULL) tells. Who has just begun to lead passes over the
// rows that the one before was done with.
bool gtv_db_store(struct gtv_db *db, const struct gtv_db_detection *rows, size_t n, const char *last_event,
                  struct gtv_db_stand *stand, struct gtv_error *err) GTV_WARN_UNUSED;
// Whether the first event stands before the second in their stream, or is the same. "" stands before all.
bool gtv_db_event_done(const char *event, const char *last);
// Newest first. rows has room for filter->limit; *total counts all that match.
bool gtv_db_find(struct gtv_db *db, const struct gtv_db_filter *filter, struct gtv_db_detection *rows,
                 size_t *n, int64_t *total, struct gtv_error *err) GTV_WARN_UNUSED;

// Stores what happened in one transaction; all or nothing. What is there already (by its key) is passed over.
// A track's events and its plate become one detection, whose event is "cam_1/track/17".
bool gtv_db_store_happenings(struct gtv_db *db, const struct gtv_db_happening *rows, size_t n,
                             struct gtv_error *err) GTV_WARN_UNUSED;
// As gtv_db_find.
bool gtv_db_find_happenings(struct gtv_db *db, const struct gtv_db_happening_filter *filter,
                            struct gtv_db_happening *rows, size_t *n, int64_t *total,
                            struct gtv_error *err) GTV_WARN_UNUSED;
// Newest bucket first, then by camera, line, direction and class. *total counts the groups.
bool gtv_db_count_lines(struct gtv_db *db, const struct gtv_db_count_filter *filter,
                        struct gtv_db_count *rows, size_t *n, int64_t *total,
                        struct gtv_error *err) GTV_WARN_UNUSED;

#endif
