#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/ai/watchlist/entry.h"

#include <stdio.h>
#include <stdlib.h>

enum column { PLATE, LABEL, SEVERITY, EXPIRES, MATCH, NOTE, COLUMNS };
static const char *const names[COLUMNS] = {"plate", "label", "severity", "expires_at", "match", "note"};
static const char *const codes[COLUMNS] = {"plate_invalid",      "label_too_long", "severity_invalid",
                                           "expires_at_invalid", "match_invalid",  "note_too_long"};

enum { FIELD_CAP = 512, FIELDS_MAX = 16 };

struct reader {
    struct gtv_str rest;
    char separator;
    size_t line; // of the record read last
    size_t next_line;
    char fields[FIELDS_MAX][FIELD_CAP];
    size_t count;
    bool too_long;
};

static void put(struct reader *r, size_t *n, char c)
{
    char *field = r->fields[r->count];
    if (*n + 1 >= FIELD_CAP) {
        r->too_long = true;
        return;
    }
    field[(*n)++] = c;
    field[*n] = '\0';
}

// One field, without its quotes. False behind the record's last one.
static bool read_field(struct reader *r)
{
    size_t n = 0;
    bool quoted = r->rest.n && r->rest.p[0] == '"';
    r->fields[r->count][0] = '\0';
    if (quoted) {
        r->rest.p++;
        r->rest.n--;
    }
    while (r->rest.n) {
        char c = r->rest.p[0];
        bool doubled = quoted && c == '"' && r->rest.n > 1 && r->rest.p[1] == '"';
        if (!quoted && (c == r->separator || c == '\n'))
            break;
        r->rest.p += doubled ? 2 : 1;
        r->rest.n -= doubled ? 2 : 1;
        r->next_line += c == '\n';
        if (quoted && c == '"' && !doubled)
            quoted = false;
        else if (c != '\r' || quoted)
            put(r, &n, c);
    }
    bool more = r->rest.n && r->rest.p[0] == r->separator;
    if (r->rest.n) {
        r->next_line += r->rest.p[0] == '\n';
        r->rest.p++;
        r->rest.n--;
    }
    return more;
}

// False at the end.
static bool read_record(struct reader *r)
{
    if (!r->rest.n)
        return false;
    r->line = r->next_line;
    r->count = 0;
    r->too_long = false;
    bool more = true;
    while (more) {
        more = read_field(r);
        if (r->count + 1 < FIELDS_MAX)
            r->count++;
        else
            r->too_long = r->too_long || more;
    }
    return true;
}

static bool read_heading(struct reader *r, int column_of[FIELDS_MAX])
{
    bool heading = gtv_str_ieq(gtv_str_trim(gtv_str_of(r->fields[0])), gtv_str_of(names[PLATE]));
    for (size_t i = 0; i < FIELDS_MAX; i++)
        column_of[i] = i < COLUMNS ? (int)i : -1;
    for (size_t i = 0; i < r->count; i++)
        heading = heading || gtv_str_ieq(gtv_str_trim(gtv_str_of(r->fields[i])), gtv_str_of(names[PLATE]));
    if (!heading)
        return false;
    for (size_t i = 0; i < FIELDS_MAX; i++) {
        column_of[i] = -1;
        for (int c = 0; i < r->count && c < COLUMNS; c++)
            if (gtv_str_ieq(gtv_str_trim(gtv_str_of(r->fields[i])), gtv_str_of(names[c])))
                column_of[i] = c;
    }
    return true;
}

static bool take(struct gtv_watchlist_entry *e, enum column c, struct gtv_str text, struct gtv_error *err)
{
    bool ok = true;
    switch (c) {
    case PLATE:
        return gtv_watchlist_entry_name(e, text, err);
    case LABEL:
        ok = gtv_str_copy(e->label, sizeof(e->label), text);
        break;
    case NOTE:
        ok = gtv_str_copy(e->note, sizeof(e->note), text);
        break;
    case SEVERITY:
        return !text.n || gtv_watchlist_entry_severity(e, text, err);
    case EXPIRES:
        return !text.n || gtv_watchlist_entry_expires(e, text, err);
    case MATCH:
        e->exact = gtv_str_ieq(text, GTV_STR("exact"));
        if (e->exact || !text.n || gtv_str_ieq(text, GTV_STR("similar")))
            return true;
        gtv_error_set(err, GTV_E_INVALID, "match", "match must be similar or exact");
        return false;
    case COLUMNS:
        break;
    }
    if (!ok)
        gtv_error_set(err, GTV_E_INVALID, names[c], "%s is too long", names[c]);
    return ok;
}

