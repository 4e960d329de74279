#include "lib/log/log.h"

#include "lib/base/clock.h"
#include "lib/base/url.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// A longer line is cut, after its passwords were taken out.
enum { LINE_CAP = 8192, FIELDS_CAP = 2048 };

static atomic_int current_level = GTV_LOG_INFO;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

bool gtv_log_level_parse(struct gtv_str s, enum gtv_log_level *out)
{
    for (int i = GTV_LOG_DEBUG; i <= GTV_LOG_ERROR; i++) {
        if (gtv_str_ieq(s, gtv_str_of(level_names[i]))) {
            *out = (enum gtv_log_level)i;
            return true;
        }
    }
    if (gtv_str_ieq(s, GTV_STR("warn")))
        *out = GTV_LOG_WARNING;
    else if (gtv_str_ieq(s, GTV_STR("critical")))
        *out = GTV_LOG_ERROR;
    else
        return false;
    return true;
}

void gtv_log_set_level(enum gtv_log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

bool gtv_log_enabled(enum gtv_log_level level)
{
    return (int)level >= atomic_load_explicit(&current_level, memory_order_relaxed);
}

// A line under construction. Room for the last newline is kept aside.
struct line {
    char text[LINE_CAP];
    size_t len;
};

static void put(struct line *l, const char *p, size_t n)
{
    if (n > LINE_CAP - 1 - l->len)
        n = LINE_CAP - 1 - l->len;
    memcpy(l->text + l->len, p, n);
    l->len += n;
}

static void put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

// Writes the character at the front of s, escaped if it would break the line or is no UTF-8. Returns its
// length in s.
static size_t put_char(struct line *l, struct gtv_str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = gtv_utf8_next(s);
    if (c == '\n') {
        put_str(l, "\\n");
    } else if (c == '\r') {
        put_str(l, "\\r");
    } else if (c == '\t') {
        put_str(l, "\\t");
    } else if (c < 0x20 || c == 0x7f || n == 0) {
        char hex[8];
        snprintf(hex, sizeof(hex), "\\x%02x", c);
        put_str(l, hex);
        n = 1;
    } else {
        put(l, s.p, n);
    }
    return n;
}

static bool key_follows(struct gtv_str s)
{
    if (s.n == 0)
        return true;
    if (s.p[0] != ' ')
        return false;
    size_t i = 1;
    while (i < s.n && ((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
                       (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_' || s.p[i] == '.'))
        i++;
    return i > 1 && i < s.n && s.p[i] == '=';
}

// Fields come ready as key=value key="value"; a quote inside a quoted value is told from its end by what
// follows it.
static void put_fields(struct line *l, struct gtv_str s)
{
    bool quoted = false;
    char last = ' ';
    while (s.n) {
        struct gtv_str rest = {s.p + 1, s.n - 1};
        size_t n = 1;
        if (s.p[0] == '"' && !quoted) {
            quoted = last == '=';
            put_str(l, "\"");
        } else if (s.p[0] == '"' && key_follows(rest)) {
            quoted = false;
            put_str(l, "\"");
        } else if (s.p[0] == '"') {
            put_str(l, "\\\"");
        } else {
            n = put_char(l, s);
        }
        last = s.p[0];
        s.p += n;
        s.n -= n;
    }
    if (quoted && l->len == LINE_CAP - 1)
        l->text[l->len - 1] = '"'; // the value was cut
}

static void put_quoted(struct line *l, struct gtv_str s)
{
    put_str(l, "\"");
    while (s.n) {
        size_t n = 1;
        if (s.p[0] == '"' || s.p[0] == '\\')
            put_str(l, s.p[0] == '"' ? "\\\"" : "\\\\");
        else
            n = put_char(l, s);
        s.p += n;
        s.n -= n;
    }
    put_str(l, "\"");
}

static void put_redacted(struct line *l, struct gtv_str s, void (*write)(struct line *, struct gtv_str))
{
    char clean[LINE_CAP];
    size_t n = gtv_redact(s, clean, sizeof(clean));
    write(l, (struct gtv_str){clean, n});
}

// The whole text is formatted before anything is cut: a password that lost its @ could not be recognised any
// more.
__attribute__((format(printf, 2, 0))) static void put_formatted(struct line *l, const char *fmt, va_list ap)
{
    char small[FIELDS_CAP];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    char *text = small;
    if (n >= (int)sizeof(small)) {
        text = malloc((size_t)n + 1);
        if (text)
            vsnprintf(text, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (n > 0 && text) {
        put_str(l, " ");
        put_redacted(l, (struct gtv_str){text, (size_t)n}, put_fields);
    }
    if (text != small)
        free(text);
}

static void write_all(const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(STDERR_FILENO, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; // there is nobody left to tell
        p += done;
        n -= (size_t)done;
    }
}

void gtv_log_write(const struct gtv_log *log, enum gtv_log_level level, const char *msg, const char *fmt, ...)
{
    if (!gtv_log_enabled(level))
        return;
    int saved = errno; // callers log between a failure and their own look at it
    struct line l;
    l.len = 0;
    char time[GTV_ISO8601_CAP];
    put_str(&l, "ts=");
    put_str(&l, gtv_iso8601_utc(gtv_wall_ms(), time));
    put_str(&l, " level=");
    put_str(&l, level_names[level]);
    put_str(&l, " comp=");
    put_str(&l, log && log->component ? log->component : "gtv");
    if (log && log->key && log->id) {
        put_str(&l, " ");
        put_str(&l, log->key);
        put_str(&l, "=");
        put_redacted(&l, gtv_str_of(log->id), put_fields);
    }
    put_str(&l, " msg=");
    put_redacted(&l, gtv_str_of(msg), put_quoted);
    if (fmt && fmt[0]) {
        va_list ap;
        va_start(ap, fmt);
        put_formatted(&l, fmt, ap);
        va_end(ap);
    }
    l.text[l.len++] = '\n';
    write_all(l.text, l.len);
    errno = saved;
}
