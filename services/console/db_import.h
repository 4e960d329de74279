// gtv-console --import-sqlite: what a console has stored in SQLite, copied to the server of another one.
#ifndef GTV_CONSOLE_DB_IMPORT_H
#define GTV_CONSOLE_DB_IMPORT_H

#include "services/console/db.h"

enum {
    GTV_DB_IMPORT_BATCH = 1000,   // rows in one transaction
    GTV_DB_IMPORT_TELL_MS = 5000, // between two lines of progress
};

struct gtv_db_imported {
    int64_t detections, detections_new; // read, and those of them that were not there
    int64_t happenings, happenings_new;
};

// Copies both tables in batches, each a transaction of its own, and then the last event that is stored, so
// that a console that begins on `to` goes on from there. Rows that are there already are passed over: it may
// be repeated, also after it was broken off. A file of an older version is brought up to date first; one that
// is newer, or none of a console's, is refused. False with *err; *out is what was done until then.
bool gtv_db_import_sqlite(struct gtv_db *to, const char *path, struct gtv_db_imported *out,
                          struct gtv_error *err) GTV_WARN_UNUSED;

#endif
