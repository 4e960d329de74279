#include "services/ai/watch/ts.h"

#include "lib/base/mem.h"

#include <stdlib.h>

enum {
    SYNC = 0x47,
    STREAM_H264 = 0x1b,
    STREAM_H265 = 0x24,
    UNIT_FIRST_CAP = 4096,
    PES_HEAD = 9, // bytes up to and with the length of the optional header
};

void gtv_ts_init(struct gtv_ts_reader *ts, void (*on_unit)(void *arg, struct gtv_ts_unit *unit), void *arg)
{
    *ts = (struct gtv_ts_reader){
        .on_unit = on_unit, .arg = arg, .pmt_pid = -1, .video_pid = -1, .continuity = -1};
}

void gtv_ts_finish(struct gtv_ts_reader *ts)
{
    free(ts->unit);
    ts->unit = NULL;
    ts->in_unit = false;
}

// ---- Key frames ----

// Position of the byte behind the next start code from `at` on, or n.
static size_t next_nal(const uint8_t *data, size_t n, size_t at)
{
    while (at + 3 < n) {
        const uint8_t *one = memchr(data + at + 2, 1, n - at - 3);
        if (!one)
            return n;
        size_t i = (size_t)(one - data);
        if (data[i - 1] == 0 && data[i - 2] == 0)
            return i + 1;
        at = i - 1;
    }
    return n;
}

bool gtv_ts_is_key(enum gtv_ts_codec codec, const uint8_t *data, size_t n)
{
    for (size_t at = next_nal(data, n, 0); at < n; at = next_nal(data, n, at)) {
        if (codec == GTV_TS_H264) {
            int type = data[at] & 0x1f;
            if (type >= 1 && type <= 5)
                return type == 5;
        } else {
            int type = data[at] >> 1 & 0x3f;
            if (type < 32)
                return type >= 16 && type <= 21;
        }
    }
    return false;
}

// ---- Pictures ----

static void drop(struct gtv_ts_reader *ts)
{
    free(ts->unit);
    ts->unit = NULL;
    ts->in_unit = false;
}

static void hand_out(struct gtv_ts_reader *ts)
{
    if (!ts->in_unit)
        return;
    ts->in_unit = false;
    if (ts->unit_len == 0) {
        free(ts->unit);
        ts->unit = NULL;
        return;
    }
    memset(ts->unit + ts->unit_len, 0, GTV_TS_PADDING);
    struct gtv_ts_unit unit = {
        .data = ts->unit,
        .len = ts->unit_len,
        .codec = ts->codec,
        .key = ts->random_access || gtv_ts_is_key(ts->codec, ts->unit, ts->unit_len),
        .has_pts = ts->has_pts,
        .pts33 = ts->pts33,
    };
    ts->unit = NULL;
    ts->on_unit(ts->arg, &unit);
}

// Room for n bytes more; false, and the unit is given up, when it gets too large.
static bool reserve(struct gtv_ts_reader *ts, size_t n)
{
    size_t need = ts->unit_len + n + GTV_TS_PADDING;
    if (ts->unit && need <= ts->unit_cap)
        return true;
    size_t cap = ts->unit ? ts->unit_cap * 2 : UNIT_FIRST_CAP;
    if (!ts->unit && ts->expected)
        cap = ts->expected + GTV_TS_PADDING;
    while (cap < need)
        cap *= 2;
    uint8_t *bigger = need <= GTV_TS_MAX_UNIT ? realloc(ts->unit, cap) : NULL;
    if (!bigger) {
        ts->damaged++;
        drop(ts);
        return false;
    }
    ts->unit = bigger;
    ts->unit_cap = cap;
    return true;
}

static int64_t read_pts(const uint8_t *p)
{
    return (int64_t)(p[0] >> 1 & 7) << 30 | (int64_t)p[1] << 22 | (int64_t)(p[2] >> 1) << 15 |
           (int64_t)p[3] << 7 | (int64_t)(p[4] >> 1);
}

// A packet in which a PES packet begins. Headers that are spread over packets are no muxer's habit.
static void begin_unit(struct gtv_ts_reader *ts, const uint8_t *p, size_t n, bool random_access)
{
    hand_out(ts); // of unknown length: it ended here
    if (n < PES_HEAD || p[0] != 0 || p[1] != 0 || p[2] != 1 || n < PES_HEAD + (size_t)p[8]) {
        ts->damaged++;
        return;
    }
    size_t head = PES_HEAD + (size_t)p[8];
    size_t length = (size_t)p[4] << 8 | p[5];
    ts->has_pts = (p[7] & 0x80) != 0 && p[8] >= 5;
    ts->pts33 = ts->has_pts ? read_pts(p + PES_HEAD) : 0;
    ts->expected = length + 6 > head ? length + 6 - head : 0;
    ts->unit_len = 0;
    ts->random_access = random_access;
    ts->in_unit = true;
    ts->ended_early = false;
    if (!reserve(ts, n - head))
        return;
    memcpy(ts->unit, p + head, n - head);
    ts->unit_len = n - head;
    if (ts->expected && ts->unit_len >= ts->expected)
        hand_out(ts);
}

