// SQLite: opening the file, bringing it up to date, running statements. In WAL mode: readers of the file (a
// backup, sqlite3) do not stop the writer.

#include "lib/base/mem.h"
#include "services/console/db_driver.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { BUSY_MS = 5000 };

struct sqlite {
    struct gtv_db db;
    sqlite3 *sql;
    sqlite3_stmt *statements[GTV_DB_STATEMENTS];
    sqlite3_stmt *question; // NULL when none is asked
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
    " UNIQUE (event, event_index));" GTV_DB_DETECTION_INDEXES,
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
    "UPDATE detections SET plate_key = gtv_plate_key(plate) WHERE plate IS NOT "
    "NULL;" GTV_DB_DETECTION_KEY_INDEX GTV_DB_HAPPENINGS_TABLE("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER",
                                                               "REAL", "TEXT") GTV_DB_HAPPENING_INDEXES,
    GTV_DB_STORED_INDEXES,
};

_Static_assert(sizeof steps / sizeof *steps == GTV_DB_SCHEMA_VERSION, "a step for each version");

static bool fail(struct sqlite *db, const char *doing, struct gtv_error *err)
{
    gtv_error_set(err, GTV_E_IO, NULL, "the database could not %s: %s", doing, sqlite3_errmsg(db->sql));
    return false;
}

static bool run(struct sqlite *db, const char *text, const char *doing, struct gtv_error *err)
{
    return sqlite3_exec(db->sql, text, NULL, NULL, NULL) == SQLITE_OK || fail(db, doing, err);
}

// ---- Statements ----

static bool begin(struct gtv_db *db, struct gtv_error *err)
{
    return run((struct sqlite *)db, "BEGIN IMMEDIATE", "write", err);
}

static bool commit(struct gtv_db *db, struct gtv_error *err)
{
    return run((struct sqlite *)db, "COMMIT", "write", err);
}

static void roll_back(struct gtv_db *db)
{
    (void)sqlite3_exec(((struct sqlite *)db)->sql, "ROLLBACK", NULL, NULL, NULL); // of none it is refused
}

static void bind_values(sqlite3_stmt *s, const struct gtv_db_values *values)
{
    for (int i = 0; i < values->count; i++) {
        const struct gtv_db_value *v = &values->at[i];
        if (v->kind == GTV_DB_WHOLE)
            sqlite3_bind_int64(s, i + 1, v->whole);
        else if (v->kind == GTV_DB_REAL)
            sqlite3_bind_double(s, i + 1, v->real);
        else if (v->kind == GTV_DB_TEXT)
            sqlite3_bind_text(s, i + 1, v->text, -1, SQLITE_STATIC);
    }
}

static bool write_one(struct gtv_db *base, enum gtv_db_statement what, const struct gtv_db_values *values,
                      bool *changed, struct gtv_error *err)
{
    struct sqlite *db = (struct sqlite *)base;
    sqlite3_stmt *s = db->statements[what];
    bind_values(s, values);
    bool ok = sqlite3_step(s) == SQLITE_DONE || fail(db, "write", err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    if (ok && changed)
        *changed = sqlite3_changes(db->sql) > 0;
    return ok;
}

static bool ask(struct gtv_db *base, const char *text, const struct gtv_db_values *values,
                struct gtv_error *err)
{
    struct sqlite *db = (struct sqlite *)base;
    if (sqlite3_prepare_v2(db->sql, text, -1, &db->question, NULL) != SQLITE_OK)
        return fail(db, "be read", err);
    bind_values(db->question, values);
    return true;
}

static enum gtv_db_step next(struct gtv_db *base, struct gtv_error *err)
{
    struct sqlite *db = (struct sqlite *)base;
    int rc = sqlite3_step(db->question);
    if (rc == SQLITE_ROW)
        return GTV_DB_ROW;
    if (rc == SQLITE_DONE)
        return GTV_DB_END;
    (void)fail(db, "be read", err);
    return GTV_DB_FAILED;
}

static int64_t whole(struct gtv_db *db, int at)
{
    return sqlite3_column_int64(((struct sqlite *)db)->question, at);
}

static double real(struct gtv_db *db, int at)
{
    return sqlite3_column_double(((struct sqlite *)db)->question, at);
}

static struct gtv_str text(struct gtv_db *db, int at)
{
    sqlite3_stmt *s = ((struct sqlite *)db)->question;
    const char *p = (const char *)sqlite3_column_text(s, at);
    return (struct gtv_str){p, (size_t)sqlite3_column_bytes(s, at)};
}

static void done(struct gtv_db *db)
{
    sqlite3_finalize(((struct sqlite *)db)->question);
    ((struct sqlite *)db)->question = NULL;
}

static void close_it(struct gtv_db *base)
{
    struct sqlite *db = (struct sqlite *)base;
    for (int i = 0; i < GTV_DB_STATEMENTS; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->sql);
    free(db);
}

static const struct gtv_db_driver driver = {
    .like = "GLOB",
    .any = '*',
    .one = '?',
    .begin = begin,
    .commit = commit,
    .roll_back = roll_back,
    .write = write_one,
    .ask = ask,
    .next = next,
    .whole = whole,
    .real = real,
    .text = text,
    .done = done,
    .close = close_it,
};

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

static bool read_version(struct sqlite *db, int *version, struct gtv_error *err)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db->sql, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW;
    *version = ok ? sqlite3_column_int(s, 0) : 0;
    sqlite3_finalize(s);
    return ok || fail(db, "be opened", err);
}

// Each step and its number in one transaction: a crash leaves the file at the version before it or after it.
static bool migrate(struct sqlite *db, struct gtv_error *err)
{
    int version;
    if (!read_version(db, &version, err))
        return false;
    if (version > GTV_DB_SCHEMA_VERSION) {
        gtv_error_set(err, GTV_E_UNSUPPORTED, "DATABASE_URL",
                      "the database was written by a newer gtv-console (schema %d, this one knows %d)",
                      version, (int)GTV_DB_SCHEMA_VERSION);
        return false;
    }
    for (; version < GTV_DB_SCHEMA_VERSION; version++) {
        char mark[48];
        sqlite3_snprintf(sizeof mark, mark, "PRAGMA user_version = %d", version + 1);
        if (run(db, "BEGIN IMMEDIATE", "be set up", err) && run(db, steps[version], "be set up", err) &&
            run(db, mark, "be set up", err) && run(db, "COMMIT", "be set up", err))
            continue;
        roll_back(&db->db);
        return false;
    }
    return true;
}

static bool prepare(struct sqlite *db, const char *path, struct gtv_error *err)
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
        return fail(db, "be set up", err);
    if (!run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", "be opened", err) ||
        !migrate(db, err))
        return false;
    for (int i = 0; i < GTV_DB_STATEMENTS; i++)
        if (sqlite3_prepare_v3(db->sql, gtv_db_statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[i], NULL) != SQLITE_OK)
            return fail(db, "be set up", err);
    return true;
}

struct gtv_db *gtv_db_open_sqlite(const char *path, struct gtv_error *err)
{
    if (strncmp(path, "///", 3) == 0) // sqlite:///var/x.db, as other programs write it
        path += 2;
    make_folders(path);
    struct sqlite *db = GTV_NEW(struct sqlite);
    db->db.driver = &driver;
    if (!prepare(db, path, err)) {
        close_it(&db->db);
        return NULL;
    }
    return &db->db;
}
