// What the databases have in common, and what sets them apart. The texts of the statements are the same for
// all: db.c (opening, limits, questions), db_detections.c, db_happenings.c. How they are run is a driver's:
// db_sqlite.c, db_postgres.c. All of it belongs to the thread of the database.
#ifndef GTV_CONSOLE_DB_DRIVER_H
#define GTV_CONSOLE_DB_DRIVER_H

#include "services/console/db.h"

// A database of a lower version is brought up to this one; one of a higher version is refused.
enum { GTV_DB_SCHEMA_VERSION = 3, GTV_DB_VALUES = 40 };

enum gtv_db_statement {
    GTV_DB_INSERT,
    GTV_DB_TRIM,
    GTV_DB_TRIM_OLD,
    GTV_DB_SET_EVENT,
    GTV_DB_TELL,
    GTV_DB_TRACK_BEGAN,
    GTV_DB_TRACK_OVER,
    GTV_DB_TRACK_PLATE,
    GTV_DB_TRIM_TOLD,
    GTV_DB_TRIM_TOLD_OLD,
    GTV_DB_STATEMENTS
};
extern const char *const gtv_db_statement_texts[GTV_DB_STATEMENTS]; // parameters are ?1, ?2, ...

// The values of a statement's parameters; zeroed, all are NULL. at counts from 1. Texts are the caller's and
// live until the statement is run.
struct gtv_db_values {
    struct gtv_db_value {
        enum { GTV_DB_NOTHING, GTV_DB_WHOLE, GTV_DB_REAL, GTV_DB_TEXT } kind;
        int64_t whole;
        double real;
        const char *text;
    } at[GTV_DB_VALUES];
    int count;
};
void gtv_db_give_int(struct gtv_db_values *v, int at, int64_t value);
void gtv_db_give_real(struct gtv_db_values *v, int at, double value);
void gtv_db_give_text(struct gtv_db_values *v, int at, const char *value);
// x, y, w, h and the frame's size, from `at` on.
void gtv_db_give_box(struct gtv_db_values *v, int at, const struct gtv_detected *d, int width, int height);

enum gtv_db_lead {
    GTV_DB_FOLLOWS,
    GTV_DB_TAKES_OVER, // leads, and no transaction that asked for it went through yet
    GTV_DB_LEADS,
};

struct gtv_db_driver {
    const char *like; // the operator of patterns, and its signs for any text and for any one letter
    char any, one;
    bool (*begin)(struct gtv_db *db, struct gtv_error *err);
    bool (*commit)(struct gtv_db *db, struct gtv_error *err);
    void (*roll_back)(struct gtv_db *db); // of none: nothing
    // Whether this console is the one that stores what is new in view, also within a transaction. NULL:
    // always.
    bool (*lead)(struct gtv_db *db, enum gtv_db_lead *out, struct gtv_error *err);
    // Within a transaction. changed (may be NULL): whether a row was.
    bool (*write)(struct gtv_db *db, enum gtv_db_statement what, const struct gtv_db_values *values,
                  bool *changed, struct gtv_error *err);
    // One question at a time: when ask is true, next until it is not GTV_DB_ROW, then done.
    bool (*ask)(struct gtv_db *db, const char *text, const struct gtv_db_values *values,
                struct gtv_error *err);
    enum gtv_db_step {
        GTV_DB_ROW,
        GTV_DB_END,
        GTV_DB_FAILED
    } (*next)(struct gtv_db *db, struct gtv_error *err);
    // Columns of the row at hand, from 0; NULL is 0 and "".
    int64_t (*whole)(struct gtv_db *db, int at);
    double (*real)(struct gtv_db *db, int at);
    struct gtv_str (*text)(struct gtv_db *db, int at);
    void (*done)(struct gtv_db *db);
    bool (*check)(struct gtv_db *db, struct gtv_error *err); // NULL: nothing to be found out
    void (*close)(struct gtv_db *db);                        // frees it too
};

