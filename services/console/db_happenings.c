// What happened, in SQLite: each happening once, and the detection that a track's happenings make up.

#include "lib/base/clock.h"
#include "services/console/db_sqlite.h"

// ---- Storing ----

static bool tell(struct gtv_db *db, const struct gtv_db_happening *h, bool *is_new, struct gtv_error *err)
{
    sqlite3_stmt *s = db->statements[GTV_DB_TELL];
    const int64_t whole[] = {h->wall_ms, gtv_wall_ms(), h->track, h->first_ms, h->last_ms};
    const double told[] = {h->seconds, h->speed_kmh, h->limit_kmh, h->degrees};
    const char *const words[] = {h->alert, h->list,       h->label,     h->severity,
                                 h->why,   h->plate.text, h->plate.key, h->plate.format};
    gtv_db_bind_text(s, 1, h->key);
    gtv_db_bind_text(s, 2, h->type);
    sqlite3_bind_int64(s, 3, h->camera_id);
    gtv_db_bind_text(s, 4, h->camera_name);
    for (int i = 0; i < 5; i++)
        sqlite3_bind_int64(s, 5 + i, whole[i]);
    gtv_db_bind_text(s, 10, h->object.object_type);
    sqlite3_bind_double(s, 11, h->object.confidence);
    gtv_db_bind_box(s, 12, &h->object, h->frame_width, h->frame_height);
    gtv_db_bind_text(s, 18, h->place);
    gtv_db_bind_text(s, 19, h->place_name);
    gtv_db_bind_text(s, 20, h->direction);
    sqlite3_bind_int(s, 21, h->forward);
    for (int i = 0; i < 4; i++)
        sqlite3_bind_double(s, 22 + i, told[i]);
    for (int i = 0; i < 8; i++)
        gtv_db_bind_text(s, 26 + i, words[i]);
    if (h->plate.text[0]) {
        sqlite3_bind_double(s, 34, h->plate.confidence);
        sqlite3_bind_int(s, 35, h->plate.uncertain);
        sqlite3_bind_int64(s, 36, h->plate.votes);
    }
    gtv_db_bind_text(s, 37, h->crop);
    if (!gtv_db_step(db, s, err))
        return false;
    *is_new = sqlite3_changes(db->sql) > 0;
    return true;
}

// The detection that a track's event, or a plate without a track, adds to. False: it adds to none.
static bool detection_of(const struct gtv_db_happening *h, enum gtv_db_statement *how,
                         struct gtv_db_detection *d)
{
    if (strcmp(h->type, "track.started") == 0)
        *how = GTV_DB_TRACK_BEGAN;
    else if (strcmp(h->type, "track.ended") == 0)
        *how = GTV_DB_TRACK_OVER;
    else if (strcmp(h->type, "plate.read") == 0)
        *how = GTV_DB_TRACK_PLATE;
    else
        return false;
    *d = (struct gtv_db_detection){
        .camera_id = h->camera_id,
        .wall_ms = h->first_ms ? h->first_ms : h->wall_ms,
        .object = h->object,
        .frame_width = h->frame_width,
        .frame_height = h->frame_height,
        .track = h->track,
        .last_ms = h->last_ms,
        .read = h->plate,
    };
    sqlite3_snprintf(sizeof d->camera_name, d->camera_name, "%s", h->camera_name);
    sqlite3_snprintf(sizeof d->plate, d->plate, "%s", h->plate.text);
    sqlite3_snprintf(sizeof d->crop, d->crop, "%s", h->crop);
    if (h->track)
        sqlite3_snprintf(sizeof d->event, d->event, "cam_%lld/track/%lld", h->camera_id, h->track);
    else
        sqlite3_snprintf(sizeof d->event, d->event, "%s", h->key);
    return *how != GTV_DB_TRACK_PLATE || d->plate[0];
}

static bool store_all(struct gtv_db *db, const struct gtv_db_happening *rows, size_t n, struct gtv_error *err)
{
    struct gtv_db_detection d;
    enum gtv_db_statement how;
    for (size_t i = 0; i < n; i++) {
        bool is_new = false;
        if (!tell(db, &rows[i], &is_new, err))
            return false;
        if (is_new && detection_of(&rows[i], &how, &d) && !gtv_db_put_detection(db, how, &d, err))
            return false;
    }
    return gtv_db_trim(db, n, err) && gtv_db_run(db, "COMMIT", "write", err);
}

