#include "services/ai/watchlist/entry.h"

#include "lib/base/clock.h"

#include <stdio.h>

void gtv_watchlist_entry_init(struct gtv_watchlist_entry *e)
{
    *e = (struct gtv_watchlist_entry){.severity = "medium", .enabled = true};
}

bool gtv_watchlist_entry_name(struct gtv_watchlist_entry *e, struct gtv_str pattern, struct gtv_error *err)
{
    size_t n = 0, signs = 0;
    uint64_t hash = 0xcbf29ce484222325U; // FNV-1a
    bool ok = true;
    for (size_t i = 0; i < pattern.n && ok; i++) {
        char c = pattern.p[i];
        if (c == ' ' || c == '-' || c == '.')
            continue;
        int sign = gtv_plate_sign(c);
        ok = (sign >= 0 || c == '*' || c == '?') && n + 1 < GTV_WATCHLIST_PATTERN_CAP;
        if (!ok)
            break;
        signs += sign >= 0;
        e->pattern[n++] = sign >= 0 ? gtv_plate_signs[sign] : c;
        hash = (hash ^ (uint8_t)e->pattern[n - 1]) * 0x100000001b3U;
    }
    e->pattern[ok ? n : 0] = '\0';
    snprintf(e->id, sizeof(e->id), "w%016llx", (unsigned long long)hash);
    if (ok && signs)
        return true;
    gtv_error_set(err, GTV_E_INVALID, "plate",
                  "a plate has letters, digits, * and ?, at least one of them a letter or digit, and at most "
                  "%d",
                  (int)GTV_PLATE_PATTERN_MAX);
    return false;
}

bool gtv_watchlist_entry_severity(struct gtv_watchlist_entry *e, struct gtv_str word, struct gtv_error *err)
{
    static const char *const words[] = {"low", "medium", "high"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (gtv_str_ieq(word, gtv_str_of(words[i]))) {
            snprintf(e->severity, sizeof(e->severity), "%s", words[i]);
            return true;
        }
    gtv_error_set(err, GTV_E_INVALID, "severity", "severity must be low, medium or high");
    return false;
}

bool gtv_watchlist_entry_expires(struct gtv_watchlist_entry *e, struct gtv_str text, struct gtv_error *err)
{
    char day[32];
    if (text.n == 10) {
        snprintf(day, sizeof(day), GTV_STR_FMT "T23:59:59Z", GTV_STR_ARG(text));
        text = gtv_str_of(day);
    }
    if (gtv_iso8601_parse(text, &e->expires_ms))
        return true;
    gtv_error_set(err, GTV_E_INVALID, "expires_at",
                  "expires_at must be a moment like 2026-12-31T23:59:59-03:00, or a day");
    return false;
}

static bool read_text(yyjson_val *o, const char *name, char *out, size_t cap, struct gtv_error *err)
{
    struct gtv_str s = {0};
    if (!gtv_json_get_str(o, name, GTV_JSON_OPTIONAL, &s, err))
        return false;
    if (gtv_str_copy(out, cap, s))
        return true;
    gtv_error_set(err, GTV_E_INVALID, name, "%s has at most %zu bytes", name, cap - 1);
    return false;
}

static bool read_match(yyjson_val *o, struct gtv_watchlist_entry *out, struct gtv_error *err)
{
    struct gtv_str match = {0};
    if (!gtv_json_get_str(o, "match", GTV_JSON_OPTIONAL, &match, err) ||
        !gtv_json_get_double(o, "tolerance", GTV_JSON_OPTIONAL, 0, 20, &out->tolerance, err))
        return false;
    out->exact = gtv_str_eq(match, GTV_STR("exact"));
    if (!match.n || out->exact || gtv_str_eq(match, GTV_STR("similar")))
        return true;
    gtv_error_set(err, GTV_E_INVALID, "match", "match must be similar or exact");
    return false;
}

bool gtv_watchlist_entry_parse(yyjson_val *object, struct gtv_watchlist_entry *out, struct gtv_error *err)
{
    struct gtv_str plate = {0}, severity = {0}, expires = {0}, created = {0};
    gtv_watchlist_entry_init(out);
    if (!yyjson_is_obj(object)) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "an entry must be a JSON object");
        return false;
    }
    if (!gtv_json_get_str(object, "plate", GTV_JSON_REQUIRED, &plate, err) ||
        !gtv_watchlist_entry_name(out, plate, err) ||
        !read_text(object, "label", out->label, sizeof(out->label), err) ||
        !read_text(object, "note", out->note, sizeof(out->note), err) ||
        !gtv_json_get_str(object, "severity", GTV_JSON_OPTIONAL, &severity, err) ||
        !gtv_json_get_str(object, "expires_at", GTV_JSON_OPTIONAL, &expires, err) ||
        !gtv_json_get_str(object, "created_at", GTV_JSON_OPTIONAL, &created, err) ||
        !gtv_json_get_bool(object, "enabled", GTV_JSON_OPTIONAL, &out->enabled, err) ||
        !read_match(object, out, err))
        return false;
    if (created.n && !gtv_iso8601_parse(created, &out->created_ms))
        out->created_ms = 0;
    return (!severity.n || gtv_watchlist_entry_severity(out, severity, err)) &&
           (!expires.n || gtv_watchlist_entry_expires(out, expires, err));
}

void gtv_watchlist_entry_write(const struct gtv_watchlist_entry *e, yyjson_mut_doc *doc, yyjson_mut_val *o)
{
    yyjson_mut_obj_add_strcpy(doc, o, "id", e->id);
    yyjson_mut_obj_add_strcpy(doc, o, "plate", e->pattern);
    gtv_json_add_text(doc, o, "label", e->label);
    gtv_json_add_text(doc, o, "note", e->note);
    yyjson_mut_obj_add_strcpy(doc, o, "severity", e->severity);
    yyjson_mut_obj_add_str(doc, o, "match", e->exact ? "exact" : "similar");
    yyjson_mut_obj_add_real(doc, o, "tolerance", e->tolerance);
    yyjson_mut_obj_add_bool(doc, o, "enabled", e->enabled);
    gtv_json_add_time(doc, o, "expires_at", e->expires_ms);
    gtv_json_add_time(doc, o, "created_at", e->created_ms);
}

bool gtv_watchlist_entry_active(const struct gtv_watchlist_entry *e, int64_t now_ms)
{
    return e->enabled && (!e->expires_ms || e->expires_ms > now_ms);
}