// The first member of each driver's own struct.
struct gtv_db {
    const struct gtv_db_driver *driver;
    struct gtv_db_limits limits; // atomic
    int64_t since_trim;          // rows
    int64_t trimmed_ms;          // monotonic
};

struct gtv_db *gtv_db_open_sqlite(const char *path, struct gtv_error *err) GTV_WARN_UNUSED;
struct gtv_db *gtv_db_open_postgres(const char *url, struct gtv_error *err) GTV_WARN_UNUSED;
// Whether a postgresql:// address is one. Its password is in no message.
bool gtv_db_postgres_url_ok(const char *url, struct gtv_error *err) GTV_WARN_UNUSED;

// False, and an empty out, when it does not fit.
bool gtv_db_column(struct gtv_db *db, int at, char *out, size_t cap);
// What gtv_db_give_box has put there, from column `at` on.
void gtv_db_column_box(struct gtv_db *db, int at, struct gtv_detected *d, int *width, int *height);
// A plate's confidence, whether it is uncertain, and its votes, from column `at` on.
void gtv_db_column_reading(struct gtv_db *db, int at, struct gtv_db_plate *p);
// Ends what driver->begin began: commits it, or rolls it back where ok is false or the database refuses.
// Whether it is stored.
bool gtv_db_end(struct gtv_db *db, bool ok, struct gtv_error *err) GTV_WARN_UNUSED;
// Deletes what is too much or too old, now and then; inside the transaction that stored n rows.
bool gtv_db_trim(struct gtv_db *db, size_t n, struct gtv_error *err) GTV_WARN_UNUSED;
// Writes a detection by one of the statements that do.
bool gtv_db_put_detection(struct gtv_db *db, enum gtv_db_statement how, const struct gtv_db_detection *d,
                          struct gtv_error *err) GTV_WARN_UNUSED;

