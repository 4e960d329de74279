#include "services/media/relay.h"

#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

struct reader {
    struct gtv_relay *relay;
    struct gtv_http_request *req;
    uint64_t id;
    bool keyframes_only;
    bool skipping;    // waiting for a key frame
    uint64_t skipped; // units, since it began to skip
};

struct gtv_relay {
    struct gtv_log log;
    struct reader **readers;
    size_t count, cap;
    uint64_t next_id, sent, skipped;
};

struct gtv_relay *gtv_relay_create(const struct gtv_log *log)
{
    struct gtv_relay *r = GTV_NEW(struct gtv_relay);
    r->log = *log;
    r->next_id = 1;
    return r;
}

static void ignore_close(void *arg, bool complete)
{
}

void gtv_relay_end(struct gtv_relay *r)
{
    while (r->count > 0) {
        struct reader *reader = r->readers[--r->count];
        gtv_http_on_close(reader->req, ignore_close, NULL);
        gtv_http_stream_end(reader->req);
        free(reader);
    }
}

void gtv_relay_destroy(struct gtv_relay *r)
{
    if (r == NULL) {
        return;
    }
    gtv_relay_end(r);
    free(r->readers);
    free(r);
}

static void reader_closed(void *arg, bool complete)
{
    struct reader *reader = arg;
    struct gtv_relay *r = reader->relay;
    for (size_t i = 0; i < r->count; i++) {
        if (r->readers[i] == reader) {
            r->readers[i] = r->readers[--r->count];
            break;
        }
    }
    gtv_log_info(&r->log, "relay reader left", "reader=%" PRIu64, reader->id);
    free(reader);
}

static void send_bytes(struct reader *reader, struct gtv_bytes *bytes)
{
    reader->relay->sent += bytes->len;
    gtv_http_stream_write(reader->req, bytes);
}

// Sends the counters' seam, so that the reader's demuxer does not take the jump for damage.
static void send_splice(struct reader *reader, const struct gtv_unit *unit)
{
    struct gtv_bytes *splice = gtv_ts_splice(unit->counters);
    if (splice != NULL) {
        send_bytes(reader, splice);
        gtv_bytes_unref(splice);
    }
}

static void offer(struct reader *reader, const struct gtv_unit *unit)
{
    size_t pending = gtv_http_stream_pending(reader->req);
    if (reader->keyframes_only && !unit->key) {
        return;
    }
    if (!reader->skipping && pending + unit->ts->len > GTV_RELAY_PENDING_MAX) {
        reader->skipping = true;
        reader->skipped = 0;
        gtv_log_warn(&reader->relay->log, "relay reader is too slow: skipping to a later key frame",
                     "reader=%" PRIu64 " pending=%zu", reader->id, pending);
    }
    if (reader->skipping && (!unit->key || pending > GTV_RELAY_PENDING_MAX / 2)) {
        reader->skipped++;
        reader->relay->skipped++;
        return;
    }
    if (reader->skipping || reader->keyframes_only || unit->discontinuity) {
        send_splice(reader, unit);
    }
    if (reader->skipping && reader->skipped > 0) {
        gtv_log_info(&reader->relay->log, "relay reader goes on", "reader=%" PRIu64 " skipped=%" PRIu64,
                     reader->id, reader->skipped);
    }
    reader->skipping = false;
    send_bytes(reader, unit->ts);
}

void gtv_relay_attach(struct gtv_relay *r, struct gtv_http_request *req, const struct gtv_gop *gop,
                      bool keyframes_only)
{
    static const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, {"video/mp2t", 10}},
        {{"Cache-Control", 13}, {"no-store", 8}},
    };
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 4 : r->cap * 2;
        r->readers = gtv_realloc(r->readers, r->cap * sizeof(struct reader *));
    }
    struct reader *reader = GTV_NEW(struct reader);
    *reader = (struct reader){.relay = r,
                              .req = req,
                              .id = r->next_id++,
                              .keyframes_only = keyframes_only,
                              .skipping = gop->count == 0};
    r->readers[r->count++] = reader;
    gtv_log_info(&r->log, "relay reader came", "reader=%" PRIu64 " keyframes=%d", reader->id, keyframes_only);
    gtv_http_on_close(req, reader_closed, reader);
    gtv_http_stream_begin(req, 200, headers, sizeof headers / sizeof headers[0], -1);
    for (size_t i = 0; i < gop->count; i++) {
        offer(reader, &gop->units[i]);
    }
}

void gtv_relay_push(struct gtv_relay *r, const struct gtv_unit *unit)
{
    // Backwards: a reader that leaves while it is written to is replaced by the last one, which was served
    // already.
    for (size_t i = r->count; i-- > 0;) {
        if (i < r->count) {
            offer(r->readers[i], unit);
        }
    }
}

size_t gtv_relay_readers(const struct gtv_relay *r)
{
    return r->count;
}

uint64_t gtv_relay_sent(const struct gtv_relay *r)
{
    return r->sent;
}

uint64_t gtv_relay_skipped(const struct gtv_relay *r)
{
    return r->skipped;
}

uint64_t gtv_relay_reader_id(const struct gtv_relay *r, size_t i)
{
    return r->readers[i]->id;
}
