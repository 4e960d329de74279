#include "services/media/duration.h"

#include <inttypes.h>
#include <stdio.h>

#define DAY_MS INT64_C(86400000)
#define MAX_US (3650.0 * 86400e6)

static const struct unit {
    const char *name;
    double us;
} units[] = {{"ns", 1e-3}, {"us", 1},   {"µs", 1},     {"μs", 1},     {"ms", 1e3},
             {"s", 1e6},   {"m", 60e6}, {"h", 3600e6}, {"d", 86400e6}};

static bool fail(struct gtv_error *err, const char *format, struct gtv_str text)
{
    char quoted[80];
    size_t n = 0;
    // Go quotes the text; what would need an escape is shown as a question mark.
    for (size_t i = 0; i < text.n && n + 1 < sizeof quoted; i++) {
        unsigned char c = (unsigned char)text.p[i];
        quoted[n++] = (char)(c < 0x20 || c == '"' || c == '\\' || c == 0x7f ? '?' : c);
    }
    quoted[n] = '\0';
    gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "time: %s \"%s\"", format, quoted);
    return false;
}

// Reads "12.5" at the start of *s; false without a digit.
static bool read_number(struct gtv_str *s, double *out)
{
    double value = 0, scale = 1;
    bool digits = false, point = false;
    while (s->n > 0) {
        char c = s->p[0];
        if (c >= '0' && c <= '9') {
            digits = true;
            if (point) {
                scale /= 10;
                value += scale * (c - '0');
            } else {
                value = value * 10 + (c - '0');
            }
        } else if (c == '.' && !point) {
            point = true;
        } else {
            break;
        }
        s->p++;
        s->n--;
    }
    *out = value;
    return digits;
}

static const struct unit *read_unit(struct gtv_str *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '.' && !(s->p[n] >= '0' && s->p[n] <= '9')) {
        n++;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (gtv_str_eq((struct gtv_str){s->p, n}, gtv_str_of(units[i].name))) {
            s->p += n;
            s->n -= n;
            return &units[i];
        }
    }
    return NULL;
}

bool gtv_duration_parse(struct gtv_str text, int64_t *ms, struct gtv_error *err)
{
    struct gtv_str rest = text;
    bool negative = false;
    if (rest.n > 0 && (rest.p[0] == '-' || rest.p[0] == '+')) {
        negative = rest.p[0] == '-';
        rest.p++;
        rest.n--;
    }
    if (rest.n == 0) {
        return fail(err, "invalid duration", text);
    }
    double us = 0;
    // "0" is the one number that needs no unit.
    while (rest.n > 0 && !gtv_str_eq(rest, GTV_STR("0"))) {
        double number = 0;
        if (!read_number(&rest, &number)) {
            return fail(err, "invalid duration", text);
        }
        if (rest.n == 0) {
            return fail(err, "missing unit in duration", text);
        }
        const struct unit *unit = read_unit(&rest);
        if (unit == NULL) {
            return fail(err, "unknown unit in duration", text);
        }
        us += number * unit->us;
        if (us > MAX_US) {
            return fail(err, "invalid duration", text);
        }
    }
    int64_t value = (int64_t)(us / 1000 + 1e-6);
    *ms = negative ? -value : value;
    return true;
}

const char *gtv_duration_write(int64_t ms, char out[GTV_DURATION_CAP])
{
    const char *sign = ms < 0 ? "-" : "";
    int64_t rest = ms < 0 ? -ms : ms;
    int64_t days = rest / DAY_MS;
    rest %= DAY_MS;
    char day[24] = "";
    if (days > 0) {
        snprintf(day, sizeof day, "%" PRId64 "d", days);
    }
    char clock[GTV_DURATION_CAP - 24] = "";
    int hours = (int)(rest / 3600000), minutes = (int)(rest / 60000 % 60), millis = (int)(rest % 60000);
    char seconds[16];
    if (millis % 1000 == 0) {
        snprintf(seconds, sizeof seconds, "%ds", millis / 1000);
    } else {
        snprintf(seconds, sizeof seconds, "%d.%03d", millis / 1000, millis % 1000);
        size_t n = strlen(seconds);
        while (seconds[n - 1] == '0') {
            n--;
        }
        seconds[n] = 's';
        seconds[n + 1] = '\0';
    }
    if (rest == 0 && days > 0) {
        clock[0] = '\0';
    } else if (hours > 0) {
        snprintf(clock, sizeof clock, "%dh%dm%s", hours, minutes, seconds);
    } else if (minutes > 0) {
        snprintf(clock, sizeof clock, "%dm%s", minutes, seconds);
    } else if (rest > 0 && rest < 1000) {
        snprintf(clock, sizeof clock, "%dms", (int)rest);
    } else {
        snprintf(clock, sizeof clock, "%s", seconds);
    }
    snprintf(out, GTV_DURATION_CAP, "%s%s%s", sign, day, clock);
    return out;
}
