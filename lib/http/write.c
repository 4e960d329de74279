// Writing: straight to the socket while it takes everything, else a queue of referenced pieces behind one
// uv_write at a time.
#include "lib/http/internal.h"

#include "lib/base/mem.h"

#include <stdlib.h>

enum { MAX_BUFS = 64 }; // of one writev

size_t http_pending(const struct gtv_http_conn *c)
{
    return c->out ? c->out->queued + uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) : 0;
}

static void push(struct gtv_http_conn *c, struct gtv_bytes *bytes, size_t off)
{
    struct http_out *out = c->out;
    if (!out) {
        out = GTV_NEW(struct http_out);
        out->conn = c;
        out->pieces = out->few;
        out->cap = sizeof(out->few) / sizeof(out->few[0]);
        c->out = out;
        http_conn_deadline(c, uv_now(c->server->uv) + c->server->config.write_timeout_ms / 4);
    }
    if (out->count == out->cap) {
        struct http_piece *grown = gtv_alloc(out->cap * 2 * sizeof(*grown));
        for (size_t i = 0; i < out->count; i++) {
            grown[i] = out->pieces[(out->first + i) & (out->cap - 1)];
        }
        if (out->pieces != out->few) {
            free(out->pieces);
        }
        out->pieces = grown;
        out->first = 0;
        out->cap *= 2;
    }
    out->pieces[(out->first + out->count++) & (out->cap - 1)] = (struct http_piece){bytes, off};
    out->queued += bytes->len - off;
}

static struct http_piece *piece_at(struct http_out *out, size_t i)
{
    return &out->pieces[(out->first + i) & (out->cap - 1)];
}

static void pop(struct http_out *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gtv_bytes_unref(piece_at(out, 0)->bytes);
        out->first = (out->first + 1) & (out->cap - 1);
        out->count--;
    }
}

void http_out_free(struct gtv_http_conn *c)
{
    struct http_out *out = c->out;
    if (!out) {
        return;
    }
    pop(out, out->count);
    if (out->pieces != out->few) {
        free(out->pieces);
    }
    free(out);
    c->out = NULL;
}

static void submit(struct gtv_http_conn *c);

static void on_written(uv_write_t *write, int status)
{
    struct http_out *out = write->data;
    struct gtv_http_conn *c = out->conn;
    pop(out, out->in_flight);
    out->in_flight = 0;
    if (c->state == HTTP_CONN_CLOSING) {
        return; // the close callback lets go of the rest
    }
    if (status != 0) {
        http_conn_close(c);
        return;
    }
    if (out->count > 0) {
        submit(c);
        return;
    }
    c->drain_due = true;
    http_conn_step(c);
}

static void submit(struct gtv_http_conn *c)
{
    struct http_out *out = c->out;
    uv_buf_t bufs[MAX_BUFS];
    size_t n = out->count < MAX_BUFS ? out->count : MAX_BUFS;
    for (size_t i = 0; i < n; i++) {
        struct http_piece *piece = piece_at(out, i);
        bufs[i] =
            uv_buf_init((char *)piece->bytes->data + piece->off, (unsigned)(piece->bytes->len - piece->off));
        out->queued -= piece->bytes->len - piece->off;
    }
    out->in_flight = n;
    out->write.data = out;
    if (uv_write(&out->write, (uv_stream_t *)&c->tcp, bufs, (unsigned)n, on_written) != 0) {
        out->in_flight = 0;
        http_conn_close(c);
    }
}

// Keeps what follows the first `done` bytes of the buffers.
static void keep_rest(struct gtv_http_conn *c, const uv_buf_t *bufs, struct gtv_bytes *const *pieces,
                      size_t n, size_t done)
{
    for (size_t i = 0; i < n; i++) {
        if (done >= bufs[i].len) {
            done -= bufs[i].len;
            continue;
        }
        struct gtv_bytes *bytes = pieces[i];
        if (bytes) {
            // The buffer may be a part of the piece.
            size_t from = (size_t)((const uint8_t *)bufs[i].base - bytes->data);
            if (from + bufs[i].len == bytes->len) {
                push(c, gtv_bytes_ref(bytes), from + done);
                done = 0;
                continue;
            }
        }
        bytes = gtv_bytes_copy(bufs[i].base + done, bufs[i].len - done);
        if (!bytes) {
            http_conn_close(c);
            return;
        }
        push(c, bytes, 0);
        done = 0;
    }
}

void http_flush(struct gtv_http_conn *c)
{
    if (c->state != HTTP_CONN_CLOSING && c->out && c->out->in_flight == 0 && c->out->count > 0) {
        submit(c);
    }
}

void http_send(struct gtv_http_conn *c, const uv_buf_t *bufs, struct gtv_bytes *const *pieces, size_t n)
{
    if (c->state == HTTP_CONN_CLOSING) {
        return;
    }
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += bufs[i].len;
    }
    c->server->counts.sent_bytes += total;
    size_t done = 0;
    if (!c->out) {
        int rc = uv_try_write((uv_stream_t *)&c->tcp, bufs, (unsigned)(n < MAX_BUFS ? n : MAX_BUFS));
        if (rc < 0 && rc != UV_EAGAIN) {
            http_conn_close(c);
            return;
        }
        done = rc > 0 ? (size_t)rc : 0;
        if (done == total) {
            return;
        }
    }
    keep_rest(c, bufs, pieces, n, done);
    http_flush(c);
}

void http_send_later(struct gtv_http_conn *c, const void *data, size_t n)
{
    if (c->state == HTTP_CONN_CLOSING) {
        return;
    }
    struct gtv_bytes *bytes = gtv_bytes_copy(data, n);
    if (!bytes) {
        http_conn_close(c);
        return;
    }
    c->server->counts.sent_bytes += n;
    push(c, bytes, 0);
    http_defer(c);
}
