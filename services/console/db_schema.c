// The database file: opening it, bringing it up to date, and what every part of it uses. SQLite in WAL mode:
// readers of the file (a backup, sqlite3) do not stop the writer.

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/console/db_sqlite.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
    BUSY_MS = 5000,
    TRIM_EVERY = 500, // rows stored between two looks at what is too much
    TRIM_EVERY_MS = 600 * 1000,
};

// Step n brings a file of version n to version n + 1.
static const char *const steps[] = {
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS detections ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " camera_id INTEGER NOT NULL,"
    " camera_name TEXT NOT NULL,"
    " wall_ms INTEGER NOT NULL,"
    " vehicle_type TEXT NOT NULL,"
    " confidence REAL NOT NULL,"
    " plate TEXT,"
    " x INTEGER NOT NULL, y INTEGER NOT NULL, w INTEGER NOT NULL, h INTEGER NOT NULL,"
    " frame_width INTEGER NOT NULL, frame_height INTEGER NOT NULL,"
    " event TEXT NOT NULL, event_index INTEGER NOT NULL,"
    " UNIQUE (event, event_index));"
    "CREATE INDEX IF NOT EXISTS detections_time ON detections (wall_ms DESC, id DESC);"
    "CREATE INDEX IF NOT EXISTS detections_camera ON detections (camera_id, wall_ms DESC, id DESC);"
    "CREATE INDEX IF NOT EXISTS detections_plate ON detections (plate, wall_ms DESC) WHERE plate IS NOT "
    "NULL;",
    // Tracks, plates with their key, what happened; what is older than so many days can be told.
    "ALTER TABLE detections ADD COLUMN stored_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE detections ADD COLUMN track INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE detections ADD COLUMN last_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE detections ADD COLUMN plate_key TEXT;"
    "ALTER TABLE detections ADD COLUMN plate_format TEXT;"
    "ALTER TABLE detections ADD COLUMN plate_confidence REAL;"
    "ALTER TABLE detections ADD COLUMN plate_uncertain INTEGER;"
    "ALTER TABLE detections ADD COLUMN plate_votes INTEGER;"
    "ALTER TABLE detections ADD COLUMN crop TEXT;"
    "UPDATE detections SET stored_ms = CAST(strftime('%s', 'now') AS INTEGER) * 1000;"
    "UPDATE detections SET plate_key = gtv_plate_key(plate) WHERE plate IS NOT NULL;"
    "CREATE INDEX detections_plate_key ON detections (plate_key, wall_ms DESC) WHERE plate_key IS NOT NULL;"
    "CREATE TABLE happenings ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " key TEXT NOT NULL UNIQUE,"
    " type TEXT NOT NULL,"
    " camera_id INTEGER NOT NULL,"
    " camera_name TEXT NOT NULL,"
    " wall_ms INTEGER NOT NULL,"
    " stored_ms INTEGER NOT NULL,"
    " track INTEGER NOT NULL,"
    " first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " vehicle_type TEXT NOT NULL,"
    " confidence REAL NOT NULL,"
    " x INTEGER NOT NULL, y INTEGER NOT NULL, w INTEGER NOT NULL, h INTEGER NOT NULL,"
    " frame_width INTEGER NOT NULL, frame_height INTEGER NOT NULL,"
    " place TEXT, place_name TEXT, direction TEXT, forward INTEGER NOT NULL,"
    " seconds REAL NOT NULL, speed_kmh REAL NOT NULL, limit_kmh REAL NOT NULL, degrees REAL NOT NULL,"
    " alert TEXT, list TEXT, label TEXT, severity TEXT, why TEXT,"
    " plate TEXT, plate_key TEXT, plate_format TEXT, plate_confidence REAL, plate_uncertain INTEGER,"
    " plate_votes INTEGER,"
    " crop TEXT);"
    "CREATE INDEX happenings_type ON happenings (type, wall_ms DESC, id DESC);"
    "CREATE INDEX happenings_camera ON happenings (camera_id, wall_ms DESC, id DESC);"
    "CREATE INDEX happenings_time ON happenings (wall_ms DESC, id DESC);"
    "CREATE INDEX happenings_plate_key ON happenings (plate_key, wall_ms DESC) WHERE plate_key IS NOT NULL;",
};

