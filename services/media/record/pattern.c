#include "services/media/record/pattern.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define UNIX_MAX INT64_C(6250000000) // seconds: the year 2168
enum { UNIX_DIGITS = 10 };           // of seconds since 1970, until 2286: whatever follows is not theirs

static bool fail(struct gtv_error *err, const char *sentence)
{
    gtv_error_set(err, GTV_E_BAD_REQUEST, "recordPath", "%s", sentence);
    return false;
}

static bool has(struct gtv_str pattern, char place)
{
    for (size_t i = 0; i + 1 < pattern.n; i++) {
        if (pattern.p[i] == '%') {
            if (pattern.p[i + 1] == place) {
                return true;
            }
            i++;
        }
    }
    return false;
}

static bool is_name(struct gtv_str rest)
{
    return gtv_str_starts(rest, GTV_STR("%path"));
}

bool gtv_record_pattern_check(struct gtv_str pattern, struct gtv_error *err)
{
    bool name = false;
    for (size_t i = 0; i < pattern.n; i++) {
        struct gtv_str rest = {pattern.p + i, pattern.n - i};
        if (pattern.p[i] != '%') {
            continue;
        }
        if (is_name(rest)) {
            name = true;
            i += 4;
        } else if (rest.n < 2 || strchr("YmdHMSfs%", rest.p[1]) == NULL) {
            return fail(err, "'recordPath' can contain only %path %Y %m %d %H %M %S %f %s %%");
        } else {
            i++;
        }
    }
    if (!name) {
        return fail(err, "'recordPath' must contain %path");
    }
    if (!has(pattern, 's')) {
        for (const char *place = "YmdHMS"; *place != '\0'; place++) {
            if (!has(pattern, *place)) {
                return fail(err, "'recordPath' must contain either %s or %Y %m %d %H %M %S");
            }
        }
    }
    for (struct gtv_str rest = pattern; rest.n > 0;) {
        struct gtv_str segment = gtv_str_cut(&rest, '/');
        if (gtv_str_eq(segment, GTV_STR(".."))) {
            return fail(err, "'recordPath' can't contain dot path segments");
        }
    }
    return pattern.p[pattern.n - 1] != '/' || fail(err, "'recordPath' can't end with a slash");
}

struct writer {
    char *out;
    size_t at;
    bool full;
};

static void put(struct writer *w, const char *text, size_t n)
{
    if (w->full || n >= GTV_RECORD_FILE_MAX - w->at) {
        w->full = true;
        return;
    }
    memcpy(w->out + w->at, text, n);
    w->at += n;
    w->out[w->at] = '\0';
}

static void put_number(struct writer *w, int64_t number, int digits)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%0*" PRId64, digits, number);
    put(w, text, (size_t)n);
}

// Without "./" before a relative pattern; the root before it.
static const char *put_root(struct writer *w, const char *root, const char *pattern)
{
    while (pattern[0] == '.' && pattern[1] == '/') {
        pattern += 2;
    }
    if (pattern[0] != '/') {
        put(w, root, strlen(root));
        put(w, "/", 1);
    }
    return pattern;
}

static void put_place(struct writer *w, char place, const struct tm *tm, int64_t start_us)
{
    switch (place) {
    case 'Y':
        put_number(w, tm->tm_year + 1900, 4);
        break;
    case 'm':
        put_number(w, tm->tm_mon + 1, 2);
        break;
    case 'd':
        put_number(w, tm->tm_mday, 2);
        break;
    case 'H':
        put_number(w, tm->tm_hour, 2);
        break;
    case 'M':
        put_number(w, tm->tm_min, 2);
        break;
    case 'S':
        put_number(w, tm->tm_sec, 2);
        break;
    case 'f':
        put_number(w, start_us % 1000000, 6);
        break;
    case 's':
        put_number(w, start_us / 1000000, UNIX_DIGITS);
        break;
    default:
        put(w, "%", 1);
    }
}

bool gtv_record_pattern_write(const char *root, const char *pattern, const char *name, int64_t start_us,
                              unsigned copy, char out[GTV_RECORD_FILE_MAX])
{
    struct writer w = {out, 0, false};
    time_t s = (time_t)(start_us / 1000000);
    struct tm tm;
    out[0] = '\0';
    if (start_us < 0 || localtime_r(&s, &tm) == NULL) {
        return false;
    }
    for (const char *p = put_root(&w, root, pattern); *p != '\0'; p++) {
        if (*p != '%' || p[1] == '\0') {
            put(&w, p, 1);
        } else if (is_name(gtv_str_of(p))) {
            put(&w, name, strlen(name));
            p += 4;
        } else {
            put_place(&w, *++p, &tm, start_us);
        }
    }
    if (copy > 0) {
        put(&w, "_", 1);
        put_number(&w, copy, 1);
    }
    put(&w, GTV_RECORD_EXTENSION, strlen(GTV_RECORD_EXTENSION));
    return !w.full;
}