bool gtv_db_store_happenings(struct gtv_db *db, const struct gtv_db_happening *rows, size_t n,
                             struct gtv_error *err)
{
    if (!gtv_db_run(db, "BEGIN IMMEDIATE", "write", err))
        return false;
    if (store_all(db, rows, n, err))
        return true;
    gtv_db_roll_back(db);
    return false;
}

// ---- Finding ----

#define COLUMNS                                                                                              \
    "SELECT id, key, type, camera_id, camera_name, wall_ms, track, first_ms, last_ms, vehicle_type,"         \
    " confidence, x, y, w, h, frame_width, frame_height, place, place_name, direction, forward, seconds,"    \
    " speed_kmh, limit_kmh, degrees, alert, list, label, severity, why, plate, plate_key, plate_format,"     \
    " plate_confidence, plate_uncertain, plate_votes, crop FROM happenings WHERE 1"

static bool read_words(sqlite3_stmt *s, struct gtv_db_happening *h)
{
    const struct {
        int at;
        char *out;
        size_t cap;
    } words[] = {
        {1, h->key, sizeof h->key},
        {2, h->type, sizeof h->type},
        {4, h->camera_name, sizeof h->camera_name},
        {9, h->object.object_type, sizeof h->object.object_type},
        {17, h->place, sizeof h->place},
        {18, h->place_name, sizeof h->place_name},
        {19, h->direction, sizeof h->direction},
        {25, h->alert, sizeof h->alert},
        {26, h->list, sizeof h->list},
        {27, h->label, sizeof h->label},
        {28, h->severity, sizeof h->severity},
        {29, h->why, sizeof h->why},
        {30, h->plate.text, sizeof h->plate.text},
        {31, h->plate.key, sizeof h->plate.key},
        {32, h->plate.format, sizeof h->plate.format},
        {36, h->crop, sizeof h->crop},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!gtv_db_column(s, words[i].at, words[i].out, words[i].cap))
            return false;
    return true;
}

static bool read_row(sqlite3_stmt *s, struct gtv_db_happening *h)
{
    *h = (struct gtv_db_happening){
        .id = sqlite3_column_int64(s, 0),
        .camera_id = sqlite3_column_int64(s, 3),
        .wall_ms = sqlite3_column_int64(s, 5),
        .track = sqlite3_column_int64(s, 6),
        .first_ms = sqlite3_column_int64(s, 7),
        .last_ms = sqlite3_column_int64(s, 8),
        .object = {.confidence = sqlite3_column_double(s, 10),
                   .x = sqlite3_column_int(s, 11),
                   .y = sqlite3_column_int(s, 12),
                   .w = sqlite3_column_int(s, 13),
                   .h = sqlite3_column_int(s, 14)},
        .frame_width = sqlite3_column_int(s, 15),
        .frame_height = sqlite3_column_int(s, 16),
        .forward = sqlite3_column_int(s, 20),
        .seconds = sqlite3_column_double(s, 21),
        .speed_kmh = sqlite3_column_double(s, 22),
        .limit_kmh = sqlite3_column_double(s, 23),
        .degrees = sqlite3_column_double(s, 24),
        .plate = {.confidence = sqlite3_column_double(s, 33),
                  .uncertain = sqlite3_column_int(s, 34) != 0,
                  .votes = sqlite3_column_int64(s, 35)},
    };
    return read_words(s, h);
}

static sqlite3_stmt *ask(struct gtv_db *db, const char *what, const char *order,
                         const struct gtv_db_happening_filter *f, bool *none, struct gtv_error *err)
{
    struct gtv_db_question q;
    struct gtv_db_plate_search plate;
    gtv_db_ask(&q, db, what);
    gtv_db_ask_if(&q, f->camera_id != 0, " AND camera_id = :camera");
    gtv_db_ask_if(&q, f->type[0], " AND type = :type");
    gtv_db_ask_if(&q, f->alert[0], " AND alert = :alert");
    gtv_db_ask_if(&q, f->from_ms != 0, " AND wall_ms >= :from");
    gtv_db_ask_if(&q, f->to_ms != 0, " AND wall_ms < :to");
    gtv_db_ask_plate(&q, f->plate, &plate);
    gtv_db_ask_if(&q, true, order);
    *none = q.none;
    sqlite3_stmt *s = q.none ? NULL : gtv_db_prepare(&q, err);
    if (!s)
        return NULL;
    gtv_db_give_int(s, ":camera", f->camera_id);
    gtv_db_give_text(s, ":type", f->type);
    gtv_db_give_text(s, ":alert", f->alert);
    gtv_db_give_plate(s, &plate);
    gtv_db_give_int(s, ":from", f->from_ms);
    gtv_db_give_int(s, ":to", f->to_ms);
    gtv_db_give_int(s, ":limit", f->limit);
    gtv_db_give_int(s, ":offset", f->offset);
    return s;
}

