#include "lib/rtsp/rtp.h"

#include "lib/base/mem.h"

#include <stdlib.h>

enum {
    HEADER = 12,
    RESTART_BACK = 100, // a packet so far behind is no late one: the sender began to count anew
    RTCP_SR = 200,
    RTCP_RR = 201,
    RTCP_SDES = 202,
    RTCP_BYE = 203,
};

#define NTP_TO_UNIX INT64_C(2208988800) // seconds from 1900 to 1970

// No honest clock comes this far (a year at 1 MHz); a sender that jumps for ever must not overflow anything.
#define TICKS_MAX (INT64_C(1) << 45)

struct gtv_rtp_held {
    int64_t since_ms;
    size_t len;
    uint8_t data[];
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

bool gtv_rtp_read(struct gtv_str data, struct gtv_rtp_packet *out)
{
    const uint8_t *p = (const uint8_t *)data.p;
    if (data.n < HEADER || p[0] >> 6 != 2) {
        return false;
    }
    size_t at = HEADER + (size_t)(p[0] & 15) * 4, end = data.n;
    if (p[0] & 0x10) {
        if (end < at + 4) {
            return false;
        }
        at += 4 + ((size_t)p[at + 2] << 8 | p[at + 3]) * 4;
    }
    if (at > end) {
        return false;
    }
    if (p[0] & 0x20) {
        size_t padding = p[end - 1];
        if (padding == 0 || padding > end - at) {
            return false;
        }
        end -= padding;
    }
    *out = (struct gtv_rtp_packet){.payload_type = p[1] & 0x7f,
                                   .marker = p[1] >> 7,
                                   .seq = (uint16_t)(p[2] << 8 | p[3]),
                                   .timestamp = get32(p + 4),
                                   .ssrc = get32(p + 8),
                                   .payload = {data.p + at, end - at}};
    return true;
}

void gtv_rtp_stream_init(struct gtv_rtp_stream *s, uint32_t clock, int payload_type, bool reorder,
                         void (*deliver)(void *arg, const struct gtv_rtp_delivery *d), void *arg)
{
    *s = (struct gtv_rtp_stream){
        .deliver = deliver, .arg = arg, .clock = clock, .payload_type = payload_type, .reorder = reorder};
}

static void drop_held(struct gtv_rtp_stream *s)
{
    for (size_t i = 0; s->held != NULL && i < GTV_RTP_HELD_MAX; i++) {
        free(s->held[i]);
        s->held[i] = NULL;
    }
    s->held_count = 0;
}

void gtv_rtp_stream_finish(struct gtv_rtp_stream *s)
{
    drop_held(s);
    free(s->held);
    s->held = NULL;
}

static void begin(struct gtv_rtp_stream *s, const struct gtv_rtp_packet *p)
{
    drop_held(s);
    s->lost = s->started;
    if (!s->started) {
        s->ticks = p->timestamp;
        s->last_timestamp = p->timestamp;
    }
    s->started = true;
    s->ssrc = p->ssrc;
    s->next = p->seq;
    s->first = s->highest = p->seq;
    s->received = s->expected_before = s->received_before = 0;
    s->jitter = 0;
    s->transit = 0;
}

static void count(struct gtv_rtp_stream *s, const struct gtv_rtp_packet *p, int64_t now_ms)
{
    uint16_t ahead = (uint16_t)(p->seq - (uint16_t)s->highest);
    if (ahead < 0x8000) {
        s->highest += ahead;
    }
    s->received++;
    int64_t transit = now_ms * (int64_t)s->clock / 1000 - (int64_t)p->timestamp;
    int64_t d = llabs((int64_t)(int32_t)(uint32_t)(transit - s->transit));
    if (s->received > 1 && d < s->clock) {
        s->jitter = (uint32_t)((int64_t)s->jitter + d - ((s->jitter + 8) >> 4));
    }
    s->transit = transit;
}

static void hand_over(struct gtv_rtp_stream *s, const struct gtv_rtp_packet *p)
{
    s->ticks += (int32_t)(p->timestamp - s->last_timestamp);
    s->last_timestamp = p->timestamp;
    if (s->ticks > TICKS_MAX || s->ticks < -TICKS_MAX) {
        s->ticks = p->timestamp;
    }
    struct gtv_rtp_delivery d = {*p, s->lost, s->ticks};
    s->lost = false;
    s->next = (uint16_t)(p->seq + 1);
    s->deliver(s->arg, &d);
}

// Delivers what waited for the packet before it.
static void hand_over_held(struct gtv_rtp_stream *s)
{
    while (s->held_count > 0 && s->held[s->next % GTV_RTP_HELD_MAX] != NULL) {
        struct gtv_rtp_held *h = s->held[s->next % GTV_RTP_HELD_MAX];
        s->held[s->next % GTV_RTP_HELD_MAX] = NULL;
        s->held_count--;
        struct gtv_rtp_packet p;
        if (gtv_rtp_read((struct gtv_str){(const char *)h->data, h->len}, &p)) {
            hand_over(s, &p);
        }
        free(h);
    }
}

// What is missing before the first held packet will not come any more.
static void skip_to_held(struct gtv_rtp_stream *s)
{
    while (s->held_count > 0 && s->held[s->next % GTV_RTP_HELD_MAX] == NULL) {
        s->next++;
        s->missing++;
        s->lost = true;
    }
    hand_over_held(s);
}

static void hold(struct gtv_rtp_stream *s, const struct gtv_rtp_packet *p, struct gtv_str data,
                 int64_t now_ms)
{
    if (s->held == NULL) {
        s->held = gtv_alloc(GTV_RTP_HELD_MAX * sizeof(struct gtv_rtp_held *));
    }
    struct gtv_rtp_held **slot = &s->held[p->seq % GTV_RTP_HELD_MAX];
    if (*slot != NULL || data.n > GTV_RTP_PACKET_MAX) {
        return; // the same one again; or too large to be kept: it counts as lost
    }
    struct gtv_rtp_held *h = malloc(sizeof *h + data.n);
    if (h == NULL) {
        return;
    }
    h->since_ms = now_ms;
    h->len = data.n;
    memcpy(h->data, data.p, data.n);
    *slot = h;
    s->held_count++;
}

void gtv_rtp_stream_push(struct gtv_rtp_stream *s, struct gtv_str data, int64_t now_ms)
{
    struct gtv_rtp_packet p;
    if (!gtv_rtp_read(data, &p) || (s->payload_type >= 0 && p.payload_type != s->payload_type)) {
        return;
    }
    int gap = (int16_t)(uint16_t)(p.seq - s->next);
    if (!s->started || p.ssrc != s->ssrc || gap < -RESTART_BACK) {
        begin(s, &p);
        gap = 0;
    }
    if (gap < 0) {
        return; // late, or there twice
    }
    count(s, &p, now_ms);
    while (s->reorder && gap >= GTV_RTP_HELD_MAX && s->held_count > 0) {
        skip_to_held(s);
        gap = (int16_t)(uint16_t)(p.seq - s->next);
    }
    if (s->reorder && gap > 0 && gap < GTV_RTP_HELD_MAX) {
        hold(s, &p, data, now_ms);
        return;
    }
    if (gap > 0) {
        s->missing += (uint64_t)gap;
        s->lost = true;
    }
    hand_over(s, &p);
    hand_over_held(s);
}

void gtv_rtp_stream_tick(struct gtv_rtp_stream *s, int64_t now_ms)
{
    if (s->held_count == 0) {
        return;
    }
    for (size_t i = 0; i < GTV_RTP_HELD_MAX; i++) {
        const struct gtv_rtp_held *h = s->held[(s->next + i) % GTV_RTP_HELD_MAX];
        if (h != NULL) {
            if (now_ms - h->since_ms >= GTV_RTP_HELD_MS) {
                skip_to_held(s);
            }
            return;
        }
    }
}

// ---- RTCP ----

// NTP time (RFC 5905: seconds since 1900 and their fraction); 0: the sender has no clock.
static void note_sender_time(struct gtv_rtp_stream *s, const uint8_t *report)
{
    int64_t seconds = (int64_t)get32(report + 8) - NTP_TO_UNIX;
    s->timed = seconds > 0;
    s->sender_us = seconds * 1000000 + (int64_t)((uint64_t)get32(report + 12) * 1000000 >> 32);
    s->sender_timestamp = get32(report + 16);
}

bool gtv_rtp_sender_time(const struct gtv_rtp_stream *s, int64_t ticks, int64_t *wall_us)
{
    if (!s->timed || !s->started || s->clock == 0) {
        return false;
    }
    uint32_t timestamp = s->last_timestamp - (uint32_t)(s->ticks - ticks);
    int64_t since = (int32_t)(timestamp - s->sender_timestamp);
    *wall_us = s->sender_us + since * 1000000 / (int64_t)s->clock;
    return true;
}

enum gtv_rtcp_event gtv_rtcp_read(struct gtv_rtp_stream *s, struct gtv_str data, int64_t now_ms)
{
    enum gtv_rtcp_event event = GTV_RTCP_NOTHING;
    const uint8_t *p = (const uint8_t *)data.p;
    for (size_t left = data.n; left >= 4 && p[0] >> 6 == 2;) {
        size_t n = ((size_t)p[2] << 8 | p[3]) * 4 + 4;
        if (n > left) {
            break;
        }
        if (p[1] == RTCP_SR && n >= 28) {
            s->last_sender_report = get32(p + 10);
            s->sender_report_ms = now_ms;
            note_sender_time(s, p);
        } else if (p[1] == RTCP_BYE) {
            event = GTV_RTCP_BYE;
        }
        p += n;
        left -= n;
    }
    return event;
}

size_t gtv_rtcp_write_report(struct gtv_rtp_stream *s, uint32_t ssrc, int64_t now_ms,
                             uint8_t out[GTV_RTCP_REPORT_BYTES])
{
    if (!s->started) {
        return 0;
    }
    uint32_t expected = s->highest - s->first + 1;
    int64_t lost = (int64_t)expected - s->received;
    int64_t expected_now = (int64_t)expected - s->expected_before;
    int64_t lost_now = expected_now - (int64_t)(s->received - s->received_before);
    s->expected_before = expected;
    s->received_before = s->received;
    uint32_t fraction =
        expected_now > 0 && lost_now > 0 ? (uint32_t)(lost_now * 256 / expected_now) & 0xff : 0;
    lost = lost < 0 ? 0 : lost > 0x7fffff ? 0x7fffff : lost;
    uint32_t delay =
        s->last_sender_report != 0 ? (uint32_t)((now_ms - s->sender_report_ms) * 65536 / 1000) : 0;
    memcpy(out, (const uint8_t[]){0x81, RTCP_RR, 0, 7}, 4);
    put32(out + 4, ssrc);
    put32(out + 8, s->ssrc);
    put32(out + 12, fraction << 24 | (uint32_t)lost);
    put32(out + 16, s->highest);
    put32(out + 20, s->jitter >> 4);
    put32(out + 24, s->last_sender_report);
    put32(out + 28, delay);
    // One chunk with a CNAME, padded with zeros to 32 bits.
    memcpy(out + 32, (const uint8_t[]){0x81, RTCP_SDES, 0, 4}, 4);
    put32(out + 36, ssrc);
    static const uint8_t name[12] = {1, 9, 'g', 't', 'v', '-', 'm', 'e', 'd', 'i', 'a', 0};
    memcpy(out + 40, name, sizeof name);
    return GTV_RTCP_REPORT_BYTES;
}