bool gtv_record_pattern_folder(const char *root, const char *pattern, const char *name,
                               char out[GTV_RECORD_FILE_MAX])
{
    struct writer w = {out, 0, false};
    size_t slash = 0;
    out[0] = '\0';
    const char *p = put_root(&w, root, pattern);
    slash = w.at;
    for (; *p != '\0' && (*p != '%' || p[1] == '%' || is_name(gtv_str_of(p))); p++) {
        if (*p != '%') {
            put(&w, p, 1);
            slash = *p == '/' ? w.at : slash;
        } else if (p[1] == '%') {
            put(&w, "%", 1);
            p++;
        } else {
            put(&w, name, strlen(name));
            p += 4;
        }
    }
    if (w.full) {
        return false;
    }
    // Without the slash, but for the root of the file system.
    out[slash > 1 ? slash - 1 : slash] = '\0';
    return true;
}

// What a name says of its moment; -1: nothing.
struct moment {
    int64_t year, month, day, hour, minute, second, micro, unix_s;
};

static bool read_number(const char **found, int digits, int64_t *out)
{
    size_t n = 0;
    while ((*found)[n] >= '0' && (*found)[n] <= '9' && (digits == 0 || n < (size_t)digits) && n < 18) {
        n++;
    }
    if (n == 0 || (digits != 0 && n != (size_t)digits)) {
        return false;
    }
    bool ok = gtv_parse_int((struct gtv_str){*found, n}, 0, INT64_MAX, out);
    *found += n;
    return ok;
}

static bool read_place(const char **found, char place, struct moment *m)
{
    switch (place) {
    case 'Y':
        return read_number(found, 4, &m->year);
    case 'm':
        return read_number(found, 2, &m->month);
    case 'd':
        return read_number(found, 2, &m->day);
    case 'H':
        return read_number(found, 2, &m->hour);
    case 'M':
        return read_number(found, 2, &m->minute);
    case 'S':
        return read_number(found, 2, &m->second);
    case 'f':
        return read_number(found, 6, &m->micro);
    case 's':
        return read_number(found, UNIX_DIGITS, &m->unix_s);
    default:
        return *(*found)++ == '%';
    }
}

static bool to_us(const struct moment *m, int64_t *us)
{
    int64_t s = m->unix_s;
    if (s < 0) {
        struct tm tm = {.tm_year = (int)m->year - 1900,
                        .tm_mon = (int)m->month - 1,
                        .tm_mday = (int)m->day,
                        .tm_hour = (int)m->hour,
                        .tm_min = (int)m->minute,
                        .tm_sec = (int)m->second,
                        .tm_isdst = -1};
        s = (int64_t)mktime(&tm);
    }
    if (s < 0 || s > UNIX_MAX) {
        return false;
    }
    *us = s * 1000000 + (m->micro > 0 ? m->micro : 0);
    return true;
}

// What may stand behind the pattern: the extension, and "_N" before it.
static bool is_ending(const char *found)
{
    int64_t copy;
    if (*found == '_') {
        found++;
        if (!read_number(&found, 0, &copy)) {
            return false;
        }
    }
    return strcmp(found, GTV_RECORD_EXTENSION) == 0;
}

bool gtv_record_pattern_match(const char *root, const char *pattern, const char *name, const char *found,
                              bool whole, int64_t *start_us)
{
    struct moment m = {-1, -1, -1, -1, -1, -1, -1, -1};
    char before[GTV_RECORD_FILE_MAX];
    struct writer w = {before, 0, false};
    before[0] = '\0';
    const char *p = put_root(&w, root, pattern);
    size_t n = strlen(name);
    if (w.full || strncmp(found, before, w.at) != 0) {
        return false;
    }
    found += w.at;
    for (; *p != '\0'; p++) {
        if (*found == '\0') {
            return !whole && *p == '/'; // a folder on the way to such files
        }
        if (*p != '%') {
            if (*p != *found++) {
                return false;
            }
        } else if (is_name(gtv_str_of(p))) {
            if (strncmp(found, name, n) != 0) {
                // A name with slashes is several folders.
                size_t some = strlen(found);
                return !whole && some < n && strncmp(found, name, some) == 0 && name[some] == '/';
            }
            found += n;
            p += 4;
        } else if (!read_place(&found, *++p, &m)) {
            return false;
        }
    }
    return whole && is_ending(found) && to_us(&m, start_us);
}
