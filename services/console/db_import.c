#include "services/console/db_import.h"

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "services/console/db_driver.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_MS = 5000 };

static const struct gtv_log log_import = {"console", "part", "import"};

struct table {
    const char *name, *columns;
    int count;
    enum gtv_db_statement put;
};

static const struct table tables[] = {
    {"detections", GTV_DB_DETECTION_COLUMNS, GTV_DB_DETECTION_COLUMN_COUNT, GTV_DB_INSERT},
    {"happenings", GTV_DB_HAPPENING_COLUMNS, GTV_DB_HAPPENING_COLUMN_COUNT, GTV_DB_TELL},
};

struct import {
    sqlite3 *from;
    struct gtv_db *to;
    const char *path;
    int64_t told_ms; // monotonic
};

static bool fail(const struct import *m, struct gtv_error *err)
{
    gtv_error_set(err, GTV_E_IO, NULL, "%.120s cannot be read: %s", m->path, sqlite3_errmsg(m->from));
    return false;
}

// ---- The file ----

// One whole number or text; without a row neither changes.
static bool read_value(const struct import *m, const char *question, int64_t *whole, char *text, size_t cap,
                       struct gtv_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(m->from, question, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        const char *value = (const char *)sqlite3_column_text(s, 0);
        if (whole)
            *whole = sqlite3_column_int64(s, 0);
        if (text && value)
            snprintf(text, cap, "%s", value);
    }
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE || fail(m, err);
    sqlite3_finalize(s);
    return ok;
}

