// A chunk: basic header (1 to 3 bytes) -> message header (11, 7, 3 or 0 bytes) -> extended time stamp (0 or
// 4)
// -> payload, as much as the chunk size allows.
#include "services/media/rtmp/chunk.h"

#include "lib/base/mem.h"

#include <stdlib.h>

enum {
    DEFAULT_CHUNK = 128,
    HEADER_MAX = 3 + 11 + 4,
    EXTENDED = 0xffffff,
    SCRATCH_KEPT = 16 * 1024, // memory that a chunk stream keeps between messages
};

struct stream {
    uint32_t id; // 0: not in use
    uint32_t timestamp, delta, length, message_stream;
    uint8_t type;
    bool extended, running; // running: a message has begun
    struct gtv_buf body;
};

struct gtv_chunks {
    bool (*on_message)(void *arg, const struct gtv_rtmp_message *m);
    void *arg;
    uint32_t chunk_size;
    struct stream streams[GTV_RTMP_STREAMS_MAX];
    uint8_t header[HEADER_MAX];
    size_t header_len;
    struct stream *current; // whose payload comes; NULL: a header
    size_t left;            // of this chunk's payload
    size_t pending;         // bytes of all messages under way
    const char *why;
};

static uint32_t be(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

struct gtv_chunks *gtv_chunks_create(bool (*on_message)(void *arg, const struct gtv_rtmp_message *m),
                                     void *arg)
{
    struct gtv_chunks *c = GTV_NEW(struct gtv_chunks);
    c->on_message = on_message;
    c->arg = arg;
    c->chunk_size = DEFAULT_CHUNK;
    for (size_t i = 0; i < GTV_RTMP_STREAMS_MAX; i++) {
        gtv_buf_init(&c->streams[i].body, GTV_RTMP_MESSAGE_MAX);
    }
    return c;
}

void gtv_chunks_destroy(struct gtv_chunks *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < GTV_RTMP_STREAMS_MAX; i++) {
        gtv_buf_finish(&c->streams[i].body);
    }
    free(c);
}

static bool broken(struct gtv_chunks *c, const char *why)
{
    c->why = why;
    return false;
}

static struct stream *find(struct gtv_chunks *c, uint32_t id, bool make)
{
    struct stream *unused = NULL;
    for (size_t i = 0; i < GTV_RTMP_STREAMS_MAX; i++) {
        if (c->streams[i].id == id) {
            return &c->streams[i];
        }
        if (c->streams[i].id == 0 && unused == NULL) {
            unused = &c->streams[i];
        }
    }
    if (!make || unused == NULL) {
        return NULL;
    }
    unused->id = id;
    return unused;
}

static size_t basic_size(const struct gtv_chunks *c)
{
    unsigned low = c->header[0] & 0x3f;
    return low == 0 ? 2 : low == 1 ? 3 : 1;
}

static uint32_t stream_id(const struct gtv_chunks *c)
{
    const uint8_t *h = c->header;
    unsigned low = h[0] & 0x3f;
    return low == 0 ? 64 + (uint32_t)h[1] : low == 1 ? 64 + (uint32_t)h[1] + ((uint32_t)h[2] << 8) : low;
}

static const size_t message_sizes[4] = {11, 7, 3, 0};

// How long the header is, as far as its beginning tells.
static size_t header_size(struct gtv_chunks *c)
{
    if (c->header_len == 0) {
        return 1;
    }
    size_t basic = basic_size(c), n = basic + message_sizes[c->header[0] >> 6];
    if (c->header_len < basic) {
        return basic;
    }
    if (c->header_len < n) {
        return n;
    }
    if (c->header[0] >> 6 == 3) {
        const struct stream *s = find(c, stream_id(c), false);
        return n + (s != NULL && s->extended ? 4 : 0);
    }
    return n + (be(c->header + basic, 3) == EXTENDED ? 4 : 0);
}

static void drop_body(struct gtv_chunks *c, struct stream *s)
{
    c->pending -= s->body.len;
    s->running = false;
    if (s->body.cap > SCRATCH_KEPT) {
        gtv_buf_finish(&s->body);
        gtv_buf_init(&s->body, GTV_RTMP_MESSAGE_MAX);
    } else {
        gtv_buf_reset(&s->body);
    }
}

static bool control(struct gtv_chunks *c, const struct stream *s)
{
    const uint8_t *p = (const uint8_t *)s->body.data;
    if (s->body.len < 4) {
        return broken(c, "a control message is too short");
    }
    uint32_t value = be(p, 4);
    if (s->type == GTV_RTMP_SET_CHUNK_SIZE) {
        if (value == 0 || value > INT32_MAX) {
            return broken(c, "the chunk size is out of range");
        }
        c->chunk_size = value < GTV_RTMP_MESSAGE_MAX ? value : GTV_RTMP_MESSAGE_MAX;
        return true;
    }
    struct stream *aborted = value != 0 ? find(c, value, false) : NULL;
    if (aborted != NULL && aborted != s) {
        drop_body(c, aborted);
    }
    return true;
}

