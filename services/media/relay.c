#include "services/media/relay.h"

#include "lib/base/mem.h"
#include "services/media/hls/fmp4.h"
#include "services/media/mux.h"
#include "services/media/path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct relay {
    struct gtv_reader reader;
    struct gtv_path *path;
    struct gtv_http_request *req;
    struct gtv_mux mux;
    uint64_t id;
    bool keyframes_only;
    bool fmp4, begun; // begun: the init segment was sent
    uint32_t sequence;
    int64_t last, frame; // of fMP4: decoding time of the last picture, ticks between two
    bool skipping;       // waiting for a key frame
    uint64_t skipped;    // samples, since it began to skip
};

static void relay_free(struct relay *r)
{
    gtv_path_detach(&r->reader);
    gtv_mux_finish(&r->mux);
    free(r);
}

static void client_left(void *arg, bool complete)
{
    struct relay *r = arg;
    gtv_log_info(gtv_path_log(r->path), "relay reader left", "reader=%" PRIu64, r->id);
    relay_free(r);
}

static void ignore_close(void *arg, bool complete)
{
}

// The source is gone, and so is the reply.
static void end_reply(void *arg)
{
    struct relay *r = arg;
    gtv_http_on_close(r->req, ignore_close, NULL);
    gtv_http_stream_end(r->req);
    relay_free(r);
}

static void on_format(void *arg, struct gtv_format *format)
{
    struct relay *r = arg;
    if (r->begun) {
        end_reply(r);
        return;
    }
    gtv_mux_set_format(&r->mux, format);
}

static void send_piece(struct relay *r, struct gtv_bytes *piece)
{
    gtv_path_count_sent(r->path, piece->len);
    gtv_http_stream_write(r->req, piece);
}

// The sample as a fragment of its own. How long it lasts is not known yet: as long as the one before.
static void send_fragment(struct relay *r, const struct gtv_sample *sample)
{
    if (!r->begun) {
        struct gtv_bytes *init = r->mux.format != NULL ? gtv_fmp4_init(r->mux.format) : NULL;
        if (init == NULL) {
            return;
        }
        r->begun = true;
        send_piece(r, init);
        gtv_bytes_unref(init);
    }
    if (sample->video) {
        r->frame = r->last != 0 ? sample->dts - r->last : 0;
        r->last = sample->dts;
    }
    struct gtv_bytes *pieces[2];
    struct gtv_fmp4_fragment info = {.sequence = ++r->sequence,
                                     .video_next = r->frame > 0 ? sample->dts + r->frame : GTV_FMP4_UNKNOWN,
                                     .audio_next = GTV_FMP4_UNKNOWN,
                                     .audio_length = gtv_fmp4_audio_length(r->mux.format)};
    if (gtv_fmp4_fragment(&info, sample, 1, pieces)) {
        send_piece(r, pieces[0]);
        send_piece(r, pieces[1]);
        gtv_bytes_unref(pieces[0]);
    }
}

// False while the reader has to be skipped.
static bool keeps_up(struct relay *r, const struct gtv_sample *sample)
{
    size_t pending = gtv_http_stream_pending(r->req);
    if (!r->skipping && pending + sample->data->len > GTV_RELAY_PENDING_MAX) {
        r->skipping = true;
        r->skipped = 0;
        gtv_log_warn(gtv_path_log(r->path), "relay reader is too slow: skipping to a later key frame",
                     "reader=%" PRIu64 " pending=%zu", r->id, pending);
    }
    if (r->skipping && (!sample->key || pending > GTV_RELAY_PENDING_MAX / 2)) {
        r->skipped++;
        gtv_path_count_skipped(r->path, 1);
        return false;
    }
    if (r->skipping && r->skipped > 0) {
        gtv_log_info(gtv_path_log(r->path), "relay reader goes on", "reader=%" PRIu64 " skipped=%" PRIu64,
                     r->id, r->skipped);
    }
    r->skipping = false;
    return true;
}

static void on_sample(void *arg, const struct gtv_sample *sample)
{
    struct relay *r = arg;
    if ((r->keyframes_only && !sample->key) || !keeps_up(r, sample)) {
        return;
    }
    if (r->fmp4) {
        send_fragment(r, sample);
        return;
    }
    struct gtv_bytes *ts = gtv_mux_sample(&r->mux, sample);
    if (ts == NULL) {
        return;
    }
    send_piece(r, ts);
    gtv_bytes_unref(ts);
}

bool gtv_relay_open(struct gtv_path *path, struct gtv_http_request *req, bool keyframes_only, bool fmp4,
                    struct gtv_error *err)
{
    static const struct gtv_reader_ops ops = {
        .on_format = on_format, .on_sample = on_sample, .on_lost = end_reply, .on_closed = end_reply};
    const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, fmp4 ? GTV_STR("video/mp4") : GTV_STR("video/mp2t")},
        {{"Cache-Control", 13}, {"no-store", 8}},
    };
    static uint64_t last_id;
    struct relay *r = GTV_NEW(struct relay);
    r->reader = (struct gtv_reader){.ops = &ops, .arg = r, .type = "relay", .wants = true};
    r->path = path;
    r->req = req;
    r->id = ++last_id;
    r->keyframes_only = keyframes_only;
    r->fmp4 = fmp4;
    r->skipping = true; // until the first key frame
    snprintf(r->reader.id, sizeof r->reader.id, "%" PRIu64, r->id);
    if (!gtv_path_may_attach(path, err)) {
        free(r);
        return false;
    }
    gtv_log_info(gtv_path_log(path), "relay reader came", "reader=%" PRIu64 " keyframes=%d", r->id,
                 keyframes_only);
    gtv_http_on_close(req, client_left, r);
    gtv_http_stream_begin(req, 200, headers, sizeof headers / sizeof headers[0], -1);
    return gtv_path_attach(path, &r->reader, true, err); // there is room: it was asked for just now
}
