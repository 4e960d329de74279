#include "services/supervisor/control.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPEAKERS_MAX = 8, LINE_CAP = 64, ANSWER_CAP = 320, BACKLOG = 8 };

#define SOCKET_NAME "control.sock"

struct speaker {
    uv_pipe_t pipe;
    uv_write_t write;
    struct control *control;
    struct speaker *next;
    size_t n;
    bool heard; // its line is whole
    char line[LINE_CAP], answer[ANSWER_CAP];
};

struct control {
    uv_pipe_t server;
    struct gtv_loop *loop;
    int folder;
    bool (*restart)(void *arg, const char *name, struct gtv_error *err);
    void *arg;
    struct speaker *speakers;
    size_t count;
};

static void free_speaker(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop(struct speaker *s)
{
    if (uv_is_closing((uv_handle_t *)&s->pipe))
        return;
    if (s->control) {
        struct speaker **at = &s->control->speakers;
        while (*at != s)
            at = &(*at)->next;
        *at = s->next;
        s->control->count--;
        s->control = NULL;
    }
    uv_close((uv_handle_t *)&s->pipe, free_speaker);
}

static void on_written(uv_write_t *req, int status)
{
    drop(req->data);
}

static void answer(struct speaker *s, bool ok, const char *name, const char *text)
{
    int n = snprintf(s->answer, sizeof s->answer, "%s: %s%s%s\n", ok ? "ok" : "error", name,
                     *name ? ": " : "", text);
    size_t len = (size_t)n < sizeof s->answer ? (size_t)n : sizeof s->answer - 1;
    uv_buf_t buf = uv_buf_init(s->answer, (unsigned)len);
    s->write.data = s;
    if (uv_write(&s->write, (uv_stream_t *)&s->pipe, &buf, 1, on_written) != 0)
        drop(s);
}

static void hear(struct speaker *s)
{
    static const char verb[] = "restart ";
    struct gtv_error err = {0};
    s->heard = true;
    if (strncmp(s->line, verb, sizeof verb - 1) != 0) {
        answer(s, false, "", "the only order is: restart NAME");
        return;
    }
    // What is left in the line is the name, by which the answer finds this speaker.
    memmove(s->line, s->line + sizeof verb - 1, sizeof s->line - (sizeof verb - 1));
    if (!s->control->restart(s->control->arg, s->line, &err))
        answer(s, false, "", err.message);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct speaker *s = handle->data;
    *buf = uv_buf_init(s->line + s->n, (unsigned)(sizeof s->line - 1 - s->n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct speaker *s = stream->data;
    if (n == 0)
        return;
    if (n < 0 && !(n == UV_EOF && s->heard)) {
        drop(s);
        return;
    }
    s->n += n > 0 ? (size_t)n : 0;
    char *end = memchr(s->line, '\n', s->n);
    if (n < 0 || end || s->n == sizeof s->line - 1)
        (void)uv_read_stop(stream);
    if (end)
        *end = '\0';
    if (end && !s->heard)
        hear(s);
    else if (s->n == sizeof s->line - 1)
        answer(s, false, "", "the line is too long");
}

static void on_speaker(uv_stream_t *server, int status)
{
    struct control *c = server->data;
    if (status != 0)
        return;
    struct speaker *s = GTV_NEW(struct speaker);
    (void)uv_pipe_init(gtv_loop_uv(c->loop), &s->pipe, 0);
    s->pipe.data = s;
    if (uv_accept(server, (uv_stream_t *)&s->pipe) != 0 || c->count == SPEAKERS_MAX) {
        drop(s);
        return;
    }
    s->control = c;
    s->next = c->speakers;
    c->speakers = s;
    c->count++;
    if (uv_read_start((uv_stream_t *)&s->pipe, on_alloc, on_read) != 0)
        drop(s);
}

void control_told(struct control *c, const char *name, bool ok, const char *text)
{
    for (struct speaker *s = c ? c->speakers : NULL, *next; s; s = next) {
        next = s->next;
        if (s->heard && !s->answer[0] && strcmp(s->line, name) == 0)
            answer(s, ok, name, text);
    }
}

static void free_control(uv_handle_t *handle)
{
    struct control *c = handle->data;
    free(c);
}

struct control *control_create(struct gtv_loop *loop, const char *data,
                               bool (*restart)(void *arg, const char *name, struct gtv_error *err), void *arg,
                               struct gtv_error *err)
{
    struct control *c = GTV_NEW(struct control);
    char *folder = gtv_asprintf("%s/run", data), path[64];
    c->loop = loop;
    c->restart = restart;
    c->arg = arg;
    (void)uv_pipe_init(gtv_loop_uv(loop), &c->server, 0);
    c->server.data = c;
    // By the folder's descriptor: a socket's address is short, the path of a data folder need not be.
    c->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = c->folder < 0 ? -errno : 0;
    if (rc == 0)
        (void)unlinkat(c->folder, SOCKET_NAME, 0); // the folder's lock is ours: it is of an earlier run
    snprintf(path, sizeof path, "/proc/self/fd/%d/" SOCKET_NAME, c->folder);
    rc = rc != 0 ? rc : uv_pipe_bind(&c->server, path);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)&c->server, BACKLOG, on_speaker);
    if (rc != 0)
        gtv_error_set(err, GTV_E_IO, "GTV_DATA", "The socket \"%s/" SOCKET_NAME "\" cannot be opened: %s",
                      folder, uv_strerror(rc));
    free(folder);
    if (rc == 0)
        return c;
    control_destroy(c);
    return NULL;
}

void control_destroy(struct control *c)
{
    if (!c)
        return;
    while (c->speakers)
        drop(c->speakers);
    uv_close((uv_handle_t *)&c->server, free_control); // and removes it
    if (c->folder >= 0)
        close(c->folder);
}