static void go_on(struct gtv_ts_reader *ts, const uint8_t *p, size_t n, bool stuffed)
{
    if (!ts->in_unit) {
        // More of a picture that was taken for complete: this muxer's stuffing means nothing.
        if (ts->ended_early)
            ts->stuffed_midway = true;
        return;
    }
    if (!reserve(ts, n))
        return;
    memcpy(ts->unit + ts->unit_len, p, n);
    ts->unit_len += n;
    // Without a length (pictures over 64 KiB) only the next picture's beginning shows that one is complete:
    // that would be one picture late. Muxers fill up a picture's last packet, and no other.
    if (ts->expected ? ts->unit_len >= ts->expected : stuffed && !ts->stuffed_midway) {
        ts->ended_early = ts->expected == 0;
        hand_out(ts);
    }
}

// ---- Tables ----

// The section that begins in this packet's payload, without its pointer; NULL when it is not whole.
static const uint8_t *section(const uint8_t *p, size_t n, uint8_t table, size_t *len)
{
    if (n < 1 || (size_t)p[0] + 1 + 3 > n)
        return NULL;
    const uint8_t *s = p + 1 + p[0];
    size_t left = n - 1 - p[0], length = ((size_t)(s[1] & 0x0f) << 8 | s[2]) + 3;
    if (s[0] != table || length > left || length < 12)
        return NULL;
    *len = length - 4; // the check sum
    return s;
}

static void read_pat(struct gtv_ts_reader *ts, const uint8_t *p, size_t n)
{
    size_t len;
    const uint8_t *s = section(p, n, 0, &len);
    for (size_t i = 8; s && i + 4 <= len; i += 4) {
        if (s[i] == 0 && s[i + 1] == 0)
            continue; // the network's own
        ts->pmt_pid = (s[i + 2] & 0x1f) << 8 | s[i + 3];
        return;
    }
}

static bool is_video(uint8_t type)
{
    return type == 0x01 || type == 0x02 || type == 0x10 || type == STREAM_H264 || type == STREAM_H265 ||
           type == 0x33 || type == 0xea;
}

static void read_pmt(struct gtv_ts_reader *ts, const uint8_t *p, size_t n)
{
    size_t len;
    const uint8_t *s = section(p, n, 2, &len);
    if (!s)
        return;
    ts->tables = true;
    size_t i = 12 + ((size_t)(s[10] & 0x0f) << 8 | s[11]);
    for (; i + 5 <= len; i += 5 + ((size_t)(s[i + 3] & 0x0f) << 8 | s[i + 4])) {
        if (!is_video(s[i]))
            continue;
        int pid = (s[i + 1] & 0x1f) << 8 | s[i + 2];
        if (pid != ts->video_pid)
            drop(ts);
        ts->video_pid = pid;
        ts->codec = s[i] == STREAM_H264 ? GTV_TS_H264 : s[i] == STREAM_H265 ? GTV_TS_H265 : GTV_TS_OTHER;
        return;
    }
}

// ---- Packets ----

static void take_packet(struct gtv_ts_reader *ts, const uint8_t *p)
{
    bool begins = (p[1] & 0x40) != 0, adapted = (p[3] & 0x20) != 0, random_access = false;
    int pid = (p[1] & 0x1f) << 8 | p[2];
    size_t at = 4;
    ts->packets++;
    if ((p[1] & 0x80) || !(p[3] & 0x10))
        return; // known to be damaged, or without payload
    if (adapted) {
        at += 1 + (size_t)p[4];
        random_access = p[4] > 0 && (p[5] & 0x40);
    }
    if (at >= GTV_TS_PACKET)
        return;
    if (pid == 0) {
        if (begins)
            read_pat(ts, p + at, GTV_TS_PACKET - at);
    } else if (pid == ts->pmt_pid) {
        if (begins)
            read_pmt(ts, p + at, GTV_TS_PACKET - at);
    } else if (pid == ts->video_pid && ts->codec != GTV_TS_OTHER) {
        int continuity = p[3] & 0x0f;
        if (ts->continuity >= 0 && continuity == ts->continuity)
            return; // sent twice
        if (ts->continuity >= 0 && continuity != ((ts->continuity + 1) & 0x0f) && ts->in_unit) {
            ts->damaged++;
            drop(ts);
        }
        ts->continuity = continuity;
        // An adaptation field without any flag is stuffing.
        bool stuffed = adapted && (p[4] == 0 || p[5] == 0);
        if (begins)
            begin_unit(ts, p + at, GTV_TS_PACKET - at, random_access);
        else
            go_on(ts, p + at, GTV_TS_PACKET - at, stuffed);
    }
}

void gtv_ts_feed(struct gtv_ts_reader *ts, const uint8_t *data, size_t n)
{
    while (n > 0) {
        if (ts->packet_len == 0 && data[0] != SYNC) { // look for the next packet
            const uint8_t *sync = memchr(data, SYNC, n);
            ts->damaged++;
            if (!sync)
                return;
            n -= (size_t)(sync - data);
            data = sync;
        }
        if (ts->packet_len == 0 && n >= GTV_TS_PACKET) {
            take_packet(ts, data);
            data += GTV_TS_PACKET;
            n -= GTV_TS_PACKET;
            continue;
        }
        size_t take = GTV_TS_PACKET - ts->packet_len;
        take = take < n ? take : n;
        memcpy(ts->packet + ts->packet_len, data, take);
        ts->packet_len += take;
        data += take;
        n -= take;
        if (ts->packet_len == GTV_TS_PACKET) {
            ts->packet_len = 0;
            take_packet(ts, ts->packet);
        }
    }
}
