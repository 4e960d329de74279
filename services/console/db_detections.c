// Detections, and the texts of all statements that write.

#include "lib/base/clock.h"
#include "lib/contract/event_id.h"
#include "services/console/db_driver.h"

#define INSERT_TRACK                                                                                         \
    "INSERT INTO detections (" GTV_DB_DETECTION_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, NULLIF(?6, ''), ?7,"  \
    " ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, NULLIF(?18, ''), NULLIF(?19, ''), ?20, ?21, ?22,"      \
    " NULLIF(?23, '')) ON CONFLICT (event, event_index) DO "

#define FIRST_MOMENT                                                                                         \
    "wall_ms = CASE WHEN excluded.wall_ms < detections.wall_ms THEN excluded.wall_ms"                        \
    " ELSE detections.wall_ms END"

// The oldest first. ?1: how many may stay; ?2: how many go at the most.
#define TRIM_BY_COUNT(TABLE)                                                                                 \
    "DELETE FROM " TABLE " WHERE id IN (SELECT id FROM " TABLE                                               \
    " WHERE (stored_ms, id) <= (SELECT stored_ms,"                                                           \
    " id FROM " TABLE                                                                                        \
    " ORDER BY stored_ms DESC, id DESC LIMIT 1 OFFSET ?1) ORDER BY stored_ms, id LIMIT ?2)"
// ?1: what was stored before it goes.
#define TRIM_BY_AGE(TABLE)                                                                                   \
    "DELETE FROM " TABLE " WHERE id IN (SELECT id FROM " TABLE                                               \
    " WHERE stored_ms < ?1 ORDER BY stored_ms, id"                                                           \
    " LIMIT ?2)"

const char *const gtv_db_statement_texts[GTV_DB_STATEMENTS] = {
    [GTV_DB_INSERT] = INSERT_TRACK "NOTHING",
    [GTV_DB_TRIM] = TRIM_BY_COUNT("detections"),
    [GTV_DB_TRIM_OLD] = TRIM_BY_AGE("detections"),
    [GTV_DB_SET_EVENT] = "INSERT INTO meta (key, value) VALUES ('last_event', ?1)"
                         " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [GTV_DB_TELL] =
        "INSERT INTO happenings (" GTV_DB_HAPPENING_COLUMNS
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
        " NULLIF(?18, ''), NULLIF(?19, ''), NULLIF(?20, ''), ?21, ?22, ?23, ?24, ?25, NULLIF(?26, ''),"
        " NULLIF(?27, ''), NULLIF(?28, ''), NULLIF(?29, ''), NULLIF(?30, ''), NULLIF(?31, ''),"
        " NULLIF(?32, ''), NULLIF(?33, ''), ?34, ?35, ?36, NULLIF(?37, '')) ON CONFLICT (key) DO NOTHING",
    // The three of a track make the same row in whichever order they come: of two consoles each may have
    // some.
    [GTV_DB_TRACK_BEGAN] = INSERT_TRACK "UPDATE SET " FIRST_MOMENT,
    [GTV_DB_TRACK_OVER] =
        INSERT_TRACK "UPDATE SET vehicle_type = excluded.vehicle_type, confidence = excluded.confidence,"
                     " last_ms = excluded.last_ms, crop = coalesce(excluded.crop, detections.crop),"
                     " x = excluded.x, y = excluded.y, w = excluded.w, h = excluded.h,"
                     " frame_width = excluded.frame_width, frame_height = excluded.frame_height,"
                     " " FIRST_MOMENT,
    // A track that is over (it has a last moment) has the best picture of it already.
    [GTV_DB_TRACK_PLATE] =
        INSERT_TRACK "UPDATE SET plate = excluded.plate, plate_key = excluded.plate_key,"
                     " plate_format = excluded.plate_format, plate_confidence = excluded.plate_confidence,"
                     " plate_uncertain = excluded.plate_uncertain, plate_votes = excluded.plate_votes,"
                     " crop = CASE WHEN detections.last_ms > 0 THEN coalesce(detections.crop, excluded.crop)"
                     " ELSE coalesce(excluded.crop, detections.crop) END, " FIRST_MOMENT,
    [GTV_DB_TRIM_TOLD] = TRIM_BY_COUNT("happenings"),
    [GTV_DB_TRIM_TOLD_OLD] = TRIM_BY_AGE("happenings"),
};

