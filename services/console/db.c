// The database, whichever it is: opening it by its address, what is kept, and questions put together.

#include "lib/base/clock.h"
#include "services/console/db_driver.h"

#include <stdio.h>

enum {
    TRIM_EVERY = 500, // rows stored between two looks at what is too much
    TRIM_EVERY_MS = 600 * 1000,
};

// ---- Opening ----

static bool is_postgres(const char *url)
{
    struct gtv_str s = gtv_str_of(url);
    return gtv_str_starts(s, GTV_STR("postgresql:")) || gtv_str_starts(s, GTV_STR("postgres:"));
}

bool gtv_db_url_ok(const char *url, struct gtv_error *err)
{
    struct gtv_str s = gtv_str_of(url);
    if (is_postgres(url))
        return gtv_db_postgres_url_ok(url, err);
    if (!gtv_str_starts(s, GTV_STR("sqlite:")) || s.n == strlen("sqlite:")) {
        gtv_error_set(err, GTV_E_INVALID, "DATABASE_URL",
                      "DATABASE_URL must be sqlite:/path/to/file.db or "
                      "postgresql://user:password@host:5432/database");
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
    struct gtv_db *db =
        is_postgres(url) ? gtv_db_open_postgres(url, err) : gtv_db_open_sqlite(url + strlen("sqlite:"), err);
    if (db)
        gtv_db_set_limits(db, limits ? limits : &(struct gtv_db_limits){0});
    return db;
}

bool gtv_db_check(struct gtv_db *db, struct gtv_error *err)
{
    return !db->driver->check || db->driver->check(db, err);
}

bool gtv_db_lead(struct gtv_db *db, bool *leads, struct gtv_error *err)
{
    enum gtv_db_lead lead = GTV_DB_LEADS;
    bool ok = !db->driver->lead || db->driver->lead(db, &lead, err);
    *leads = ok && lead != GTV_DB_FOLLOWS;
    return ok;
}

void gtv_db_close(struct gtv_db *db)
{
    if (db)
        db->driver->close(db);
}

// ---- Values ----

void gtv_db_give_int(struct gtv_db_values *v, int at, int64_t value)
{
    v->at[at - 1] = (struct gtv_db_value){.kind = GTV_DB_WHOLE, .whole = value};
    v->count = at > v->count ? at : v->count;
}

void gtv_db_give_real(struct gtv_db_values *v, int at, double value)
{
    v->at[at - 1] = (struct gtv_db_value){.kind = GTV_DB_REAL, .real = value};
    v->count = at > v->count ? at : v->count;
}

void gtv_db_give_text(struct gtv_db_values *v, int at, const char *value)
{
    v->at[at - 1] = (struct gtv_db_value){.kind = GTV_DB_TEXT, .text = value};
    v->count = at > v->count ? at : v->count;
}

void gtv_db_give_box(struct gtv_db_values *v, int at, const struct gtv_detected *d, int width, int height)
{
    const int box[] = {d->x, d->y, d->w, d->h, width, height};
    for (int i = 0; i < (int)(sizeof box / sizeof *box); i++)
        gtv_db_give_int(v, at + i, box[i]);
}

bool gtv_db_column(struct gtv_db *db, int at, char *out, size_t cap)
{
    return gtv_str_copy(out, cap, db->driver->text(db, at));
}

void gtv_db_column_box(struct gtv_db *db, int at, struct gtv_detected *d, int *width, int *height)
{
    int *const box[] = {&d->x, &d->y, &d->w, &d->h, width, height};
    for (int i = 0; i < (int)(sizeof box / sizeof *box); i++)
        *box[i] = (int)db->driver->whole(db, at + i);
}

void gtv_db_column_reading(struct gtv_db *db, int at, struct gtv_db_plate *p)
{
    p->confidence = db->driver->real(db, at);
    p->uncertain = db->driver->whole(db, at + 1) != 0;
    p->votes = db->driver->whole(db, at + 2);
}

// ---- What is too much or too old ----

static bool trim_by(struct gtv_db *db, enum gtv_db_statement what, int64_t limit, struct gtv_error *err)
{
    struct gtv_db_values v = {0};
    gtv_db_give_int(&v, 1, limit);
    gtv_db_give_int(&v, 2, GTV_DB_TRIM_MAX);
    return db->driver->write(db, what, &v, NULL, err);
}

bool gtv_db_end(struct gtv_db *db, bool ok, struct gtv_error *err)
{
    if (ok && db->driver->commit(db, err))
        return true;
    db->driver->roll_back(db);
    return false;
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
    q->values = (struct gtv_db_values){0};
    snprintf(q->text, sizeof q->text, "%s", text);
}

void gtv_db_ask_more(struct gtv_db_question *q, const char *part)
{
    size_t n = strlen(q->text);
    snprintf(q->text + n, sizeof q->text - n, "%s", part);
}

// Adds the part and the next parameter's sign; its number.
static int ask_value(struct gtv_db_question *q, const char *part)
{
    int at = q->values.count + 1;
    char sign[16];
    snprintf(sign, sizeof sign, "?%d", at);
    gtv_db_ask_more(q, part);
    gtv_db_ask_more(q, sign);
    return at;
}

void gtv_db_ask_int(struct gtv_db_question *q, bool wanted, const char *part, int64_t value)
{
    if (wanted)
        gtv_db_give_int(&q->values, ask_value(q, part), value);
}

void gtv_db_ask_text(struct gtv_db_question *q, const char *part, const char *value)
{
    if (value[0])
        gtv_db_give_text(&q->values, ask_value(q, part), value);
}

static void to_pattern(const struct gtv_db_driver *driver, char *p)
{
    for (; *p; p++)
        *p = *p == '*' ? driver->any : *p == '?' ? driver->one : *p;
}

void gtv_db_ask_plate(struct gtv_db_question *q, const char *pattern)
{
    const struct gtv_db_driver *driver = q->db->driver;
    char part[32];
    if (!pattern[0])
        return;
    if (pattern[strspn(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789*?")]) {
        q->none = true; // no plate has other signs, and some mean something in a pattern
        return;
    }
    if (!strpbrk(pattern, "*?")) {
        q->none = !gtv_plate_key(gtv_str_of(pattern), q->key);
        if (!q->none)
            gtv_db_ask_text(q, " AND plate_key = ", q->key);
        return;
    }
    snprintf(q->plate, sizeof q->plate, "%s", pattern);
    snprintf(q->key, sizeof q->key, "%s", pattern);
    // Of a Mercosul pattern, the old form: where the fifth sign is certain, and stands behind a digit.
    char *k = q->key;
    if (strlen(k) >= 5 && strcspn(k, "*") >= 5 && (k[3] == '?' || (k[3] >= '0' && k[3] <= '9')) &&
        k[4] >= 'A' && k[4] <= 'J')
        k[4] = (char)(k[4] - 'A' + '0');
    to_pattern(driver, q->plate);
    to_pattern(driver, q->key);
    snprintf(part, sizeof part, "plate %s ", driver->like);
    gtv_db_ask_more(q, " AND plate IS NOT NULL AND (");
    gtv_db_ask_text(q, part, q->plate);
    snprintf(part, sizeof part, " OR plate_key %s ", driver->like);
    gtv_db_ask_text(q, part, q->key);
    gtv_db_ask_more(q, ")");
}

void gtv_db_ask_page(struct gtv_db_question *q, const char *order, int64_t limit, int64_t offset)
{
    gtv_db_ask_more(q, order);
    gtv_db_ask_int(q, true, " LIMIT ", limit);
    gtv_db_ask_int(q, true, " OFFSET ", offset);
}

bool gtv_db_start(struct gtv_db_question *q, struct gtv_error *err)
{
    return q->db->driver->ask(q->db, q->text, &q->values, err);
}

bool gtv_db_read_total(struct gtv_db_question *q, int64_t *total, struct gtv_error *err)
{
    struct gtv_db *db = q->db;
    if (!gtv_db_start(q, err))
        return false;
    enum gtv_db_step step = db->driver->next(db, err);
    if (step == GTV_DB_ROW)
        *total = db->driver->whole(db, 0);
    db->driver->done(db);
    return step != GTV_DB_FAILED;
}

bool gtv_db_read_rows(struct gtv_db_question *q, size_t max,
                      bool (*put)(struct gtv_db *db, void *rows, size_t at), void *rows, size_t *n,
                      struct gtv_error *err)
{
    struct gtv_db *db = q->db;
    if (!gtv_db_start(q, err))
        return false;
    enum gtv_db_step step = GTV_DB_END;
    while (*n < max && (step = db->driver->next(db, err)) == GTV_DB_ROW)
        if (put(db, rows, *n))
            ++*n;
    db->driver->done(db);
    return step != GTV_DB_FAILED;
}
