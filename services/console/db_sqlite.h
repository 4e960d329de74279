// What the parts of the SQLite database have in common: db_schema.c (opening, migrations), db_sqlite.c
// (detections) and db_happenings.c.
#ifndef GTV_CONSOLE_DB_SQLITE_H
#define GTV_CONSOLE_DB_SQLITE_H

#include "services/console/db.h"

#include <sqlite3.h>

enum gtv_db_statement {
    GTV_DB_INSERT,
    GTV_DB_TRIM,
    GTV_DB_TRIM_OLD,
    GTV_DB_SET_EVENT,
    GTV_DB_GET_EVENT,
    GTV_DB_TELL,
    GTV_DB_TRACK_BEGAN,
    GTV_DB_TRACK_OVER,
    GTV_DB_TRACK_PLATE,
    GTV_DB_TRIM_TOLD,
    GTV_DB_TRIM_TOLD_OLD,
    GTV_DB_STATEMENTS
};
extern const char *const gtv_db_statement_texts[GTV_DB_STATEMENTS];

struct gtv_db {
    sqlite3 *sql;
    sqlite3_stmt *statements[GTV_DB_STATEMENTS];
    struct gtv_db_limits limits;
    int64_t since_trim; // rows
    int64_t trimmed_ms; // monotonic
};

bool gtv_db_fail(struct gtv_db *db, const char *doing, struct gtv_error *err); // false
bool gtv_db_run(struct gtv_db *db, const char *text, const char *doing,
                struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_db_roll_back(struct gtv_db *db);
// Runs a statement that gives no rows, and makes it ready for the next time.
bool gtv_db_step(struct gtv_db *db, sqlite3_stmt *s, struct gtv_error *err) GTV_WARN_UNUSED;
// x, y, w, h and the frame's size, from `at` on.
void gtv_db_bind_box(sqlite3_stmt *s, int at, const struct gtv_detected *d, int width, int height);
void gtv_db_bind_text(sqlite3_stmt *s, int at, const char *text); // lives until the statement is run
// False, and an empty out, when it does not fit.
bool gtv_db_column(sqlite3_stmt *s, int at, char *out, size_t cap);
// Deletes what is too much or too old, now and then; inside the transaction that stored n rows.
bool gtv_db_trim(struct gtv_db *db, size_t n, struct gtv_error *err) GTV_WARN_UNUSED;

// A question put together from parts. Each part names its parameters by name; a value whose name the text has
// not is passed over.
struct gtv_db_question {
    struct gtv_db *db;
    char text[1600];
    bool none; // it cannot have an answer
};
void gtv_db_ask(struct gtv_db_question *q, struct gtv_db *db, const char *text);
void gtv_db_ask_if(struct gtv_db_question *q, bool wanted, const char *part); // " AND ..."
// Adds the search for a plate: by its key, or by a pattern over text and key.
struct gtv_db_plate_search {
    bool wanted, wild;
    char text[GTV_DB_PATTERN_CAP], key[GTV_DB_PATTERN_CAP];
};
void gtv_db_ask_plate(struct gtv_db_question *q, const char *pattern, struct gtv_db_plate_search *out);
// NULL with *err.
sqlite3_stmt *gtv_db_prepare(struct gtv_db_question *q, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_db_give_int(sqlite3_stmt *s, const char *name, int64_t value);
void gtv_db_give_text(sqlite3_stmt *s, const char *name, const char *value);
void gtv_db_give_plate(sqlite3_stmt *s, const struct gtv_db_plate_search *p); // copied
// The one number of a question, which is done with then.
bool gtv_db_read_total(struct gtv_db *db, sqlite3_stmt *s, int64_t *total,
                       struct gtv_error *err) GTV_WARN_UNUSED;

// Writes a detection by one of the statements that do.
bool gtv_db_put_detection(struct gtv_db *db, enum gtv_db_statement how, const struct gtv_db_detection *d,
                          struct gtv_error *err) GTV_WARN_UNUSED;

#endif