bool gtv_db_last_event(struct gtv_db *db, char out[GTV_DB_EVENT_CAP], struct gtv_error *err)
{
    struct gtv_db_question q;
    out[0] = '\0';
    gtv_db_ask(&q, db, "SELECT value FROM meta WHERE key = 'last_event'");
    if (!gtv_db_start(&q, err))
        return false;
    enum gtv_db_step step = db->driver->next(db, err);
    if (step == GTV_DB_ROW && !gtv_db_column(db, 0, out, GTV_DB_EVENT_CAP))
        out[0] = '\0';
    db->driver->done(db);
    return step != GTV_DB_FAILED;
}

bool gtv_db_put_detection(struct gtv_db *db, enum gtv_db_statement how, const struct gtv_db_detection *d,
                          struct gtv_error *err)
{
    struct gtv_db_values v = {0};
    char key[GTV_PLATE_KEY_MAX + 1];
    (void)!gtv_plate_key(gtv_str_of(d->plate), key);
    gtv_db_give_int(&v, 1, d->camera_id);
    gtv_db_give_text(&v, 2, d->camera_name);
    gtv_db_give_int(&v, 3, d->wall_ms);
    gtv_db_give_text(&v, 4, d->object.object_type);
    gtv_db_give_real(&v, 5, d->object.confidence);
    gtv_db_give_text(&v, 6, d->plate);
    gtv_db_give_box(&v, 7, &d->object, d->frame_width, d->frame_height);
    gtv_db_give_text(&v, 13, d->event);
    gtv_db_give_int(&v, 14, d->event_index);
    gtv_db_give_int(&v, 15, gtv_wall_ms());
    gtv_db_give_int(&v, 16, d->track);
    gtv_db_give_int(&v, 17, d->last_ms);
    gtv_db_give_text(&v, 18, key);
    if (d->read.format[0]) { // else a plate of which only the text is known
        gtv_db_give_text(&v, 19, d->read.format);
        gtv_db_give_real(&v, 20, d->read.confidence);
        gtv_db_give_int(&v, 21, d->read.uncertain);
        gtv_db_give_int(&v, 22, d->read.votes);
    }
    gtv_db_give_text(&v, 23, d->crop);
    return db->driver->write(db, how, &v, NULL, err);
}

bool gtv_db_event_done(const char *event, const char *last)
{
    struct gtv_event_id a, b;
    return gtv_event_id_parse(gtv_str_of(event), &a) && gtv_event_id_parse(gtv_str_of(last), &b) &&
           gtv_event_id_cmp(a, b) <= 0;
}

static bool store_all(struct gtv_db *db, const struct gtv_db_detection *rows, size_t n,
                      const char *last_event, struct gtv_db_stand *stand, struct gtv_error *err)
{
    enum gtv_db_lead lead = GTV_DB_LEADS;
    if (db->driver->lead && !db->driver->lead(db, &lead, err))
        return false;
    stand->leads = lead != GTV_DB_FOLLOWS;
    if (lead != GTV_DB_LEADS && !gtv_db_last_event(db, stand->event, err))
        return false;
    if (lead == GTV_DB_FOLLOWS)
        return true;
    for (size_t i = 0; i < n; i++)
        if (!gtv_db_event_done(rows[i].event, stand->event) &&
            !gtv_db_put_detection(db, GTV_DB_INSERT, &rows[i], err))
            return false;
    if (last_event && *last_event && !gtv_db_event_done(last_event, stand->event)) {
        struct gtv_db_values v = {0};
        gtv_db_give_text(&v, 1, last_event);
        if (!db->driver->write(db, GTV_DB_SET_EVENT, &v, NULL, err))
            return false;
    }
    return gtv_db_trim(db, n, err);
}

