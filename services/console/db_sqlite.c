// SQLite in WAL mode: readers of the file (a backup, sqlite3) do not stop the writer.

#include "lib/base/mem.h"
#include "services/console/db.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    SCHEMA_VERSION = 1,
    BUSY_MS = 5000,
    TRIM_EVERY = 500, // rows stored between two looks at what is too old
};

// COUNT and FIND are four each, in the order of filter_kind: an index serves each of them.
enum statement { INSERT, TRIM, SET_EVENT, GET_EVENT, COUNT, FIND = COUNT + 4, STATEMENTS = FIND + 4 };

struct gtv_db {
    sqlite3 *sql;
    sqlite3_stmt *statements[STATEMENTS];
    int64_t keep_rows;
    int64_t since_trim;
};

static const char *const schema =
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
    "NULL;";

#define COUNT_ROWS "SELECT count(*) FROM detections"
#define FIND_ROWS                                                                                            \
    "SELECT id, camera_id, camera_name, wall_ms, vehicle_type, confidence, plate, x, y, w, h,"               \
    " frame_width, frame_height FROM detections"
#define OF_CAMERA    " WHERE camera_id = ?1"
#define OF_PLATE     " WHERE plate = ?2"
#define OF_BOTH      " WHERE camera_id = ?1 AND plate = ?2"
#define NEWEST_FIRST " ORDER BY wall_ms DESC, id DESC LIMIT ?3 OFFSET ?4"

static const char *const texts[STATEMENTS] = {
    [INSERT] = "INSERT OR IGNORE INTO detections (camera_id, camera_name, wall_ms, vehicle_type, confidence,"
               " plate, x, y, w, h, frame_width, frame_height, event, event_index)"
               " VALUES (?1, ?2, ?3, ?4, ?5, NULLIF(?6, ''), ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [TRIM] =
        "DELETE FROM detections WHERE id <= (SELECT id FROM detections ORDER BY id DESC LIMIT 1 OFFSET ?1)",
    [SET_EVENT] = "INSERT INTO meta (key, value) VALUES ('last_event', ?1)"
                  " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [GET_EVENT] = "SELECT value FROM meta WHERE key = 'last_event'",
    [COUNT] = COUNT_ROWS,
    [COUNT + 1] = COUNT_ROWS OF_CAMERA,
    [COUNT + 2] = COUNT_ROWS OF_PLATE,
    [COUNT + 3] = COUNT_ROWS OF_BOTH,
    [FIND] = FIND_ROWS NEWEST_FIRST,
    [FIND + 1] = FIND_ROWS OF_CAMERA NEWEST_FIRST,
    [FIND + 2] = FIND_ROWS OF_PLATE NEWEST_FIRST,
    [FIND + 3] = FIND_ROWS OF_BOTH NEWEST_FIRST,
};

static bool fail(struct gtv_db *db, const char *doing, struct gtv_error *err)
{
    gtv_error_set(err, GTV_E_IO, NULL, "the database could not %s: %s", doing, sqlite3_errmsg(db->sql));
    return false;
}

static bool run(struct gtv_db *db, const char *text, const char *doing, struct gtv_error *err)
{
    return sqlite3_exec(db->sql, text, NULL, NULL, NULL) == SQLITE_OK || fail(db, doing, err);
}

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

static bool check_version(struct gtv_db *db, struct gtv_error *err)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->sql, "PRAGMA user_version", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW) {
        sqlite3_finalize(s);
        return fail(db, "be opened", err);
    }
    int version = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    if (version > SCHEMA_VERSION) {
        gtv_error_set(err, GTV_E_UNSUPPORTED, "DATABASE_URL",
                      "the database was written by a newer gtv-console (schema %d, this one knows %d)",
                      version, (int)SCHEMA_VERSION);
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
    char version[48];
    sqlite3_snprintf(sizeof version, version, "PRAGMA user_version = %d", (int)SCHEMA_VERSION);
    if (!run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", "be opened", err) ||
        !check_version(db, err) || !run(db, schema, "be set up", err) || !run(db, version, "be set up", err))
        return false;
    for (int i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(db->sql, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL) !=
            SQLITE_OK)
            return fail(db, "be set up", err);
    return true;
}

struct gtv_db *gtv_db_open(const char *url, int64_t keep_rows, struct gtv_error *err)
{
    struct gtv_str s = gtv_str_of(url);
    if (gtv_str_starts(s, GTV_STR("postgresql:")) || gtv_str_starts(s, GTV_STR("postgres:"))) {
        gtv_error_set(err, GTV_E_UNSUPPORTED, "DATABASE_URL",
                      "PostgreSQL is not supported by this version; give sqlite:/path/to/file.db");
        return NULL;
    }
    if (!gtv_str_starts(s, GTV_STR("sqlite:")) || s.n == strlen("sqlite:")) {
        gtv_error_set(err, GTV_E_INVALID, "DATABASE_URL", "DATABASE_URL must be sqlite:/path/to/file.db");
        return NULL;
    }
    const char *path = url + strlen("sqlite:");
    if (strncmp(path, "///", 3) == 0) // sqlite:///var/x.db, as other programs write it
        path += 2;
    make_folders(path);
    struct gtv_db *db = GTV_NEW(struct gtv_db);
    db->keep_rows = keep_rows > 0 ? keep_rows : GTV_DB_KEEP_ROWS;
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
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->sql);
    free(db);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static bool column_copy(sqlite3_stmt *s, int at, char *out, size_t cap)
{
    struct gtv_str text = {(const char *)sqlite3_column_text(s, at), (size_t)sqlite3_column_bytes(s, at)};
    return gtv_str_copy(out, cap, text);
}