static bool complete(struct gtv_chunks *c, struct stream *s)
{
    bool ok = true;
    if (s->type == GTV_RTMP_SET_CHUNK_SIZE || s->type == GTV_RTMP_ABORT) {
        ok = control(c, s);
    } else {
        const struct gtv_rtmp_message m = {.type = s->type,
                                           .stream = s->message_stream,
                                           .timestamp = s->timestamp,
                                           .body = gtv_buf_str(&s->body)};
        ok = c->on_message(c->arg, &m);
    }
    drop_body(c, s);
    return ok;
}

static bool begin_chunk(struct gtv_chunks *c)
{
    size_t basic = basic_size(c);
    unsigned form = c->header[0] >> 6;
    const uint8_t *h = c->header + basic;
    struct stream *s = find(c, stream_id(c), form == 0);
    if (s == NULL) {
        return broken(c, form == 0 ? "too many chunk streams" : "a chunk stream begins without a header");
    }
    if (form < 3 && s->running) {
        drop_body(c, s); // a new message before the last one was whole: the peer gave that one up
    }
    if (form < 2) {
        s->length = be(h + 3, 3);
        s->type = h[6];
    }
    if (form == 0) {
        s->message_stream =
            (uint32_t)h[7] | (uint32_t)h[8] << 8 | (uint32_t)h[9] << 16 | (uint32_t)h[10] << 24;
    }
    if (form < 3) {
        uint32_t time = be(h, 3);
        s->extended = time == EXTENDED;
        if (s->extended) {
            time = be(h + message_sizes[form], 4);
        }
        s->delta = form == 0 ? 0 : time;
        s->timestamp = form == 0 ? time : s->timestamp + time;
    } else if (!s->running) {
        s->timestamp += s->delta;
    }
    if (s->length > GTV_RTMP_MESSAGE_MAX) {
        return broken(c, "a message is too long");
    }
    s->running = true;
    size_t missing = s->length - s->body.len;
    c->left = missing < c->chunk_size ? missing : c->chunk_size;
    c->header_len = 0;
    c->current = s;
    return true;
}

static bool end_chunk(struct gtv_chunks *c)
{
    struct stream *s = c->current;
    c->current = NULL;
    return s->body.len < s->length || complete(c, s);
}

static bool take_payload(struct gtv_chunks *c, struct gtv_str *data)
{
    size_t n = data->n < c->left ? data->n : c->left;
    if (c->pending + n > GTV_RTMP_MESSAGE_MAX || !gtv_buf_append(&c->current->body, data->p, n)) {
        return broken(c, "too much is under way in unfinished messages");
    }
    c->pending += n;
    c->left -= n;
    data->p += n;
    data->n -= n;
    return true;
}

bool gtv_chunks_push(struct gtv_chunks *c, struct gtv_str data, const char **why)
{
    c->why = NULL;
    while (data.n > 0) {
        bool ok = true;
        if (c->current == NULL) {
            c->header[c->header_len++] = (uint8_t)*data.p++;
            data.n--;
            if (c->header_len < header_size(c)) {
                continue;
            }
            ok = begin_chunk(c);
        } else {
            ok = take_payload(c, &data);
        }
        if (!ok || (c->left == 0 && !end_chunk(c))) {
            *why = c->why;
            return false;
        }
    }
    return true;
}

static void put_be(uint8_t *p, uint32_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        p[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
    }
}

void gtv_chunks_write(struct gtv_buf *out, unsigned chunk_stream, const struct gtv_rtmp_message *m)
{
    uint8_t h[12] = {(uint8_t)chunk_stream};
    bool extended = m->timestamp >= EXTENDED;
    put_be(h + 1, extended ? EXTENDED : m->timestamp, 3);
    put_be(h + 4, (uint32_t)m->body.n, 3);
    h[7] = m->type;
    for (unsigned i = 0; i < 4; i++) {
        h[8 + i] = (uint8_t)(m->stream >> (8 * i));
    }
    uint8_t time[4];
    put_be(time, m->timestamp, 4);
    gtv_buf_append(out, h, sizeof h);
    struct gtv_str rest = m->body;
    for (;;) {
        if (extended) {
            gtv_buf_append(out, time, sizeof time);
        }
        size_t n = rest.n < GTV_RTMP_OUT_CHUNK ? rest.n : GTV_RTMP_OUT_CHUNK;
        gtv_buf_append(out, rest.p, n);
        rest.p += n;
        rest.n -= n;
        if (rest.n == 0) {
            return;
        }
        uint8_t next = (uint8_t)(0xc0 | chunk_stream);
        gtv_buf_append(out, &next, 1);
    }
}