static bool read_entry(const struct reader *r, const int column_of[FIELDS_MAX], struct gtv_watchlist_entry *e,
                       const char **code, struct gtv_error *err)
{
    gtv_watchlist_entry_init(e);
    if (r->too_long) {
        *code = "line_too_long";
        gtv_error_set(err, GTV_E_INVALID, NULL, "a field has more than %d bytes, or there are too many",
                      (int)FIELD_CAP - 1);
        return false;
    }
    for (size_t i = 0; i < r->count; i++) {
        struct gtv_str text = gtv_str_trim(gtv_str_of(r->fields[i]));
        if (column_of[i] < 0 || (column_of[i] == PLATE && !text.n))
            continue;
        *code = codes[column_of[i]];
        if (!take(e, (enum column)column_of[i], text, err))
            return false;
    }
    if (e->pattern[0])
        return true;
    *code = "plate_missing";
    gtv_error_set(err, GTV_E_INVALID, "plate", "the line has no plate");
    return false;
}

static bool is_empty(const struct reader *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (gtv_str_trim(gtv_str_of(r->fields[i])).n)
            return false;
    return true;
}

static void add_error(struct gtv_watchlist_import *out, size_t line, const char *code,
                      const struct gtv_error *err)
{
    if (out->error_count < GTV_WATCHLIST_IMPORT_ERRORS)
        out->errors[out->error_count] = (struct gtv_watchlist_import_error){line, code, *err};
    out->error_count++;
}

bool gtv_watchlist_import_parse(struct gtv_str csv, int64_t now_ms, struct gtv_watchlist_import *out,
                                struct gtv_error *err)
{
    *out = (struct gtv_watchlist_import){0};
    if (gtv_str_starts(csv, GTV_STR("\xef\xbb\xbf"))) { // as spreadsheets begin their files
        csv.p += 3;
        csv.n -= 3;
    }
    if (!gtv_utf8_valid(csv) || (csv.n && memchr(csv.p, '\0', csv.n))) {
        gtv_error_set(err, GTV_E_INVALID, "body", "the file is not UTF-8 text");
        return false;
    }
    struct reader *r = GTV_NEW(struct reader);
    struct gtv_str first = csv;
    first = gtv_str_cut(&first, '\n');
    r->rest = csv;
    r->next_line = 1;
    r->separator = gtv_str_find(first, ';') >= 0 && gtv_str_find(first, ',') < 0 ? ';' : ',';
    struct gtv_map *seen = gtv_map_create(); // id -> position + 1
    int column_of[FIELDS_MAX];
    bool began = false, ok = true;
    while (ok && read_record(r)) {
        struct gtv_watchlist_entry e;
        struct gtv_error wrong = {0};
        const char *code = NULL;
        if (is_empty(r) || (!began && read_heading(r, column_of))) {
            began = began || !is_empty(r);
            continue;
        }
        began = true;
        if (!read_entry(r, column_of, &e, &code, &wrong)) {
            add_error(out, r->line, code, &wrong);
            continue;
        }
        e.created_ms = now_ms;
        size_t at = (size_t)(uintptr_t)gtv_map_get(seen, gtv_str_of(e.id));
        if (at) {
            out->entries[at - 1] = e;
            continue;
        }
        ok = out->count < GTV_WATCHLIST_MAX;
        if (!ok) {
            gtv_error_set(err, GTV_E_TOO_LARGE, "body", "a watch-list has at most %d entries",
                          (int)GTV_WATCHLIST_MAX);
            break;
        }
        if ((out->count & (out->count - 1)) == 0)
            out->entries = gtv_realloc(out->entries, (out->count ? out->count * 2 : 1) * sizeof(e));
        out->entries[out->count++] = e;
        (void)gtv_map_put(seen, gtv_str_of(e.id), (void *)(uintptr_t)out->count);
    }
    gtv_map_destroy(seen, NULL);
    free(r);
    if (!ok)
        gtv_watchlist_import_finish(out);
    return ok;
}

void gtv_watchlist_import_finish(struct gtv_watchlist_import *i)
{
    free(i->entries);
    i->entries = NULL;
    i->count = 0;
}
