#include "lib/base/str.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

bool gtv_str_eq(struct gtv_str a, struct gtv_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool gtv_str_ieq(struct gtv_str a, struct gtv_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

bool gtv_str_starts(struct gtv_str s, struct gtv_str prefix)
{
    return s.n >= prefix.n && gtv_str_eq((struct gtv_str){s.p, prefix.n}, prefix);
}

bool gtv_str_ends(struct gtv_str s, struct gtv_str suffix)
{
    if (suffix.n == 0)
        return true;
    return s.n >= suffix.n && gtv_str_eq((struct gtv_str){s.p + (s.n - suffix.n), suffix.n}, suffix);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

struct gtv_str gtv_str_trim(struct gtv_str s)
{
    while (s.n && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

ptrdiff_t gtv_str_find(struct gtv_str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

struct gtv_str gtv_str_cut(struct gtv_str *s, char sep)
{
    struct gtv_str head = *s;
    ptrdiff_t at = gtv_str_find(*s, sep);
    if (at < 0) {
        *s = (struct gtv_str){s->n ? s->p + s->n : s->p, 0};
        return head;
    }
    head.n = (size_t)at;
    s->p += at + 1;
    s->n -= (size_t)at + 1;
    return head;
}

bool gtv_parse_int(struct gtv_str s, int64_t min, int64_t max, int64_t *out)
{
    bool negative = s.n && s.p[0] == '-';
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    if (i == s.n)
        return false;
    // Counted downwards, because the negative range is one larger.
    int64_t v = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_sub_overflow(v, (int64_t)(s.p[i] - '0'), &v))
            return false;
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, v, &v))
        return false;
    if (v < min || v > max)
        return false;
    *out = v;
    return true;
}

bool gtv_parse_double(struct gtv_str s, double min, double max, double *out)
{
    char text[64];
    if (s.n == 0 || !gtv_str_copy(text, sizeof(text), s))
        return false;
    // strtod also takes spaces, hexadecimal, inf and nan.
    for (size_t i = 0; i < s.n; i++) {
        if (!strchr("0123456789+-.eE", text[i]))
            return false;
    }
    char *end;
    double v = strtod(text, &end);
    if (end != text + s.n || !isfinite(v) || v < min || v > max)
        return false;
    *out = v;
    return true;
}

bool gtv_parse_bool(struct gtv_str s, bool *out)
{
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (gtv_str_ieq(s, gtv_str_of(yes[i]))) {
            *out = true;
            return true;
        }
        if (gtv_str_ieq(s, gtv_str_of(no[i]))) {
            *out = false;
            return true;
        }
    }
    return false;
}

bool gtv_str_copy(char *dst, size_t cap, struct gtv_str s)
{
    if (s.n >= cap) {
        if (cap)
            dst[0] = '\0';
        return false;
    }
    if (s.n)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return true;
}

// Length of the well-formed sequence at p (RFC 3629, section 4), or 0.
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xC2 && p[0] <= 0xDF   ? 2
                 : (p[0] & 0xF0) == 0xE0        ? 3
                 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4
                                                : 0;
    if (len == 0 || len > n)
        return 0;
    unsigned char low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return len;
}

size_t gtv_utf8_next(struct gtv_str s)
{
    return s.n ? utf8_sequence((const unsigned char *)s.p, s.n) : 0;
}

bool gtv_utf8_valid(struct gtv_str s)
{
    while (s.n) {
        size_t len = gtv_utf8_next(s);
        if (len == 0)
            return false;
        s.p += len;
        s.n -= len;
    }
    return true;
}
