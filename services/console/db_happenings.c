// What happened: each happening once, and the detection that a track's happenings make up.

#include "lib/base/clock.h"
#include "services/console/db_driver.h"

#include <inttypes.h>
#include <stdio.h>

// ---- Storing ----

static bool tell(struct gtv_db *db, const struct gtv_db_happening *h, bool *is_new, struct gtv_error *err)
{
    struct gtv_db_values v = {0};
    const int64_t whole[] = {h->wall_ms, gtv_wall_ms(), h->track, h->first_ms, h->last_ms};
    const double told[] = {h->seconds, h->speed_kmh, h->limit_kmh, h->degrees};
    const char *const words[] = {h->alert, h->list,       h->label,     h->severity,
                                 h->why,   h->plate.text, h->plate.key, h->plate.format};
    gtv_db_give_text(&v, 1, h->key);
    gtv_db_give_text(&v, 2, h->type);
    gtv_db_give_int(&v, 3, h->camera_id);
    gtv_db_give_text(&v, 4, h->camera_name);
    for (int i = 0; i < 5; i++)
        gtv_db_give_int(&v, 5 + i, whole[i]);
    gtv_db_give_text(&v, 10, h->object.object_type);
    gtv_db_give_real(&v, 11, h->object.confidence);
    gtv_db_give_box(&v, 12, &h->object, h->frame_width, h->frame_height);
    gtv_db_give_text(&v, 18, h->place);
    gtv_db_give_text(&v, 19, h->place_name);
    gtv_db_give_text(&v, 20, h->direction);
    gtv_db_give_int(&v, 21, h->forward);
    for (int i = 0; i < 4; i++)
        gtv_db_give_real(&v, 22 + i, told[i]);
    for (int i = 0; i < 8; i++)
        gtv_db_give_text(&v, 26 + i, words[i]);
    if (h->plate.text[0]) {
        gtv_db_give_real(&v, 34, h->plate.confidence);
        gtv_db_give_int(&v, 35, h->plate.uncertain);
        gtv_db_give_int(&v, 36, h->plate.votes);
    }
    gtv_db_give_text(&v, 37, h->crop);
    return db->driver->write(db, GTV_DB_TELL, &v, is_new, err);
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
    snprintf(d->camera_name, sizeof d->camera_name, "%s", h->camera_name);
    snprintf(d->plate, sizeof d->plate, "%s", h->plate.text);
    snprintf(d->crop, sizeof d->crop, "%s", h->crop);
    if (h->track)
        snprintf(d->event, sizeof d->event, "cam_%" PRId64 "/track/%" PRId64, h->camera_id, h->track);
    else
        snprintf(d->event, sizeof d->event, "%s", h->key);
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
    return gtv_db_trim(db, n, err);
}

bool gtv_db_store_happenings(struct gtv_db *db, const struct gtv_db_happening *rows, size_t n,
                             struct gtv_error *err)
{
    return db->driver->begin(db, err) && gtv_db_end(db, store_all(db, rows, n, err), err);
}

// ---- Finding ----

#define COLUMNS                                                                                              \
    "SELECT id, key, type, camera_id, camera_name, wall_ms, track, first_ms, last_ms, vehicle_type,"         \
    " confidence, x, y, w, h, frame_width, frame_height, place, place_name, direction, forward, seconds,"    \
    " speed_kmh, limit_kmh, degrees, alert, list, label, severity, why, plate, plate_key, plate_format,"     \
    " plate_confidence, plate_uncertain, plate_votes, crop FROM happenings WHERE 1 = 1"

static bool read_words(struct gtv_db *db, struct gtv_db_happening *h)
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
        if (!gtv_db_column(db, words[i].at, words[i].out, words[i].cap))
            return false;
    return true;
}

static bool read_row(struct gtv_db *db, void *rows, size_t at)
{
    const struct gtv_db_driver *driver = db->driver;
    struct gtv_db_happening *h = (struct gtv_db_happening *)rows + at;
    *h = (struct gtv_db_happening){
        .id = driver->whole(db, 0),
        .camera_id = driver->whole(db, 3),
        .wall_ms = driver->whole(db, 5),
        .track = driver->whole(db, 6),
        .first_ms = driver->whole(db, 7),
        .last_ms = driver->whole(db, 8),
        .object = {.confidence = driver->real(db, 10)},
        .forward = (int)driver->whole(db, 20),
        .seconds = driver->real(db, 21),
        .speed_kmh = driver->real(db, 22),
        .limit_kmh = driver->real(db, 23),
        .degrees = driver->real(db, 24),
    };
    gtv_db_column_box(db, 11, &h->object, &h->frame_width, &h->frame_height);
    gtv_db_column_reading(db, 33, &h->plate);
    return read_words(db, h);
}