enum { SCHEMA_VERSION = sizeof steps / sizeof *steps };

bool gtv_db_fail(struct gtv_db *db, const char *doing, struct gtv_error *err)
{
    gtv_error_set(err, GTV_E_IO, NULL, "the database could not %s: %s", doing, sqlite3_errmsg(db->sql));
    return false;
}

bool gtv_db_run(struct gtv_db *db, const char *text, const char *doing, struct gtv_error *err)
{
    return sqlite3_exec(db->sql, text, NULL, NULL, NULL) == SQLITE_OK || gtv_db_fail(db, doing, err);
}

void gtv_db_roll_back(struct gtv_db *db)
{
    (void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL); // of none it is refused
}

bool gtv_db_step(struct gtv_db *db, sqlite3_stmt *s, struct gtv_error *err)
{
    bool ok = sqlite3_step(s) == SQLITE_DONE || gtv_db_fail(db, "write", err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return ok;
}

void gtv_db_bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

bool gtv_db_column(sqlite3_stmt *s, int at, char *out, size_t cap)
{
    struct gtv_str text = {(const char *)sqlite3_column_text(s, at), (size_t)sqlite3_column_bytes(s, at)};
    return gtv_str_copy(out, cap, text);
}

// ---- Opening ----

// Makes the folders above the file. Those that exist are fine.
static void make_folders(const char *path)
{
    char *copy = gtv_strdup(path);
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        (void)mkdir(copy, 0750); // what cannot be made shows when the file is opened
        *p = '/';
    }
    free(copy);
}

// gtv_plate_key(text), for the migration of plates that were stored without one.
static void plate_key(sqlite3_context *context, int count, sqlite3_value **values)
{
    char key[GTV_PLATE_KEY_MAX + 1];
    const char *text = (const char *)sqlite3_value_text(values[0]);
    if (count == 1 && text && gtv_plate_key(gtv_str_of(text), key))
        sqlite3_result_text(context, key, -1, SQLITE_TRANSIENT);
    else
        sqlite3_result_null(context);
}

static bool read_version(struct gtv_db *db, int *version, struct gtv_error *err)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db->sql, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW;
    *version = ok ? sqlite3_column_int(s, 0) : 0;
    sqlite3_finalize(s);
    return ok || gtv_db_fail(db, "be opened", err);
}

// Each step and its number in one transaction: a crash leaves the file at the version before it or after it.
static bool migrate(struct gtv_db *db, struct gtv_error *err)
{
    int version;
    if (!read_version(db, &version, err))
        return false;
    if (version > SCHEMA_VERSION) {
        gtv_error_set(err, GTV_E_UNSUPPORTED, "DATABASE_URL",
                      "the database was written by a newer gtv-console (schema %d, this one knows %d)",
                      version, (int)SCHEMA_VERSION);
        return false;
    }
    for (; version < SCHEMA_VERSION; version++) {
        char mark[48];
        sqlite3_snprintf(sizeof mark, mark, "PRAGMA user_version = %d", version + 1);
        if (gtv_db_run(db, "BEGIN IMMEDIATE", "be set up", err) &&
            gtv_db_run(db, steps[version], "be set up", err) && gtv_db_run(db, mark, "be set up", err) &&
            gtv_db_run(db, "COMMIT", "be set up", err))
            continue;
        gtv_db_roll_back(db);
        return false;
    }
    return true;
}