static bool open_file(struct import *m, struct gtv_error *err)
{
    if (access(m->path, R_OK) != 0) {
        gtv_error_set(err, GTV_E_IO, NULL, "%.120s cannot be read: %s", m->path, strerror(errno));
        return false;
    }
    if (sqlite3_open_v2(m->path, &m->from, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        return fail(m, err);
    sqlite3_busy_timeout(m->from, BUSY_MS);
    return true;
}

static bool check_version(const struct import *m, int64_t *version, struct gtv_error *err)
{
    int64_t ours = 0;
    *version = 0;
    if (!read_value(m, "PRAGMA user_version", version, NULL, 0, err) ||
        !read_value(
            m, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('meta', 'detections')",
            &ours, NULL, 0, err))
        return false;
    if (*version > GTV_DB_SCHEMA_VERSION)
        gtv_error_set(err, GTV_E_UNSUPPORTED, NULL,
                      "%.120s was written by a newer gtv-console (schema %lld, this one knows %d)", m->path,
                      (long long)*version, (int)GTV_DB_SCHEMA_VERSION);
    else if (*version < 1 || ours != 2)
        gtv_error_set(err, GTV_E_UNSUPPORTED, NULL, "%.120s is no database of gtv-console", m->path);
    else
        return true;
    return false;
}

// As a console that starts on the file would.
static bool bring_up_to_date(const char *path, struct gtv_error *err)
{
    struct gtv_db *db = gtv_db_open_sqlite(path, err);
    gtv_db_close(db);
    return db != NULL;
}

// ---- Copying ----

// The row at hand, from its second column on. Texts are SQLite's, until the next step.
static void values_of(sqlite3_stmt *row, int count, struct gtv_db_values *v)
{
    *v = (struct gtv_db_values){.count = count};
    for (int i = 1; i <= count; i++) {
        int kind = sqlite3_column_type(row, i);
        if (kind == SQLITE_INTEGER)
            gtv_db_give_int(v, i, sqlite3_column_int64(row, i));
        else if (kind == SQLITE_FLOAT)
            gtv_db_give_real(v, i, sqlite3_column_double(row, i));
        else if (kind != SQLITE_NULL)
            gtv_db_give_text(v, i, (const char *)sqlite3_column_text(row, i));
    }
}

// Those after *last, which it moves on. *read: how many there were.
static bool copy_rows(const struct import *m, const struct table *t, sqlite3_stmt *rows, int64_t *last,
                      int64_t *read, int64_t *put, struct gtv_error *err)
{
    int rc;
    sqlite3_bind_int64(rows, 1, *last);
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        struct gtv_db_values v;
        bool is_new = false;
        values_of(rows, t->count, &v);
        if (!m->to->driver->write(m->to, t->put, &v, &is_new, err))
            return false;
        *last = sqlite3_column_int64(rows, 0);
        ++*read;
        *put += is_new;
    }
    return rc == SQLITE_DONE || fail(m, err);
}

static bool copy_batch(const struct import *m, const struct table *t, sqlite3_stmt *rows, int64_t *last,
                       int64_t *read, int64_t *put, struct gtv_error *err)
{
    if (!m->to->driver->begin(m->to, err))
        return false;
    bool ok = copy_rows(m, t, rows, last, read, put, err);
    sqlite3_reset(rows);
    return gtv_db_end(m->to, ok, err);
}

static void tell(struct import *m, const struct table *t, int64_t done, int64_t all)
{
    int64_t now = gtv_mono_ms();
    if (now - m->told_ms < GTV_DB_IMPORT_TELL_MS)
        return;
    m->told_ms = now;
    gtv_log_info(&log_import, "copying", "table=%s done=%lld of=%lld", t->name, (long long)done,
                 (long long)all);
}

static bool copy_table(struct import *m, const struct table *t, int64_t *done, int64_t *new_ones,
                       struct gtv_error *err)
{
    char question[900];
    int64_t last = INT64_MIN, all = 0, read;
    sqlite3_stmt *rows = NULL;
    snprintf(question, sizeof question, "SELECT count(*) FROM %s", t->name);
    if (!read_value(m, question, &all, NULL, 0, err))
        return false;
    snprintf(question, sizeof question, "SELECT id, %s FROM %s WHERE id > ?1 ORDER BY id LIMIT %d",
             t->columns, t->name, (int)GTV_DB_IMPORT_BATCH);
    if (sqlite3_prepare_v2(m->from, question, -1, &rows, NULL) != SQLITE_OK)
        return fail(m, err);
    bool ok;
    do {
        int64_t put = 0;
        read = 0;
        ok = copy_batch(m, t, rows, &last, &read, &put, err);
        *done += ok ? read : 0;
        *new_ones += ok ? put : 0;
        tell(m, t, *done, all);
    } while (ok && read == GTV_DB_IMPORT_BATCH);
    sqlite3_finalize(rows);
    return ok;
}

// A console that is at work on the server may be further already.
static bool copy_last_event(const struct import *m, struct gtv_error *err)
{
    char from[GTV_DB_EVENT_CAP] = "", to[GTV_DB_EVENT_CAP];
    struct gtv_db_values v = {0};
    if (!read_value(m, "SELECT value FROM meta WHERE key = 'last_event'", NULL, from, sizeof from, err) ||
        !m->to->driver->begin(m->to, err))
        return false;
    gtv_db_give_text(&v, 1, from);
    bool ok =
        gtv_db_last_event(m->to, to, err) && (!from[0] || gtv_db_event_done(from, to) ||
                                              m->to->driver->write(m->to, GTV_DB_SET_EVENT, &v, NULL, err));
    return gtv_db_end(m->to, ok, err);
}

bool gtv_db_import_sqlite(struct gtv_db *to, const char *path, struct gtv_db_imported *out,
                          struct gtv_error *err)
{
    struct import m = {.to = to, .path = path, .told_ms = gtv_mono_ms()};
    int64_t version;
    *out = (struct gtv_db_imported){0};
    bool ok = gtv_db_check(to, err) && open_file(&m, err) && check_version(&m, &version, err) &&
              (version == GTV_DB_SCHEMA_VERSION || bring_up_to_date(path, err)) &&
              copy_table(&m, &tables[0], &out->detections, &out->detections_new, err) &&
              copy_table(&m, &tables[1], &out->happenings, &out->happenings_new, err) &&
              copy_last_event(&m, err);
    sqlite3_close(m.from);
    return ok;
}
