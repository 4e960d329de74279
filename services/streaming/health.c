#include "services/streaming/health.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct record {
    uint64_t bytes;
    int64_t moved_ms; // when bytes last changed; 0: it is not ready
    uint64_t window_bytes;
    int64_t window_ms; // where the window began; 0: none did
    int64_t told_kbps; // 0: not known yet
    unsigned off;      // windows in a row that left the band
    char tracks[GTV_TRACKS_CAP];
    char recording[GTV_RECORDING_CAP];
};

struct gtv_health {
    struct gtv_map *records;
    int64_t frozen_ms;
    void (*on_change)(void *arg, const struct gtv_path_state *s, const struct gtv_health_change *change);
    void *arg;
};

struct gtv_health *gtv_health_create(int64_t frozen_ms,
                                     void (*on_change)(void *arg, const struct gtv_path_state *s,
                                                       const struct gtv_health_change *change),
                                     void *arg)
{
    struct gtv_health *h = GTV_NEW(struct gtv_health);
    h->records = gtv_map_create();
    h->frozen_ms = frozen_ms;
    h->on_change = on_change;
    h->arg = arg;
    return h;
}

void gtv_health_destroy(struct gtv_health *h)
{
    if (!h)
        return;
    gtv_map_destroy(h->records, free);
    free(h);
}

void gtv_health_forget(struct gtv_health *h, struct gtv_str name)
{
    free(gtv_map_remove(h->records, name));
}

static void take_tracks(struct gtv_health *h, struct record *r, const struct gtv_path_state *s)
{
    if (!s->tracks[0] || strcmp(s->tracks, r->tracks) == 0)
        return;
    if (r->tracks[0]) {
        const struct gtv_health_change change = {.what = "parameters", .before = r->tracks, .now = s->tracks};
        h->on_change(h->arg, s, &change);
    }
    memcpy(r->tracks, s->tracks, sizeof r->tracks);
}

static bool is_failure(const char *recording)
{
    return gtv_str_starts(gtv_str_of(recording), GTV_STR("failed"));
}

// Told whatever the picture does: a full disk stops no camera. Beginning and ending as asked for is no news.
static void take_recording(struct gtv_health *h, struct record *r, const struct gtv_path_state *s)
{
    if (gtv_str_eq(gtv_str_of(s->recording), gtv_str_of(r->recording)))
        return;
    if (is_failure(s->recording) || is_failure(r->recording)) {
        const struct gtv_health_change change = {
            .what = "recording", .before = r->recording, .now = s->recording};
        h->on_change(h->arg, s, &change);
    }
    snprintf(r->recording, sizeof r->recording, "%s", s->recording);
}

static bool leaves_band(int64_t told, int64_t now)
{
    int64_t far = now > told ? now - told : told - now;
    return far >= GTV_HEALTH_LEAST_KBPS && far * 2 > told;
}

static void take_bitrate(struct gtv_health *h, struct record *r, const struct gtv_path_state *s,
                         int64_t now_ms)
{
    if (r->window_ms == 0 || s->bytes_received < r->window_bytes) { // a new connection counts from zero
        r->window_ms = now_ms;
        r->window_bytes = s->bytes_received;
        return;
    }
    int64_t passed = now_ms - r->window_ms;
    if (passed < GTV_HEALTH_WINDOW_MS)
        return;
    int64_t kbps = (int64_t)((s->bytes_received - r->window_bytes) * 8 / (uint64_t)passed);
    r->window_ms = now_ms;
    r->window_bytes = s->bytes_received;
    if (r->told_kbps == 0) {
        r->told_kbps = kbps;
    } else if (!leaves_band(r->told_kbps, kbps)) {
        r->off = 0;
    } else if (++r->off == 2) {
        const struct gtv_health_change change = {
            .what = "bitrate", .before_kbps = r->told_kbps, .now_kbps = kbps};
        h->on_change(h->arg, s, &change);
        r->told_kbps = kbps;
        r->off = 0;
    }
}

static struct record *record_of(struct gtv_health *h, const char *name)
{
    struct record *r = gtv_map_get(h->records, gtv_str_of(name));
    if (!r && gtv_map_count(h->records) < GTV_STATES_MAX) {
        r = GTV_NEW(struct record);
        (void)gtv_map_put(h->records, gtv_str_of(name), r);
    }
    return r;
}

void gtv_health_take(struct gtv_health *h, struct gtv_path_state *s, int64_t now_ms)
{
    struct record *r = record_of(h, s->name);
    if (!r)
        return;
    take_recording(h, r, s);
    if (!s->ready || strcmp(s->state, "connected") != 0) {
        r->moved_ms = r->window_ms = 0;
        r->off = 0;
        return;
    }
    if (r->moved_ms == 0 || s->bytes_received != r->bytes) {
        r->moved_ms = now_ms;
        r->bytes = s->bytes_received;
    }
    take_tracks(h, r, s);
    if (now_ms - r->moved_ms < h->frozen_ms) {
        take_bitrate(h, r, s, now_ms);
        return;
    }
    r->window_ms = 0;
    r->off = 0;
    snprintf(s->state, sizeof s->state, "frozen");
    snprintf(s->cause, sizeof s->cause, "connected, but nothing new has come for %lld s",
             (long long)(h->frozen_ms / 1000));
    snprintf(s->cause_code, sizeof s->cause_code, "frozen");
}