static bool prepare(struct gtv_db *db, const char *path, struct gtv_error *err)
{
    if (sqlite3_open_v2(path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        gtv_error_set(err, GTV_E_IO, "DATABASE_URL", "the database %.120s cannot be opened: %s", path,
                      db->sql ? sqlite3_errmsg(db->sql) : "no memory");
        return false;
    }
    sqlite3_busy_timeout(db->sql, BUSY_MS);
    if (sqlite3_create_function(db->sql, "gtv_plate_key", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                plate_key, NULL, NULL) != SQLITE_OK)
        return gtv_db_fail(db, "be set up", err);
    if (!gtv_db_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", "be opened", err) ||
        !migrate(db, err))
        return false;
    for (int i = 0; i < GTV_DB_STATEMENTS; i++)
        if (sqlite3_prepare_v3(db->sql, gtv_db_statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[i], NULL) != SQLITE_OK)
            return gtv_db_fail(db, "be set up", err);
    return true;
}

bool gtv_db_url_ok(const char *url, struct gtv_error *err)
{
    struct gtv_str s = gtv_str_of(url);
    if (gtv_str_starts(s, GTV_STR("postgresql:")) || gtv_str_starts(s, GTV_STR("postgres:"))) {
        gtv_error_set(
            err, GTV_E_UNSUPPORTED, "DATABASE_URL",
            "DATABASE_URL: PostgreSQL is not supported by this version; give sqlite:/path/to/file.db");
        return false;
    }
    if (!gtv_str_starts(s, GTV_STR("sqlite:")) || s.n == strlen("sqlite:")) {
        gtv_error_set(err, GTV_E_INVALID, "DATABASE_URL", "DATABASE_URL must be sqlite:/path/to/file.db");
        return false;
    }
    return true;
}

static int64_t or_default(int64_t limit, int64_t otherwise)
{
    return limit > 0 ? limit : otherwise;
}

void gtv_db_set_limits(struct gtv_db *db, const struct gtv_db_limits *limits)
{
    __atomic_store_n(&db->limits.rows, or_default(limits->rows, GTV_DB_KEEP_ROWS), __ATOMIC_RELAXED);
    __atomic_store_n(&db->limits.happenings, or_default(limits->happenings, GTV_DB_KEEP_HAPPENINGS),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&db->limits.days, or_default(limits->days, GTV_DB_KEEP_DAYS), __ATOMIC_RELAXED);
}

struct gtv_db *gtv_db_open(const char *url, const struct gtv_db_limits *limits, struct gtv_error *err)
{
    if (!gtv_db_url_ok(url, err))
        return NULL;
    const char *path = url + strlen("sqlite:");
    if (strncmp(path, "///", 3) == 0) // sqlite:///var/x.db, as other programs write it
        path += 2;
    make_folders(path);
    struct gtv_db *db = GTV_NEW(struct gtv_db);
    gtv_db_set_limits(db, limits ? limits : &(struct gtv_db_limits){0});
    if (!prepare(db, path, err)) {
        gtv_db_close(db);
        return NULL;
    }
    return db;
}

void gtv_db_close(struct gtv_db *db)
{
    if (!db)
        return;
    for (int i = 0; i < GTV_DB_STATEMENTS; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->sql);
    free(db);
}

// ---- What is too much or too old ----

static bool trim_by(struct gtv_db *db, enum gtv_db_statement what, int64_t limit, struct gtv_error *err)
{
    sqlite3_bind_int64(db->statements[what], 1, limit);
    sqlite3_bind_int64(db->statements[what], 2, GTV_DB_TRIM_MAX);
    return gtv_db_step(db, db->statements[what], err);
}

bool gtv_db_trim(struct gtv_db *db, size_t n, struct gtv_error *err)
{
    const struct gtv_db_limits limits = {.rows = __atomic_load_n(&db->limits.rows, __ATOMIC_RELAXED),
                                         .happenings =
                                             __atomic_load_n(&db->limits.happenings, __ATOMIC_RELAXED),
                                         .days = __atomic_load_n(&db->limits.days, __ATOMIC_RELAXED)};
    const struct gtv_db_limits *l = &limits;
    int64_t now = gtv_mono_ms(), oldest = gtv_wall_ms() - l->days * 86400000;
    int64_t every = l->rows < TRIM_EVERY || l->happenings < TRIM_EVERY ? 1 : TRIM_EVERY;
    db->since_trim += (int64_t)n;
    if (db->since_trim < every && now - db->trimmed_ms < TRIM_EVERY_MS)
        return true;
    db->since_trim = 0;
    db->trimmed_ms = now;
    return trim_by(db, GTV_DB_TRIM, l->rows, err) && trim_by(db, GTV_DB_TRIM_OLD, oldest, err) &&
           trim_by(db, GTV_DB_TRIM_TOLD, l->happenings, err) &&
           trim_by(db, GTV_DB_TRIM_TOLD_OLD, oldest, err);
}

// ---- Questions ----

void gtv_db_ask(struct gtv_db_question *q, struct gtv_db *db, const char *text)
{
    q->db = db;
    q->none = false;
    sqlite3_snprintf(sizeof q->text, q->text, "%s", text);
}

void gtv_db_ask_if(struct gtv_db_question *q, bool wanted, const char *part)
{
    size_t n = strlen(q->text);
    if (wanted)
        sqlite3_snprintf((int)(sizeof q->text - n), q->text + n, "%s", part);
}

void gtv_db_ask_plate(struct gtv_db_question *q, const char *pattern, struct gtv_db_plate_search *out)
{
    *out = (struct gtv_db_plate_search){.wanted = pattern[0] != '\0'};
    if (!out->wanted)
        return;
    if (pattern[strspn(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789*?")]) {
        q->none = true; // no plate has other signs, and some mean something to GLOB
        return;
    }
    out->wild = strpbrk(pattern, "*?") != NULL;
    if (!out->wild) {
        q->none = !gtv_plate_key(gtv_str_of(pattern), out->key);
        gtv_db_ask_if(q, true, " AND plate_key = :plate_key");
        return;
    }
    sqlite3_snprintf(sizeof out->text, out->text, "%s", pattern);
    sqlite3_snprintf(sizeof out->key, out->key, "%s", pattern);
    // Of a Mercosul pattern, the old form: where the fifth sign is certain, and stands behind a digit.
    char *k = out->key;
    if (strlen(k) >= 5 && strcspn(k, "*") >= 5 && (k[3] == '?' || (k[3] >= '0' && k[3] <= '9')) &&
        k[4] >= 'A' && k[4] <= 'J')
        k[4] = (char)(k[4] - 'A' + '0');
    gtv_db_ask_if(q, true, " AND plate IS NOT NULL AND (plate GLOB :plate OR plate_key GLOB :plate_key)");
}

sqlite3_stmt *gtv_db_prepare(struct gtv_db_question *q, struct gtv_error *err)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(q->db->sql, q->text, -1, &s, NULL) != SQLITE_OK)
        (void)gtv_db_fail(q->db, "be read", err);
    return s;
}

void gtv_db_give_int(sqlite3_stmt *s, const char *name, int64_t value)
{
    sqlite3_bind_int64(s, sqlite3_bind_parameter_index(s, name), value); // of no parameter: refused
}

void gtv_db_give_text(sqlite3_stmt *s, const char *name, const char *value)
{
    gtv_db_bind_text(s, sqlite3_bind_parameter_index(s, name), value);
}

void gtv_db_give_plate(sqlite3_stmt *s, const struct gtv_db_plate_search *p)
{
    sqlite3_bind_text(s, sqlite3_bind_parameter_index(s, ":plate"), p->text, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s, sqlite3_bind_parameter_index(s, ":plate_key"), p->key, -1, SQLITE_TRANSIENT);
}

bool gtv_db_read_total(struct gtv_db *db, sqlite3_stmt *s, int64_t *total, struct gtv_error *err)
{
    bool ok = sqlite3_step(s) == SQLITE_ROW || gtv_db_fail(db, "be read", err);
    if (ok)
        *total = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return ok;
}