bool gtv_db_store(struct gtv_db *db, const struct gtv_db_detection *rows, size_t n, const char *last_event,
                  struct gtv_db_stand *stand, struct gtv_error *err)
{
    struct gtv_db_stand nobody = {0};
    stand = stand ? stand : &nobody;
    *stand = (struct gtv_db_stand){0};
    return db->driver->begin(db, err) && gtv_db_end(db, store_all(db, rows, n, last_event, stand, err), err);
}

// ---- Finding ----

#define COLUMNS                                                                                              \
    "SELECT id, camera_id, camera_name, wall_ms, vehicle_type, confidence, plate, x, y, w, h, frame_width,"  \
    " frame_height, track, last_ms, plate_key, plate_format, plate_confidence, plate_uncertain, "            \
    "plate_votes,"                                                                                           \
    " crop FROM detections WHERE 1 = 1"

static bool read_row(struct gtv_db *db, void *rows, size_t at)
{
    const struct gtv_db_driver *driver = db->driver;
    struct gtv_db_detection *d = (struct gtv_db_detection *)rows + at;
    *d = (struct gtv_db_detection){
        .id = driver->whole(db, 0),
        .camera_id = driver->whole(db, 1),
        .wall_ms = driver->whole(db, 3),
        .object = {.confidence = driver->real(db, 5)},
        .track = driver->whole(db, 13),
        .last_ms = driver->whole(db, 14),
    };
    gtv_db_column_box(db, 7, &d->object, &d->frame_width, &d->frame_height);
    gtv_db_column_reading(db, 17, &d->read);
    return gtv_db_column(db, 2, d->camera_name, sizeof d->camera_name) &&
           gtv_db_column(db, 4, d->object.object_type, sizeof d->object.object_type) &&
           gtv_db_column(db, 6, d->plate, sizeof d->plate) &&
           gtv_db_column(db, 6, d->read.text, sizeof d->read.text) &&
           gtv_db_column(db, 15, d->read.key, sizeof d->read.key) &&
           gtv_db_column(db, 16, d->read.format, sizeof d->read.format) &&
           gtv_db_column(db, 20, d->crop, sizeof d->crop);
}

static void ask(struct gtv_db_question *q, struct gtv_db *db, const char *what, const struct gtv_db_filter *f)
{
    gtv_db_ask(q, db, what);
    gtv_db_ask_int(q, f->camera_id != 0, " AND camera_id = ", f->camera_id);
    gtv_db_ask_text(q, " AND vehicle_type = ", f->vehicle_type);
    gtv_db_ask_int(q, f->from_ms != 0, " AND wall_ms >= ", f->from_ms);
    gtv_db_ask_int(q, f->to_ms != 0, " AND wall_ms < ", f->to_ms);
    gtv_db_ask_plate(q, f->plate);
}

bool gtv_db_find(struct gtv_db *db, const struct gtv_db_filter *filter, struct gtv_db_detection *rows,
                 size_t *n, int64_t *total, struct gtv_error *err)
{
    struct gtv_db_question q;
    *n = 0;
    *total = 0;
    ask(&q, db, "SELECT count(*) FROM detections WHERE 1 = 1", filter);
    if (q.none)
        return true;
    if (!gtv_db_read_total(&q, total, err))
        return false;
    ask(&q, db, COLUMNS, filter);
    gtv_db_ask_page(&q, " ORDER BY wall_ms DESC, id DESC", filter->limit, filter->offset);
    return gtv_db_read_rows(&q, (size_t)filter->limit, read_row, rows, n, err);
}