bool gtv_db_find_happenings(struct gtv_db *db, const struct gtv_db_happening_filter *filter,
                            struct gtv_db_happening *rows, size_t *n, int64_t *total, struct gtv_error *err)
{
    bool none;
    *n = 0;
    *total = 0;
    sqlite3_stmt *s = ask(db, "SELECT count(*) FROM happenings WHERE 1", "", filter, &none, err);
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
        if (read_row(s, &rows[*n]))
            ++*n;
    ok = rc == SQLITE_DONE || rc == SQLITE_ROW || gtv_db_fail(db, "be read", err);
    sqlite3_finalize(s);
    return ok;
}

// ---- Counting ----

// A line's latest name is everybody's: it may have been renamed within the time.
#define GROUPS                                                                                               \
    "SELECT camera_id, max(camera_name), place, max(place_name), max(direction), forward, vehicle_type,"     \
    " CASE WHEN :bucket > 0 THEN wall_ms - wall_ms % :bucket ELSE 0 END AS bucket, count(*)"                 \
    " FROM happenings WHERE type = 'line.crossed' AND place IS NOT NULL"
#define GROUPED " GROUP BY camera_id, place, forward, vehicle_type, bucket"

static sqlite3_stmt *ask_counts(struct gtv_db *db, const char *before, const char *after,
                                const struct gtv_db_count_filter *f, struct gtv_error *err)
{
    struct gtv_db_question q;
    gtv_db_ask(&q, db, before);
    gtv_db_ask_if(&q, true, GROUPS);
    gtv_db_ask_if(&q, f->camera_id != 0, " AND camera_id = :camera");
    gtv_db_ask_if(&q, f->line[0], " AND place = :line");
    gtv_db_ask_if(&q, f->from_ms != 0, " AND wall_ms >= :from");
    gtv_db_ask_if(&q, f->to_ms != 0, " AND wall_ms < :to");
    gtv_db_ask_if(&q, true, GROUPED);
    gtv_db_ask_if(&q, true, after);
    sqlite3_stmt *s = gtv_db_prepare(&q, err);
    if (!s)
        return NULL;
    gtv_db_give_int(s, ":bucket", f->bucket_ms);
    gtv_db_give_int(s, ":camera", f->camera_id);
    gtv_db_give_text(s, ":line", f->line);
    gtv_db_give_int(s, ":from", f->from_ms);
    gtv_db_give_int(s, ":to", f->to_ms);
    gtv_db_give_int(s, ":limit", f->limit);
    gtv_db_give_int(s, ":offset", f->offset);
    return s;
}

static bool read_count(sqlite3_stmt *s, struct gtv_db_count *c)
{
    *c = (struct gtv_db_count){
        .camera_id = sqlite3_column_int64(s, 0),
        .forward = sqlite3_column_int(s, 5) > 0,
        .bucket_ms = sqlite3_column_int64(s, 7),
        .count = sqlite3_column_int64(s, 8),
    };
    return gtv_db_column(s, 1, c->camera_name, sizeof c->camera_name) &&
           gtv_db_column(s, 2, c->line, sizeof c->line) &&
           gtv_db_column(s, 3, c->line_name, sizeof c->line_name) &&
           gtv_db_column(s, 4, c->direction, sizeof c->direction) &&
           gtv_db_column(s, 6, c->vehicle_type, sizeof c->vehicle_type);
}

bool gtv_db_count_lines(struct gtv_db *db, const struct gtv_db_count_filter *filter,
                        struct gtv_db_count *rows, size_t *n, int64_t *total, struct gtv_error *err)
{
    *n = 0;
    *total = 0;
    sqlite3_stmt *s = ask_counts(db, "SELECT count(*) FROM (", ")", filter, err);
    if (!s || !gtv_db_read_total(db, s, total, err))
        return false;
    s = ask_counts(
        db, "", " ORDER BY bucket DESC, camera_id, place, forward, vehicle_type LIMIT :limit OFFSET :offset",
        filter, err);
    if (!s)
        return false;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && *n < (size_t)filter->limit)
        if (read_count(s, &rows[*n]))
            ++*n;
    bool ok = rc == SQLITE_DONE || rc == SQLITE_ROW || gtv_db_fail(db, "be read", err);
    sqlite3_finalize(s);
    return ok;
}
