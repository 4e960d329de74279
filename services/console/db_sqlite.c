// Detections in SQLite, and the texts of all statements.

#include "services/console/db_sqlite.h"
#include "lib/base/clock.h"

#define INSERT_TRACK                                                                                         \
    "INSERT INTO detections (camera_id, camera_name, wall_ms, vehicle_type, confidence, plate, x, y, w, h,"  \
    " frame_width, frame_height, event, event_index, stored_ms, track, last_ms, plate_key, plate_format,"    \
    " plate_confidence, plate_uncertain, plate_votes, crop) VALUES (?1, ?2, ?3, ?4, ?5, NULLIF(?6, ''), ?7," \
    " ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, NULLIF(?18, ''), NULLIF(?19, ''), ?20, ?21, ?22,"      \
    " NULLIF(?23, '')) ON CONFLICT (event, event_index) DO "

const char *const gtv_db_statement_texts[GTV_DB_STATEMENTS] = {
    [GTV_DB_INSERT] = INSERT_TRACK "NOTHING",
    [GTV_DB_TRIM] = "DELETE FROM detections WHERE id IN (SELECT id FROM detections WHERE id <= (SELECT id "
                    "FROM detections ORDER BY id DESC LIMIT 1 OFFSET ?1) ORDER BY id LIMIT ?2)",
    // Ids rise with the time of storing: the oldest stand first, and one look at them is enough.
    [GTV_DB_TRIM_OLD] = "DELETE FROM detections WHERE stored_ms < ?1 AND id IN (SELECT id FROM detections "
                        "ORDER BY id LIMIT ?2)",
    [GTV_DB_SET_EVENT] = "INSERT INTO meta (key, value) VALUES ('last_event', ?1)"
                         " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [GTV_DB_GET_EVENT] = "SELECT value FROM meta WHERE key = 'last_event'",
    [GTV_DB_TELL] =
        "INSERT OR IGNORE INTO happenings (key, type, camera_id, camera_name, wall_ms, stored_ms, track,"
        " first_ms, last_ms, vehicle_type, confidence, x, y, w, h, frame_width, frame_height, place,"
        " place_name, direction, forward, seconds, speed_kmh, limit_kmh, degrees, alert, list, label,"
        " severity, why, plate, plate_key, plate_format, plate_confidence, plate_uncertain, plate_votes,"
        " crop) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
        " NULLIF(?18, ''), NULLIF(?19, ''), NULLIF(?20, ''), ?21, ?22, ?23, ?24, ?25, NULLIF(?26, ''),"
        " NULLIF(?27, ''), NULLIF(?28, ''), NULLIF(?29, ''), NULLIF(?30, ''), NULLIF(?31, ''),"
        " NULLIF(?32, ''), NULLIF(?33, ''), ?34, ?35, ?36, NULLIF(?37, ''))",
    [GTV_DB_TRACK_BEGAN] = INSERT_TRACK "NOTHING",
    [GTV_DB_TRACK_OVER] =
        INSERT_TRACK "UPDATE SET vehicle_type = excluded.vehicle_type, confidence = excluded.confidence,"
                     " last_ms = excluded.last_ms, crop = coalesce(excluded.crop, crop),"
                     " x = excluded.x, y = excluded.y, w = excluded.w, h = excluded.h,"
                     " frame_width = excluded.frame_width, frame_height = excluded.frame_height",
    [GTV_DB_TRACK_PLATE] =
        INSERT_TRACK "UPDATE SET plate = excluded.plate, plate_key = excluded.plate_key,"
                     " plate_format = excluded.plate_format, plate_confidence = excluded.plate_confidence,"
                     " plate_uncertain = excluded.plate_uncertain, plate_votes = excluded.plate_votes,"
                     " crop = coalesce(excluded.crop, crop)",
    [GTV_DB_TRIM_TOLD] = "DELETE FROM happenings WHERE id IN (SELECT id FROM happenings WHERE id <= (SELECT "
                         "id FROM happenings ORDER BY id DESC LIMIT 1 OFFSET ?1) ORDER BY id LIMIT ?2)",
    [GTV_DB_TRIM_TOLD_OLD] = "DELETE FROM happenings WHERE stored_ms < ?1 AND id IN (SELECT id FROM "
                             "happenings ORDER BY id LIMIT ?2)",
};

