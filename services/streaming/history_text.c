// The pure part of history.h.

#include "services/streaming/history.h"

#include "lib/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

enum { STEP_MAX_S = 86400 };

const char *gtv_history_write(const struct gtv_history_record *r, const char *replica,
                              char out[GTV_HISTORY_TEXT_CAP])
{
    snprintf(out, GTV_HISTORY_TEXT_CAP,
             "%" PRId64 ":%.32s:%" PRIu32 ":%" PRIu64 ":%" PRIu64 ":%" PRIu64 ":%" PRIu64, r->minute, replica,
             r->m.viewers_max, r->m.viewer_seconds, r->m.bytes, r->m.requests, r->m.hits);
    return out;
}

bool gtv_history_read(struct gtv_str text, struct gtv_history_record *out)
{
    int64_t n[6];
    struct gtv_str minute = gtv_str_cut(&text, ':');
    (void)gtv_str_cut(&text, ':');
    if (!gtv_parse_int(minute, 0, INT64_MAX / 120, &n[0]))
        return false;
    for (int i = 1; i < 6; i++)
        if (!gtv_parse_int(gtv_str_cut(&text, ':'), 0, i == 1 ? UINT32_MAX : INT64_MAX, &n[i]))
            return false;
    *out = (struct gtv_history_record){
        n[0], {(uint32_t)n[1], (uint64_t)n[2], (uint64_t)n[3], (uint64_t)n[4], (uint64_t)n[5]}};
    return text.n == 0;
}

void gtv_history_merge(const struct gtv_history_record *records, size_t n, int64_t first, unsigned step,
                       struct gtv_viewed_minute *buckets, size_t count)
{
    for (size_t i = 0; i < n; i++) {
        const struct gtv_history_record *r = &records[i];
        if (r->minute < first || (uint64_t)(r->minute - first) / step >= count)
            continue;
        struct gtv_viewed_minute *b = &buckets[(uint64_t)(r->minute - first) / step];
        if (r->m.viewers_max > b->viewers_max)
            b->viewers_max = r->m.viewers_max;
        b->bytes += r->m.bytes;
        b->requests += r->m.requests;
        b->hits += r->m.hits;
    }
    // Each replica counts the viewers of all: of a minute the largest sum is taken, then minutes are added.
    for (size_t i = 0; i < n; i++) {
        const struct gtv_history_record *r = &records[i];
        bool largest = r->minute >= first && (uint64_t)(r->minute - first) / step < count;
        for (size_t k = i; largest && k-- > 0 && records[k].minute == r->minute;)
            largest = records[k].m.viewer_seconds < r->m.viewer_seconds;
        for (size_t k = i + 1; largest && k < n && records[k].minute == r->minute; k++)
            largest = records[k].m.viewer_seconds <= r->m.viewer_seconds;
        if (largest)
            buckets[(uint64_t)(r->minute - first) / step].viewer_seconds += r->m.viewer_seconds;
    }
}

static bool parse_from(struct gtv_str text, int64_t wall_ms, int64_t *from_ms)
{
    int64_t seconds;
    if (gtv_parse_int(text, 0, INT64_MAX / 2000, &seconds))
        *from_ms = seconds * 1000;
    else if (!gtv_iso8601_parse(text, from_ms))
        return false;
    return *from_ms <= wall_ms;
}

bool gtv_history_wish_parse(struct gtv_str stream, struct gtv_str from, struct gtv_str step, int64_t wall_ms,
                            struct gtv_history_wish *out, struct gtv_error *err)
{
    int64_t oldest = wall_ms / 60000 - GTV_HISTORY_MINUTES + 1, from_ms = oldest * 60000, step_s = 60;
    if (!stream.p)
        stream = GTV_STR("*");
    if ((!gtv_str_eq(stream, GTV_STR("*")) && !gtv_stream_name_valid(stream)) ||
        !gtv_str_copy(out->stream, sizeof out->stream, stream)) {
        gtv_error_set(err, GTV_E_INVALID, "stream",
                      "a stream has letters, digits, dot, underscore and minus only; * is all of them");
        return false;
    }
    if (from.p && !parse_from(from, wall_ms, &from_ms)) {
        gtv_error_set(err, GTV_E_INVALID, "from",
                      "from is a time that has passed: RFC 3339, or seconds since 1970");
        return false;
    }
    if (step.p && (!gtv_parse_int(step, 60, STEP_MAX_S, &step_s) || step_s % 60)) {
        gtv_error_set(err, GTV_E_INVALID, "step", "step is seconds: whole minutes, from 60 to 86400");
        return false;
    }
    out->first = from_ms / 60000 < oldest ? oldest : from_ms / 60000;
    out->step = (unsigned)(step_s / 60);
    return true;
}