// A question put together from parts of ours; what was asked for is in its values.
struct gtv_db_question {
    struct gtv_db *db;
    char text[1600];
    struct gtv_db_values values;
    char plate[GTV_DB_PATTERN_CAP], key[GTV_DB_PATTERN_CAP];
    bool none; // it cannot have an answer
};
void gtv_db_ask(struct gtv_db_question *q, struct gtv_db *db, const char *text);
void gtv_db_ask_more(struct gtv_db_question *q, const char *part);
// " AND column = " and the like, and then the value.
void gtv_db_ask_int(struct gtv_db_question *q, bool wanted, const char *part, int64_t value);
void gtv_db_ask_text(struct gtv_db_question *q, const char *part, const char *value); // "" is not wanted
void gtv_db_ask_plate(struct gtv_db_question *q, const char *pattern); // by its key, or as a pattern
void gtv_db_ask_page(struct gtv_db_question *q, const char *order, int64_t limit, int64_t offset);
bool gtv_db_start(struct gtv_db_question *q, struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_db_read_total(struct gtv_db_question *q, int64_t *total, struct gtv_error *err) GTV_WARN_UNUSED;
// Reads up to max rows of a question that was started, and ends it. put is called with each, and tells
// whether it is one (a row that somebody else wrote too long is passed over).
bool gtv_db_read_rows(struct gtv_db_question *q, size_t max,
                      bool (*put)(struct gtv_db *db, void *rows, size_t at), void *rows, size_t *n,
                      struct gtv_error *err) GTV_WARN_UNUSED;

// Tables, with a database's own words for an id, a whole number, a real one and text.
#define GTV_DB_HAPPENINGS_TABLE(ID, WHOLE, REAL, TEXT)                                                       \
    "CREATE TABLE happenings ("                                                                              \
    " id " ID ","                                                                                            \
    " key " TEXT " NOT NULL UNIQUE,"                                                                         \
    " type " TEXT " NOT NULL,"                                                                               \
    " camera_id " WHOLE " NOT NULL,"                                                                         \
    " camera_name " TEXT " NOT NULL,"                                                                        \
    " wall_ms " WHOLE " NOT NULL,"                                                                           \
    " stored_ms " WHOLE " NOT NULL,"                                                                         \
    " track " WHOLE " NOT NULL,"                                                                             \
    " first_ms " WHOLE " NOT NULL, last_ms " WHOLE " NOT NULL,"                                              \
    " vehicle_type " TEXT " NOT NULL,"                                                                       \
    " confidence " REAL " NOT NULL,"                                                                         \
    " x " WHOLE " NOT NULL, y " WHOLE " NOT NULL, w " WHOLE " NOT NULL, h " WHOLE " NOT NULL,"               \
    " frame_width " WHOLE " NOT NULL, frame_height " WHOLE " NOT NULL,"                                      \
    " place " TEXT ", place_name " TEXT ", direction " TEXT ", forward " WHOLE " NOT NULL,"                  \
    " seconds " REAL " NOT NULL, speed_kmh " REAL " NOT NULL, limit_kmh " REAL " NOT NULL,"                  \
    " degrees " REAL " NOT NULL,"                                                                            \
    " alert " TEXT ", list " TEXT ", label " TEXT ", severity " TEXT ", why " TEXT ","                       \
    " plate " TEXT ", plate_key " TEXT ", plate_format " TEXT ", plate_confidence " REAL ","                 \
    " plate_uncertain " WHOLE ", plate_votes " WHOLE ","                                                     \
    " crop " TEXT ");"

// The columns of a row, but for its id, in the order of the statements' parameters.
#define GTV_DB_DETECTION_COLUMNS                                                                             \
    "camera_id, camera_name, wall_ms, vehicle_type, confidence, plate, x, y, w, h, frame_width,"             \
    " frame_height, event, event_index, stored_ms, track, last_ms, plate_key, plate_format,"                 \
    " plate_confidence, plate_uncertain, plate_votes, crop"
#define GTV_DB_HAPPENING_COLUMNS                                                                             \
    "key, type, camera_id, camera_name, wall_ms, stored_ms, track, first_ms, last_ms, vehicle_type,"         \
    " confidence, x, y, w, h, frame_width, frame_height, place, place_name, direction, forward, seconds,"    \
    " speed_kmh, limit_kmh, degrees, alert, list, label, severity, why, plate, plate_key, plate_format,"     \
    " plate_confidence, plate_uncertain, plate_votes, crop"
enum { GTV_DB_DETECTION_COLUMN_COUNT = 23, GTV_DB_HAPPENING_COLUMN_COUNT = 37 };

#define GTV_DB_DETECTION_INDEXES                                                                             \
    "CREATE INDEX IF NOT EXISTS detections_time ON detections (wall_ms DESC, id DESC);"                      \
    "CREATE INDEX IF NOT EXISTS detections_camera ON detections (camera_id, wall_ms DESC, id DESC);"         \
    "CREATE INDEX IF NOT EXISTS detections_plate ON detections (plate, wall_ms DESC) WHERE plate IS NOT "    \
    "NULL;"
#define GTV_DB_DETECTION_KEY_INDEX                                                                           \
    "CREATE INDEX detections_plate_key ON detections (plate_key, wall_ms DESC) WHERE plate_key IS NOT NULL;"
#define GTV_DB_HAPPENING_INDEXES                                                                             \
    "CREATE INDEX happenings_type ON happenings (type, wall_ms DESC, id DESC);"                              \
    "CREATE INDEX happenings_camera ON happenings (camera_id, wall_ms DESC, id DESC);"                       \
    "CREATE INDEX happenings_time ON happenings (wall_ms DESC, id DESC);"                                    \
    "CREATE INDEX happenings_plate_key ON happenings (plate_key, wall_ms DESC) WHERE plate_key IS NOT NULL;"
// What leaves first. Ids do not tell: rows that were carried over from another database are older than
// theirs.
#define GTV_DB_STORED_INDEXES                                                                                \
    "CREATE INDEX detections_stored ON detections (stored_ms, id);"                                          \
    "CREATE INDEX happenings_stored ON happenings (stored_ms, id);"

#endif