bool gtv_db_last_event(struct gtv_db *db, char out[GTV_DB_EVENT_CAP], struct gtv_error *err)
{
    sqlite3_stmt *s = db->statements[GTV_DB_GET_EVENT];
    out[0] = '\0';
    int rc = sqlite3_step(s);
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE;
    if (!ok)
        (void)gtv_db_fail(db, "be read", err);
    else if (rc == SQLITE_ROW && !gtv_db_column(s, 0, out, GTV_DB_EVENT_CAP))
        out[0] = '\0';
    sqlite3_reset(s);
    return ok;
}

void gtv_db_bind_box(sqlite3_stmt *s, int at, const struct gtv_detected *d, int width, int height)
{
    const int box[] = {d->x, d->y, d->w, d->h, width, height};
    for (int i = 0; i < (int)(sizeof box / sizeof *box); i++)
        sqlite3_bind_int(s, at + i, box[i]);
}

static void bind_plate(sqlite3_stmt *s, const struct gtv_db_detection *d, const char *key)
{
    gtv_db_bind_text(s, 6, d->plate);
    gtv_db_bind_text(s, 18, key);
    if (!d->read.format[0])
        return; // a plate of which only the text is known
    gtv_db_bind_text(s, 19, d->read.format);
    sqlite3_bind_double(s, 20, d->read.confidence);
    sqlite3_bind_int(s, 21, d->read.uncertain);
    sqlite3_bind_int64(s, 22, d->read.votes);
}

bool gtv_db_put_detection(struct gtv_db *db, enum gtv_db_statement how, const struct gtv_db_detection *d,
                          struct gtv_error *err)
{
    sqlite3_stmt *s = db->statements[how];
    char key[GTV_PLATE_KEY_MAX + 1];
    (void)!gtv_plate_key(gtv_str_of(d->plate), key);
    sqlite3_bind_int64(s, 1, d->camera_id);
    gtv_db_bind_text(s, 2, d->camera_name);
    sqlite3_bind_int64(s, 3, d->wall_ms);
    gtv_db_bind_text(s, 4, d->object.object_type);
    sqlite3_bind_double(s, 5, d->object.confidence);
    bind_plate(s, d, key);
    gtv_db_bind_box(s, 7, &d->object, d->frame_width, d->frame_height);
    gtv_db_bind_text(s, 13, d->event);
    sqlite3_bind_int(s, 14, d->event_index);
    sqlite3_bind_int64(s, 15, gtv_wall_ms());
    sqlite3_bind_int64(s, 16, d->track);
    sqlite3_bind_int64(s, 17, d->last_ms);
    gtv_db_bind_text(s, 23, d->crop);
    return gtv_db_step(db, s, err);
}

static bool store_all(struct gtv_db *db, const struct gtv_db_detection *rows, size_t n,
                      const char *last_event, struct gtv_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!gtv_db_put_detection(db, GTV_DB_INSERT, &rows[i], err))
            return false;
    if (last_event && *last_event) {
        gtv_db_bind_text(db->statements[GTV_DB_SET_EVENT], 1, last_event);
        if (!gtv_db_step(db, db->statements[GTV_DB_SET_EVENT], err))
            return false;
    }
    return gtv_db_trim(db, n, err) && gtv_db_run(db, "COMMIT", "write", err);
}

bool gtv_db_store(struct gtv_db *db, const struct gtv_db_detection *rows, size_t n, const char *last_event,
                  struct gtv_error *err)
{
    if (!gtv_db_run(db, "BEGIN IMMEDIATE", "write", err))
        return false;
    if (store_all(db, rows, n, last_event, err))
        return true;
    gtv_db_roll_back(db);
    return false;
}

