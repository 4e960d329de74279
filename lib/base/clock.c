#include "lib/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t now_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t gtv_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t gtv_mono_ms(void)
{
    return gtv_mono_ns() / 1000000;
}

double gtv_thread_ms(void)
{
    return (double)now_ns(CLOCK_THREAD_CPUTIME_ID) / 1e6;
}

int64_t gtv_wall_us(void)
{
    return now_ns(CLOCK_REALTIME) / 1000;
}

int64_t gtv_wall_ms(void)
{
    return now_ns(CLOCK_REALTIME) / 1000000;
}

// Broken-down UTC; times that gmtime cannot hold become the epoch. Returns the milliseconds within the
// second.
static int split(int64_t wall_ms, struct tm *tm)
{
    int64_t ms = wall_ms % 1000;
    if (ms < 0)
        ms += 1000;
    time_t s = (time_t)((wall_ms - ms) / 1000);
    if (!gmtime_r(&s, tm) || tm->tm_year < -1900 || tm->tm_year > 9999 - 1900) {
        s = 0;
        gmtime_r(&s, tm);
        return 0;
    }
    return (int)ms;
}

// "2026-11-22T15:11:56." and as many digits of the second as asked for. The compiler cannot see the ranges of
// struct tm, hence the roomier buffer in between.
static void format_iso8601(int64_t wall_ms, int digits, const char *zone, char out[GTV_ISO8601_CAP])
{
    struct tm tm;
    int ms = split(wall_ms, &tm);
    int fraction = digits == 6 ? ms * 1000 : ms;
    char text[128];
    int n = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%0*d%s", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, digits, fraction, zone);
    if (!gtv_str_copy(out, GTV_ISO8601_CAP, (struct gtv_str){text, (size_t)n}))
        out[0] = '\0';
}

const char *gtv_iso8601_utc(int64_t wall_ms, char out[GTV_ISO8601_CAP])
{
    format_iso8601(wall_ms, 3, "Z", out);
    return out;
}

const char *gtv_iso8601_naive(int64_t wall_ms, char out[GTV_ISO8601_CAP])
{
    format_iso8601(wall_ms, 6, "", out);
    return out;
}

const char *gtv_http_date(int64_t wall_s, char out[GTV_ISO8601_CAP])
{
    // strftime would follow the locale.
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    split(wall_s * 1000, &tm);
    snprintf(out, GTV_ISO8601_CAP, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return out;
}

// Takes exactly `digits` digits from the front of *s.
static bool take_number(struct gtv_str *s, size_t digits, int min, int max, int *out)
{
    int64_t v;
    if (s->n < digits || s->p[0] < '0' || s->p[0] > '9' ||
        !gtv_parse_int((struct gtv_str){s->p, digits}, min, max, &v))
        return false;
    s->p += digits;
    s->n -= digits;
    *out = (int)v;
    return true;
}

static bool take_char(struct gtv_str *s, const char *any_of)
{
    if (s->n == 0 || s->p[0] == '\0' || !strchr(any_of, s->p[0]))
        return false;
    s->p++;
    s->n--;
    return true;
}

static bool take_time(struct gtv_str *s, struct tm *tm, int *ms)
{
    if (!take_number(s, 2, 0, 23, &tm->tm_hour) || !take_char(s, ":") ||
        !take_number(s, 2, 0, 59, &tm->tm_min) || !take_char(s, ":") ||
        !take_number(s, 2, 0, 60, &tm->tm_sec))
        return false;
    *ms = 0;
    if (!take_char(s, ".,"))
        return true;
    int scale = 100, digits = 0;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; s->p++, s->n--, digits++) {
        *ms += (s->p[0] - '0') * scale;
        scale /= 10;
    }
    return digits > 0;
}

bool gtv_iso8601_parse(struct gtv_str s, int64_t *wall_ms)
{
    struct tm tm = {0};
    int ms;
    if (!take_number(&s, 4, 0, 9999, &tm.tm_year) || !take_char(&s, "-") ||
        !take_number(&s, 2, 1, 12, &tm.tm_mon) || !take_char(&s, "-") ||
        !take_number(&s, 2, 1, 31, &tm.tm_mday) || !take_char(&s, "Tt ") || !take_time(&s, &tm, &ms))
        return false;
    int offset_min = 0;
    if (s.n && (s.p[0] == '+' || s.p[0] == '-')) {
        int sign = s.p[0] == '-' ? -1 : 1, hours, minutes;
        if (!take_char(&s, "+-") || !take_number(&s, 2, 0, 23, &hours))
            return false;
        (void)take_char(&s, ":");
        if (!take_number(&s, 2, 0, 59, &minutes))
            return false;
        offset_min = sign * (hours * 60 + minutes);
    } else {
        (void)take_char(&s, "Zz");
    }
    if (s.n)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int day = tm.tm_mday, month = tm.tm_mon;
    int second = tm.tm_sec;
    if (second == 60) // a leap second counts as the last one before it
        tm.tm_sec = 59;
    time_t t = timegm(&tm);
    if (tm.tm_mday != day || tm.tm_mon != month) // 30 February
        return false;
    *wall_ms = ((int64_t)t - (int64_t)offset_min * 60) * 1000 + ms;
    return true;
}