// Runs a statement that gives no rows, and makes it ready for the next time.
static bool step(struct gtv_db *db, sqlite3_stmt *s, struct gtv_error *err)
{
    bool ok = sqlite3_step(s) == SQLITE_DONE || fail(db, "write", err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return ok;
}

bool gtv_db_last_event(struct gtv_db *db, char out[GTV_DB_EVENT_CAP], struct gtv_error *err)
{
    sqlite3_stmt *s = db->statements[GET_EVENT];
    out[0] = '\0';
    int rc = sqlite3_step(s);
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE;
    if (!ok)
        (void)fail(db, "be read", err);
    else if (rc == SQLITE_ROW && !column_copy(s, 0, out, GTV_DB_EVENT_CAP))
        out[0] = '\0';
    sqlite3_reset(s);
    return ok;
}

static bool insert(struct gtv_db *db, const struct gtv_db_detection *d, struct gtv_error *err)
{
    sqlite3_stmt *s = db->statements[INSERT];
    sqlite3_bind_int64(s, 1, d->camera_id);
    bind_text(s, 2, d->camera_name);
    sqlite3_bind_int64(s, 3, d->wall_ms);
    bind_text(s, 4, d->object.object_type);
    sqlite3_bind_double(s, 5, d->object.confidence);
    bind_text(s, 6, d->plate);
    sqlite3_bind_int(s, 7, d->object.x);
    sqlite3_bind_int(s, 8, d->object.y);
    sqlite3_bind_int(s, 9, d->object.w);
    sqlite3_bind_int(s, 10, d->object.h);
    sqlite3_bind_int(s, 11, d->frame_width);
    sqlite3_bind_int(s, 12, d->frame_height);
    bind_text(s, 13, d->event);
    sqlite3_bind_int(s, 14, d->event_index);
    return step(db, s, err);
}

static bool trim(struct gtv_db *db, struct gtv_error *err)
{
    sqlite3_bind_int64(db->statements[TRIM], 1, db->keep_rows);
    return step(db, db->statements[TRIM], err);
}

static bool store_all(struct gtv_db *db, const struct gtv_db_detection *rows, size_t n,
                      const char *last_event, bool trim_now, struct gtv_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!insert(db, &rows[i], err))
            return false;
    if (last_event && *last_event) {
        bind_text(db->statements[SET_EVENT], 1, last_event);
        if (!step(db, db->statements[SET_EVENT], err))
            return false;
    }
    return (!trim_now || trim(db, err)) && run(db, "COMMIT", "write", err);
}

bool gtv_db_store(struct gtv_db *db, const struct gtv_db_detection *rows, size_t n, const char *last_event,
                  struct gtv_error *err)
{
    if (!run(db, "BEGIN IMMEDIATE", "write", err))
        return false;
    int64_t since = db->since_trim + (int64_t)n;
    int64_t every = db->keep_rows < TRIM_EVERY ? 1 : TRIM_EVERY;
    bool trim_now = since >= every;
    if (!store_all(db, rows, n, last_event, trim_now, err)) {
        (void)run(db, "ROLLBACK", "write", NULL);
        return false;
    }
    db->since_trim = trim_now ? 0 : since;
    return true;
}

static bool read_row(sqlite3_stmt *s, struct gtv_db_detection *d)
{
    *d = (struct gtv_db_detection){
        .id = sqlite3_column_int64(s, 0),
        .camera_id = sqlite3_column_int64(s, 1),
        .wall_ms = sqlite3_column_int64(s, 3),
        .object = {.confidence = sqlite3_column_double(s, 5),
                   .x = sqlite3_column_int(s, 7),
                   .y = sqlite3_column_int(s, 8),
                   .w = sqlite3_column_int(s, 9),
                   .h = sqlite3_column_int(s, 10)},
        .frame_width = sqlite3_column_int(s, 11),
        .frame_height = sqlite3_column_int(s, 12),
    };
    return column_copy(s, 2, d->camera_name, sizeof d->camera_name) &&
           column_copy(s, 4, d->object.object_type, sizeof d->object.object_type) &&
           column_copy(s, 6, d->plate, sizeof d->plate);
}

static int filter_kind(const struct gtv_db_filter *f)
{
    return (f->camera_id ? 1 : 0) + (f->plate[0] ? 2 : 0);
}

// A statement that does not name a parameter refuses its value, and needs none.
static void bind_filter(sqlite3_stmt *s, const struct gtv_db_filter *f)
{
    sqlite3_bind_int64(s, 1, f->camera_id);
    bind_text(s, 2, f->plate);
}

bool gtv_db_find(struct gtv_db *db, const struct gtv_db_filter *filter, struct gtv_db_detection *rows,
                 size_t *n, int64_t *total, struct gtv_error *err)
{
    int kind = filter_kind(filter);
    sqlite3_stmt *count = db->statements[COUNT + kind], *find = db->statements[FIND + kind];
    *n = 0;
    *total = 0;
    bind_filter(count, filter);
    bool ok = sqlite3_step(count) == SQLITE_ROW || fail(db, "be read", err);
    if (ok)
        *total = sqlite3_column_int64(count, 0);
    sqlite3_reset(count);
    if (!ok)
        return false;
    bind_filter(find, filter);
    sqlite3_bind_int64(find, 3, filter->limit);
    sqlite3_bind_int64(find, 4, filter->offset);
    int rc;
    while ((rc = sqlite3_step(find)) == SQLITE_ROW && *n < (size_t)filter->limit)
        if (read_row(find, &rows[*n])) // a row that somebody else wrote too long is passed over
            ++*n;
    ok = rc == SQLITE_DONE || rc == SQLITE_ROW || fail(db, "be read", err);
    sqlite3_reset(find);
    return ok;
}