// ---- Finding ----

#define COLUMNS                                                                                              \
    "SELECT id, camera_id, camera_name, wall_ms, vehicle_type, confidence, plate, x, y, w, h, frame_width,"  \
    " frame_height, track, last_ms, plate_key, plate_format, plate_confidence, plate_uncertain, "            \
    "plate_votes,"                                                                                           \
    " crop FROM detections WHERE 1"

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
        .track = sqlite3_column_int64(s, 13),
        .last_ms = sqlite3_column_int64(s, 14),
        .read = {.confidence = sqlite3_column_double(s, 17),
                 .uncertain = sqlite3_column_int(s, 18) != 0,
                 .votes = sqlite3_column_int64(s, 19)},
    };
    return gtv_db_column(s, 2, d->camera_name, sizeof d->camera_name) &&
           gtv_db_column(s, 4, d->object.object_type, sizeof d->object.object_type) &&
           gtv_db_column(s, 6, d->plate, sizeof d->plate) &&
           gtv_db_column(s, 6, d->read.text, sizeof d->read.text) &&
           gtv_db_column(s, 15, d->read.key, sizeof d->read.key) &&
           gtv_db_column(s, 16, d->read.format, sizeof d->read.format) &&
           gtv_db_column(s, 20, d->crop, sizeof d->crop);
}

static sqlite3_stmt *ask(struct gtv_db *db, const char *what, const char *order,
                         const struct gtv_db_filter *f, bool *none, struct gtv_error *err)
{
    struct gtv_db_question q;
    struct gtv_db_plate_search plate;
    gtv_db_ask(&q, db, what);
    gtv_db_ask_if(&q, f->camera_id != 0, " AND camera_id = :camera");
    gtv_db_ask_if(&q, f->vehicle_type[0], " AND vehicle_type = :type");
    gtv_db_ask_if(&q, f->from_ms != 0, " AND wall_ms >= :from");
    gtv_db_ask_if(&q, f->to_ms != 0, " AND wall_ms < :to");
    gtv_db_ask_plate(&q, f->plate, &plate);
    gtv_db_ask_if(&q, true, order);
    *none = q.none;
    sqlite3_stmt *s = q.none ? NULL : gtv_db_prepare(&q, err);
    if (!s)
        return NULL;
    gtv_db_give_int(s, ":camera", f->camera_id);
    gtv_db_give_plate(s, &plate);
    gtv_db_give_text(s, ":type", f->vehicle_type);
    gtv_db_give_int(s, ":from", f->from_ms);
    gtv_db_give_int(s, ":to", f->to_ms);
    gtv_db_give_int(s, ":limit", f->limit);
    gtv_db_give_int(s, ":offset", f->offset);
    return s;
}

bool gtv_db_find(struct gtv_db *db, const struct gtv_db_filter *filter, struct gtv_db_detection *rows,
                 size_t *n, int64_t *total, struct gtv_error *err)
{
    bool none;
    *n = 0;
    *total = 0;
    sqlite3_stmt *s = ask(db, "SELECT count(*) FROM detections WHERE 1", "", filter, &none, err);
    if (!s)
        return none;
    bool ok = gtv_db_read_total(db, s, total, err);
    s = ok ? ask(db, COLUMNS, " ORDER BY wall_ms DESC, id DESC LIMIT :limit OFFSET :offset", filter, &none,
                 err)
           : NULL;
    if (!s)
        return false;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && *n < (size_t)filter->limit)
        if (read_row(s, &rows[*n])) // a row that somebody else wrote too long is passed over
            ++*n;
    ok = rc == SQLITE_DONE || rc == SQLITE_ROW || gtv_db_fail(db, "be read", err);
    sqlite3_finalize(s);
    return ok;
}
