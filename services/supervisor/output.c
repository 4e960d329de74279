#include "services/supervisor/output.h"

#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 8192, // a longer line is broken
    FILE_MAX_BYTES = 10 * 1024 * 1024,
};

struct output {
    char *path, *old_path;
    struct gtv_log log; // for lines of programs that are not ours
    char *name;
    int fd;
    int64_t size;
    size_t len;
    char line[LINE_MAX_BYTES];
};

static void open_file(struct output *o)
{
    struct stat st;
    o->fd = open(o->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    o->size = o->fd >= 0 && fstat(o->fd, &st) == 0 ? st.st_size : 0;
    if (o->fd < 0)
        gtv_log_error(&o->log, "the log file cannot be opened", "path=\"%s\" err=\"%s\"", o->path,
                      strerror(errno));
}

struct output *output_create(const char *folder, const char *name)
{
    struct output *o = GTV_NEW(struct output);
    o->name = gtv_strdup(name);
    o->log.component = o->name;
    o->path = gtv_asprintf("%s/%s.log", folder, name);
    o->old_path = gtv_asprintf("%s/%s.log.1", folder, name);
    open_file(o);
    return o;
}

void output_destroy(struct output *o)
{
    if (!o)
        return;
    output_flush(o);
    if (o->fd >= 0)
        close(o->fd);
    free(o->path);
    free(o->old_path);
    free(o->name);
    free(o);
}

static void to_file(struct output *o, const char *line, size_t n)
{
    if (o->fd < 0)
        return;
    if (o->size + (int64_t)n > FILE_MAX_BYTES) {
        close(o->fd);
        (void)rename(o->path, o->old_path);
        open_file(o);
        if (o->fd < 0)
            return;
    }
    // A full disk loses log lines, nothing else.
    ssize_t done = write(o->fd, line, n);
    if (done > 0)
        o->size += done;
}

// A terminal that was stopped, or a reader that fell asleep, must not stop the house: then the line is in the
// file only.
static bool stderr_takes_more(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

// Programs that are not ours have levels of their own. What HAProxy and Redis say of a start that went well
// is kept to the file.
static enum gtv_log_level level_of(const char *line)
{
    static const struct {
        const char *sign;
        enum gtv_log_level level;
    } signs[] = {{" is UP, reason", GTV_LOG_DEBUG},
                 {" is DOWN, reason", GTV_LOG_DEBUG}, // what died is told by who starts it again
                 {"has no server available", GTV_LOG_DEBUG},
                 {"[ALERT]", GTV_LOG_ERROR},
                 {"ERROR", GTV_LOG_ERROR},
                 {"Fatal", GTV_LOG_ERROR},
                 {"FATAL", GTV_LOG_ERROR},
                 {"Failed", GTV_LOG_ERROR},
                 {"[NOTICE]", GTV_LOG_DEBUG},
                 {"[WARNING]", GTV_LOG_WARNING},
                 {" # ", GTV_LOG_DEBUG},
                 {"signal-handler (", GTV_LOG_DEBUG},
                 {", reason: ", GTV_LOG_DEBUG},
                 {"WARNING", GTV_LOG_WARNING}};
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (strstr(line, signs[i].sign))
            return signs[i].level;
    }
    return GTV_LOG_INFO;
}

static void put_line(struct output *o)
{
    if (o->len == 0)
        return;
    char clean[LINE_MAX_BYTES + 64];
    size_t n = gtv_redact((struct gtv_str){o->line, o->len}, clean, sizeof(clean) - 1);
    struct gtv_str line = {clean, n};
    bool ours = gtv_str_starts(line, GTV_STR("ts=")) || gtv_str_starts(line, GTV_STR("{\"ts\":"));
    bool shown = stderr_takes_more();
    if (shown && !ours)
        gtv_log_write(&o->log, level_of(clean), clean, NULL);
    clean[n++] = '\n';
    if (shown && ours)
        while (write(STDERR_FILENO, clean, n) < 0 && errno == EINTR)
            ;
    to_file(o, clean, n);
    o->len = 0;
}

void output_feed(struct output *o, const char *data, size_t n)
{
    while (n) {
        const char *end = memchr(data, '\n', n);
        size_t take = end ? (size_t)(end - data) : n;
        size_t room = sizeof(o->line) - o->len;
        if (take > room) {
            take = room;
            end = NULL;
        }
        memcpy(o->line + o->len, data, take);
        o->len += take;
        data += take;
        n -= take;
        if (end) {
            data++;
            n--;
        }
        if (end || o->len == sizeof(o->line))
            put_line(o);
    }
}

void output_flush(struct output *o)
{
    put_line(o);
}
