// JSON (RFC 8259): one object a line, its members in the order of the other form.
#include "lib/log/line.h"

#include <stdio.h>

// Appends and says whether it had room.
static bool put(struct log_line *l, const char *p, size_t n)
{
    log_put(l, p, n);
    return !l->cut;
}

static bool put_escape(struct log_line *l, unsigned char c)
{
    char text[12];
    int n;
    switch (c) {
    case '"':
        return put(l, "\\\"", 2);
    case '\\':
        return put(l, "\\\\", 2);
    case '\n':
        return put(l, "\\n", 2);
    case '\r':
        return put(l, "\\r", 2);
    case '\t':
        return put(l, "\\t", 2);
    default:
        // What is no UTF-8 stands as the other form writes it.
        n = snprintf(text, sizeof(text), c < 0x80 ? "\\u%04x" : "\\\\x%02x", c);
        return put(l, text, (size_t)n);
    }
}

static void put_string(struct log_line *l, struct gtv_str s)
{
    if (!put(l, "\"", 1))
        return;
    bool fits = true;
    while (s.n && fits) {
        unsigned char c = (unsigned char)s.p[0];
        size_t n = gtv_utf8_next(s);
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\' || n == 0) {
            n = 1;
            fits = put_escape(l, c);
        } else {
            fits = put(l, s.p, n);
        }
        s.p += n;
        s.n -= n;
    }
    l->text[l->len++] = '"'; // of the line's tail when it was cut
}

// False when the line was cut before: a member is whole or not there.
static bool put_name(struct log_line *l, struct gtv_str name, bool own)
{
    static const char *const reserved[] = {"ts", "level", "comp", "msg", "request_id", "trace_id"};
    bool clash = false;
    for (size_t i = 0; !own && i < sizeof(reserved) / sizeof(reserved[0]); i++)
        clash |= gtv_str_eq(name, gtv_str_of(reserved[i]));
    size_t start = l->len;
    bool ok = !l->cut && put(l, l->len ? ",\"" : "{\"", 2) && put(l, name.p, name.n) &&
              put(l, clash ? "_\":" : "\":", clash ? 3 : 2) && l->len + 2 < LOG_LINE_CAP - LOG_LINE_TAIL;
    if (!ok) {
        l->len = start;
        l->cut = true;
    }
    return ok;
}

static void text(struct log_line *l, struct gtv_str name, struct gtv_str value)
{
    if (put_name(l, name, true))
        put_string(l, value);
}

static void quoted(struct log_line *l, struct gtv_str key, struct gtv_str value)
{
    if (put_name(l, key, false))
        put_string(l, value);
}

static size_t digits(struct gtv_str s, size_t from)
{
    size_t i = from;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i - from;
}

// As RFC 8259 writes one, and short enough that every reader keeps it exactly.
static bool is_number(struct gtv_str s)
{
    size_t i = s.n && s.p[0] == '-', whole = digits(s, i);
    if (whole == 0 || whole > 15 || (whole > 1 && s.p[i] == '0'))
        return false;
    i += whole;
    if (i < s.n && s.p[i] == '.') {
        size_t part = digits(s, i + 1);
        if (part == 0 || part > 15)
            return false;
        i += 1 + part;
    }
    return i == s.n;
}

static void put_value(struct log_line *l, struct gtv_str value, bool in_quotes)
{
    bool bare = !in_quotes && (is_number(value) || gtv_str_eq(value, GTV_STR("true")) ||
                               gtv_str_eq(value, GTV_STR("false")));
    size_t start = l->len;
    if (!bare) {
        put_string(l, value);
    } else if (!put(l, value.p, value.n)) {
        l->len = start;
        l->text[l->len++] = '0'; // there was room for a digit; half of a number would be another one
    }
}

// Takes key= off the front.
static struct gtv_str take_key(struct gtv_str *s)
{
    size_t i = 0;
    while (i < s->n && s->p[i] != '=')
        i++;
    struct gtv_str key = {s->p, i};
    size_t used = i < s->n ? i + 1 : i;
    s->p += used;
    s->n -= used;
    return key;
}

// Takes the value off the front, quotes included; it ends where another key follows.
static struct gtv_str take_value(struct gtv_str *s, bool *in_quotes)
{
    *in_quotes = s->n && s->p[0] == '"';
    size_t from = *in_quotes ? 1 : 0, i = from;
    while (i < s->n) {
        struct gtv_str rest = {s->p + i + 1, s->n - i - 1};
        if (*in_quotes ? s->p[i] == '"' && log_key_follows(rest)
                       : log_key_follows((struct gtv_str){s->p + i, s->n - i}))
            break;
        i++;
    }
    struct gtv_str value = {s->p + from, i - from};
    if (*in_quotes && i < s->n)
        i++;
    s->p += i;
    s->n -= i;
    return value;
}

static void skip_spaces(struct gtv_str *s)
{
    while (s->n && s->p[0] == ' ') {
        s->p++;
        s->n--;
    }
}

static void fields(struct log_line *l, struct gtv_str s)
{
    for (skip_spaces(&s); s.n; skip_spaces(&s)) {
        bool in_quotes, named = log_key_at(s);
        struct gtv_str key = named ? take_key(&s) : GTV_STR("text"); // words without a key
        struct gtv_str value = take_value(&s, &in_quotes);
        if (put_name(l, key, false))
            put_value(l, value, in_quotes);
    }
}

static void end(struct log_line *l)
{
    static const char cut[] = ",\"cut\":true";
    if (l->cut) {
        memcpy(l->text + l->len, cut, sizeof(cut) - 1);
        l->len += sizeof(cut) - 1;
    }
    l->text[l->len++] = '}';
}

const struct log_form log_form_json = {text, text, quoted, fields, end};
