// logfmt: key=value, and key="value" where a value may hold spaces.
#include "lib/log/line.h"

#include <stdio.h>

// Writes the character at the front of s, escaped if it would break the line or is no UTF-8. Returns its
// length in s.
static size_t put_char(struct log_line *l, struct gtv_str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = gtv_utf8_next(s);
    if (c == '\n') {
        log_put_str(l, "\\n");
    } else if (c == '\r') {
        log_put_str(l, "\\r");
    } else if (c == '\t') {
        log_put_str(l, "\\t");
    } else if (c < 0x20 || c == 0x7f || n == 0) {
        char hex[8];
        snprintf(hex, sizeof(hex), "\\x%02x", c);
        log_put_str(l, hex);
        n = 1;
    } else {
        log_put(l, s.p, n);
    }
    return n;
}

static void put_name(struct log_line *l, struct gtv_str name)
{
    if (l->len)
        log_put_str(l, " ");
    log_put(l, name.p, name.n);
    log_put_str(l, "=");
}

static void text(struct log_line *l, struct gtv_str name, struct gtv_str s)
{
    put_name(l, name);
    log_put_str(l, "\"");
    while (s.n) {
        size_t n = 1;
        if (s.p[0] == '"' || s.p[0] == '\\')
            log_put_str(l, s.p[0] == '"' ? "\\\"" : "\\\\");
        else
            n = put_char(l, s);
        s.p += n;
        s.n -= n;
    }
    l->text[l->len++] = '"'; // of the line's tail when it was cut
}

static void plain(struct log_line *l, struct gtv_str name, struct gtv_str value)
{
    bool odd = value.n == 0;
    for (size_t i = 0; i < value.n; i++)
        odd |= value.p[i] <= ' ' || value.p[i] >= 0x7f || value.p[i] == '"' || value.p[i] == '\\';
    if (odd) {
        text(l, name, value);
        return;
    }
    put_name(l, name);
    log_put(l, value.p, value.n);
}

// Fields come ready as key=value key="value"; a quote inside a quoted value is told from its end by what
// follows it.
static void fields(struct log_line *l, struct gtv_str s)
{
    bool quoted = false;
    char last = ' ';
    log_put_str(l, " ");
    while (s.n) {
        struct gtv_str rest = {s.p + 1, s.n - 1};
        size_t n = 1;
        if (s.p[0] == '"' && !quoted) {
            quoted = last == '=';
            log_put_str(l, "\"");
        } else if (s.p[0] == '"' && log_key_follows(rest)) {
            quoted = false;
            log_put_str(l, "\"");
        } else if (s.p[0] == '"') {
            log_put_str(l, "\\\"");
        } else if (s.p[0] == '\\' && quoted) {
            log_put_str(l, "\\\\");
        } else {
            n = put_char(l, s);
        }
        last = s.p[0];
        s.p += n;
        s.n -= n;
    }
    if (quoted && l->cut)
        l->text[l->len++] = '"';
}

static void end(struct log_line *l)
{
}

const struct log_form log_form_logfmt = {plain, text, text, fields, end};
