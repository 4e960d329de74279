#include "lib/log/log.h"

#include "lib/base/clock.h"
#include "lib/base/url.h"
#include "lib/log/line.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { FIELDS_CAP = 2048 };

static atomic_int current_level = GTV_LOG_INFO, current_format = GTV_LOG_LOGFMT;

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

bool gtv_log_format_parse(struct gtv_str s, enum gtv_log_format *out)
{
    bool json = gtv_str_ieq(s, GTV_STR("json"));
    *out = json ? GTV_LOG_JSON : GTV_LOG_LOGFMT;
    return json || gtv_str_ieq(s, GTV_STR("logfmt"));
}

void gtv_log_set_format(enum gtv_log_format format)
{
    atomic_store_explicit(&current_format, (int)format, memory_order_relaxed);
}

void gtv_log_use_format(const char *name)
{
    enum gtv_log_format format;
    if (name && gtv_log_format_parse(gtv_str_of(name), &format))
        gtv_log_set_format(format);
}

void log_put(struct log_line *l, const char *p, size_t n)
{
    size_t room = LOG_LINE_CAP - LOG_LINE_TAIL - l->len;
    if (l->cut || n > room) {
        l->cut = true;
        return;
    }
    memcpy(l->text + l->len, p, n);
    l->len += n;
}

void log_put_str(struct log_line *l, const char *s)
{
    log_put(l, s, strlen(s));
}

bool log_key_at(struct gtv_str s)
{
    size_t i = 0;
    while (i < s.n && ((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
                       (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_' || s.p[i] == '.'))
        i++;
    return i > 0 && i < s.n && s.p[i] == '=';
}

bool log_key_follows(struct gtv_str s)
{
    return s.n == 0 || (s.p[0] == ' ' && log_key_at((struct gtv_str){s.p + 1, s.n - 1}));
}

// What stands before each key that the format, not a value, says: nobody who writes a value can know it, and
// so no value can end before its field does, whatever is in it.
enum { MARK_LEN = 18, FORMAT_CAP = 1024 };
static char mark[MARK_LEN + 1]; // written once, by make_mark
static pthread_once_t mark_made = PTHREAD_ONCE_INIT;

static void make_mark(void)
{
    uint64_t secret = 0;
    if (getrandom(&secret, sizeof(secret), GRND_NONBLOCK) != (ssize_t)sizeof(secret))
        secret = (uint64_t)gtv_wall_us();
    (void)snprintf(mark, sizeof(mark), "\x1f%016llx\x1f", (unsigned long long)secret);
}

// The format with the mark before its keys; NULL when it is too long for that.
static const char *marked_format(const char *fmt, char out[FORMAT_CAP])
{
    size_t n = 0;
    bool border = true, in_quotes = false;
    (void)pthread_once(&mark_made, make_mark);
    for (const char *p = fmt; *p; p++) {
        if (border && log_key_at(gtv_str_of(p))) {
            if (n + MARK_LEN >= FORMAT_CAP)
                return NULL;
            memcpy(out + n, mark, MARK_LEN);
            n += MARK_LEN;
        }
        if (n + 1 >= FORMAT_CAP)
            return NULL;
        out[n++] = *p;
        in_quotes ^= *p == '"';
        border = *p == ' ' && !in_quotes;
    }
    out[n] = '\0';
    return out;
}

// One field as the format has it, or what stands before the first of them.
static void put_piece(struct log_line *l, const struct log_form *form, struct gtv_str s)
{
    ptrdiff_t equals = gtv_str_find(s, '=');
    size_t from = equals < 0 ? 0 : (size_t)equals + 1;
    while (s.n > from && s.p[s.n - 1] == ' ')
        s.n--;
    if (!log_key_at(s) || s.n <= from || s.p[from] != '"') {
        if (s.n)
            form->fields(l, s);
        return;
    }
    struct gtv_str key = {s.p, from - 1}, value = {s.p + from + 1, s.n - from - 1};
    if (value.n && value.p[value.n - 1] == '"')
        value.n--;
    form->quoted(l, key, value);
}

static void put_marked(struct log_line *l, const struct log_form *form, struct gtv_str s)
{
    while (s.n) {
        const char *next = memmem(s.p, s.n, mark, MARK_LEN);
        size_t n = next ? (size_t)(next - s.p) : s.n;
        put_piece(l, form, (struct gtv_str){s.p, n});
        n += next ? MARK_LEN : 0;
        s.p += n;
        s.n -= n;
    }
}

// The whole text is formatted before anything is cut: a password that lost its @ could not be recognised any
// more.
__attribute__((format(printf, 3, 0))) static void
put_formatted(struct log_line *l, const struct log_form *form, const char *fmt, va_list ap)
{
    char small[FIELDS_CAP], format[FORMAT_CAP], clean[LOG_LINE_CAP];
    const char *marked = marked_format(fmt, format);
    va_list again;
    va_copy(again, ap);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" // the caller's, which was checked, and marks without a %
    int n = vsnprintf(small, sizeof(small), marked ? marked : fmt, ap);
    char *text = small;
    if (n >= (int)sizeof(small)) {
        text = malloc((size_t)n + 1);
        if (text)
            vsnprintf(text, (size_t)n + 1, marked ? marked : fmt, again);
    }
#pragma GCC diagnostic pop
    va_end(again);
    if (n > 0 && text) {
        size_t len = gtv_redact((struct gtv_str){text, (size_t)n}, clean, sizeof(clean));
        if (marked)
            put_marked(l, form, (struct gtv_str){clean, len});
        else
            form->fields(l, (struct gtv_str){clean, len});
    }
    if (text != small)
        free(text);
}

static void put_cause(struct log_line *l, const struct log_form *form, const struct gtv_cause *c)
{
    if (c->request[0])
        form->plain(l, GTV_STR("request_id"), gtv_str_of(c->request));
    if (c->trace[0])
        form->plain(l, GTV_STR("trace_id"), gtv_str_of(c->trace));
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
    const struct log_form *form = atomic_load_explicit(&current_format, memory_order_relaxed) == GTV_LOG_JSON
                                      ? &log_form_json
                                      : &log_form_logfmt;
    struct log_line l;
    l.len = 0;
    l.cut = false;
    char time[GTV_ISO8601_CAP], clean[LOG_LINE_CAP];
    form->plain(&l, GTV_STR("ts"), gtv_str_of(gtv_iso8601_utc(gtv_wall_ms(), time)));
    form->plain(&l, GTV_STR("level"), gtv_str_of(level_names[level]));
    form->plain(&l, GTV_STR("comp"), gtv_str_of(log && log->component ? log->component : "gtv"));
    if (log && log->key && log->id) {
        size_t n = gtv_redact(gtv_str_of(log->id), clean, sizeof(clean));
        form->plain(&l, gtv_str_of(log->key), (struct gtv_str){clean, n});
    }
    if (log && log->cause)
        put_cause(&l, form, log->cause);
    size_t n = gtv_redact(gtv_str_of(msg), clean, sizeof(clean));
    form->text(&l, GTV_STR("msg"), (struct gtv_str){clean, n});
    if (fmt && fmt[0]) {
        va_list ap;
        va_start(ap, fmt);
        put_formatted(&l, form, fmt, ap);
        va_end(ap);
    }
    form->end(&l);
    l.text[l.len++] = '\n';
    write_all(l.text, l.len);
    errno = saved;
}