static void ask(struct gtv_db_question *q, struct gtv_db *db, const char *what,
                const struct gtv_db_happening_filter *f)
{
    gtv_db_ask(q, db, what);
    gtv_db_ask_int(q, f->camera_id != 0, " AND camera_id = ", f->camera_id);
    gtv_db_ask_text(q, " AND type = ", f->type);
    gtv_db_ask_text(q, " AND alert = ", f->alert);
    gtv_db_ask_int(q, f->from_ms != 0, " AND wall_ms >= ", f->from_ms);
    gtv_db_ask_int(q, f->to_ms != 0, " AND wall_ms < ", f->to_ms);
    gtv_db_ask_plate(q, f->plate);
}

bool gtv_db_find_happenings(struct gtv_db *db, const struct gtv_db_happening_filter *filter,
                            struct gtv_db_happening *rows, size_t *n, int64_t *total, struct gtv_error *err)
{
    struct gtv_db_question q;
    *n = 0;
    *total = 0;
    ask(&q, db, "SELECT count(*) FROM happenings WHERE 1 = 1", filter);
    if (q.none)
        return true;
    if (!gtv_db_read_total(&q, total, err))
        return false;
    ask(&q, db, COLUMNS, filter);
    gtv_db_ask_page(&q, " ORDER BY wall_ms DESC, id DESC", filter->limit, filter->offset);
    return gtv_db_read_rows(&q, (size_t)filter->limit, read_row, rows, n, err);
}

// ---- Counting ----

// A line's latest name is everybody's: it may have been renamed within the time.
#define GROUPS                                                                                               \
    "SELECT camera_id, max(camera_name), place, max(place_name), max(direction), forward, vehicle_type,"     \
    " CASE WHEN CAST(?1 AS BIGINT) > 0 THEN wall_ms - wall_ms % CAST(?1 AS BIGINT) ELSE 0 END AS bucket, "   \
    "count(*)"                                                                                               \
    " FROM happenings WHERE type = 'line.crossed' AND place IS NOT NULL"
#define GROUPED " GROUP BY camera_id, place, forward, vehicle_type, bucket"

static void ask_counts(struct gtv_db_question *q, struct gtv_db *db, const char *before,
                       const struct gtv_db_count_filter *f)
{
    gtv_db_ask(q, db, before);
    gtv_db_ask_more(q, GROUPS);
    gtv_db_give_int(&q->values, 1, f->bucket_ms);
    gtv_db_ask_int(q, f->camera_id != 0, " AND camera_id = ", f->camera_id);
    gtv_db_ask_text(q, " AND place = ", f->line);
    gtv_db_ask_int(q, f->from_ms != 0, " AND wall_ms >= ", f->from_ms);
    gtv_db_ask_int(q, f->to_ms != 0, " AND wall_ms < ", f->to_ms);
    gtv_db_ask_more(q, GROUPED);
}

static bool read_count(struct gtv_db *db, void *rows, size_t at)
{
    const struct gtv_db_driver *driver = db->driver;
    struct gtv_db_count *c = (struct gtv_db_count *)rows + at;
    *c = (struct gtv_db_count){
        .camera_id = driver->whole(db, 0),
        .forward = driver->whole(db, 5) > 0,
        .bucket_ms = driver->whole(db, 7),
        .count = driver->whole(db, 8),
    };
    return gtv_db_column(db, 1, c->camera_name, sizeof c->camera_name) &&
           gtv_db_column(db, 2, c->line, sizeof c->line) &&
           gtv_db_column(db, 3, c->line_name, sizeof c->line_name) &&
           gtv_db_column(db, 4, c->direction, sizeof c->direction) &&
           gtv_db_column(db, 6, c->vehicle_type, sizeof c->vehicle_type);
}

bool gtv_db_count_lines(struct gtv_db *db, const struct gtv_db_count_filter *filter,
                        struct gtv_db_count *rows, size_t *n, int64_t *total, struct gtv_error *err)
{
    struct gtv_db_question q;
    *n = 0;
    *total = 0;
    ask_counts(&q, db, "SELECT count(*) FROM (", filter);
    gtv_db_ask_more(&q, ") AS counted");
    if (!gtv_db_read_total(&q, total, err))
        return false;
    ask_counts(&q, db, "", filter);
    gtv_db_ask_page(&q, " ORDER BY bucket DESC, camera_id, place, forward, vehicle_type", filter->limit,
                    filter->offset);
    return gtv_db_read_rows(&q, (size_t)filter->limit, read_count, rows, n, err);
}
