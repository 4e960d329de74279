// Phases: IDLE -> CONNECTING -> CONNECTED -> FAILED -> CONNECTING ... ; back to IDLE when an on-demand path
// is read by nobody.
#include "services/media/path.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/gop.h"
#include "services/media/hls.h"
#include "services/media/path_internal.h"
#include "services/media/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 10000,
    STEADY_MS = 10000, // a connection that lived so long resets the back-off
    KEEP_MS = 10000,   // segments of a lost source stay so long for players that catch up
};

static int64_t random_below(int64_t n)
{
    uint32_t r = 0;
    if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r) {
        r = (uint32_t)gtv_mono_ns();
    }
    return (int64_t)(r % (uint32_t)n);
}

struct gtv_path *gtv_path_create(struct gtv_path_env *env, const struct gtv_pathconf *conf)
{
    struct gtv_path *p = GTV_NEW(struct gtv_path);
    p->env = env;
    p->conf = *conf;
    p->log = (struct gtv_log){"media", "path", p->conf.name};
    p->gop.max_bytes = (size_t)env->options->ring_bytes;
    p->relay = gtv_relay_create(&p->log);
    p->cause_code = "";
    return p;
}

static void set_state(struct gtv_path *p, enum gtv_path_state state)
{
    if (p->state == GTV_PATH_CONNECTING && state != GTV_PATH_CONNECTING) {
        p->env->dialling--;
    }
    if (p->state != GTV_PATH_CONNECTING && state == GTV_PATH_CONNECTING) {
        p->env->dialling++;
    }
    p->state = state;
}

static void drop_muxer(struct gtv_path *p)
{
    if (p->hls == NULL) {
        return;
    }
    p->next_segment = gtv_hls_next_number(p->hls);
    gtv_hls_destroy(p->hls);
    p->hls = NULL;
    gtv_log_info(&p->log, "HLS muxer closed", NULL);
}

// What a lost or closed source leaves behind: segments, for a while; nothing for the relay. The state is set
// before, for replies that end let the next requests of their connections in.
static void lose_source(struct gtv_path *p)
{
    p->tracks_known = false;
    p->lost_ms = gtv_mono_ms();
    gtv_gop_clear(&p->gop);
    gtv_relay_end(p->relay);
    if (p->hls != NULL) {
        gtv_hls_interrupt(p->hls);
    }
}

static void close_source(struct gtv_path *p)
{
    struct gtv_pull *pull = p->pull;
    p->pull = NULL;
    p->failures = 0;
    set_state(p, GTV_PATH_IDLE);
    if (pull != NULL) {
        gtv_pull_stop(pull);
        lose_source(p);
    }
}

void gtv_path_destroy(struct gtv_path *p)
{
    if (p == NULL) {
        return;
    }
    close_source(p);
    gtv_path_waiters_refuse(p);
    gtv_relay_destroy(p->relay);
    gtv_hls_destroy(p->hls);
    gtv_gop_finish(&p->gop);
    free(p);
}

const struct gtv_pathconf *gtv_path_conf(const struct gtv_path *p)
{
    return &p->conf;
}

void gtv_path_configure(struct gtv_path *p, const struct gtv_pathconf *conf)
{
    bool restart = gtv_pathconf_source_differs(&p->conf, conf);
    p->conf = *conf; // the name is the same: the log's pointer into it stays right
    if (restart) {
        close_source(p);
        drop_muxer(p);
        p->cause_code = "";
        p->cause[0] = '\0';
        p->told[0] = '\0';
    }
}

static bool is_wanted(const struct gtv_path *p)
{
    return p->waiters != NULL || p->hls != NULL || gtv_relay_readers(p->relay) > 0;
}

static void on_tracks(void *arg, const struct gtv_tracks *tracks)
{
    struct gtv_path *p = arg;
    p->tracks = *tracks;
    p->tracks_known = true;
}

static void become_connected(struct gtv_path *p)
{
    set_state(p, GTV_PATH_CONNECTED);
    p->ready_wall_ms = gtv_wall_ms();
    p->ready_ms = gtv_mono_ms();
    p->cause_code = "";
    p->cause[0] = p->told[0] = '\0';
    gtv_log_info(&p->log, "source connected", "codecs=%s%s%s width=%d height=%d", p->tracks.video.codecs,
                 p->tracks.has_audio ? "," : "", p->tracks.has_audio ? p->tracks.audio_codecs : "",
                 p->tracks.video.width, p->tracks.video.height);
}

void gtv_path_open_muxer(struct gtv_path *p)
{
    struct gtv_hls_options o = {.segments = (size_t)p->env->options->segments,
                                .segment_ms = (int64_t)(p->env->options->segment_seconds * 1000),
                                .max_bytes = (size_t)p->env->options->ring_bytes,
                                .first_number = p->next_segment};
    p->hls = gtv_hls_create(&o, &p->log);
    p->muxer_created_ms = gtv_wall_ms();
    p->muxer_sent = 0;
    gtv_log_info(&p->log, "HLS muxer opened", NULL);
    for (size_t i = 0; i < p->gop.count; i++) {
        (void)gtv_hls_push(p->hls, &p->gop.units[i]); // one GOP alone completes no segment
    }
}

static void on_unit(void *arg, const struct gtv_unit *unit, size_t received)
{
    struct gtv_path *p = arg;
    p->received += received;
    if (!p->tracks_known) {
        return; // its description is still to come
    }
    if (p->state != GTV_PATH_CONNECTED) {
        become_connected(p);
    }
    gtv_gop_push(&p->gop, unit);
    if (p->hls != NULL && gtv_hls_push(p->hls, unit)) {
        gtv_counter_add(p->env->segments, 1);
    }
    gtv_relay_push(p->relay, unit);
    if (p->waiters != NULL) {
        gtv_path_waiters_serve(p, gtv_mono_ms());
    }
}

static void take_cause(struct gtv_path *p, const struct gtv_pull_end *why)
{
    p->cause_code = why->code;
    snprintf(p->cause, sizeof p->cause, "%s", why->text);
    if (strcmp(p->told, why->text) != 0) {
        // Once for each cause, not for each attempt.
        snprintf(p->told, sizeof p->told, "%s", why->text);
        gtv_log_warn(&p->log, "source failed", "cause=\"%s\" code=%s source=%s", why->text, why->code,
                     p->conf.source);
    } else {
        gtv_log_debug(&p->log, "source failed again", "code=%s failures=%u", why->code, p->failures);
    }
}

static void on_silent(void *arg, const struct gtv_pull_end *why)
{
    take_cause(arg, why);
}

static void on_error_frames(void *arg, unsigned count)
{
    struct gtv_path *p = arg;
    p->error_frames += count;
    gtv_counter_add(p->env->damaged, count);
}

static void on_end(void *arg, const struct gtv_pull_end *end)
{
    struct gtv_path *p = arg;
    int64_t now = gtv_mono_ms();
    p->pull = NULL;
    if (p->state == GTV_PATH_CONNECTED && now - p->ready_ms >= STEADY_MS) {
        p->failures = 0;
    }
    gtv_counter_add(p->env->failures, 1);
    int64_t wait = BACKOFF_MAX_MS;
    // A refused password is not tried in quick succession: cameras lock their users out for that.
    if (p->failures < 4 && strcmp(end->code, "unauthorised") != 0) {
        wait = (int64_t)BACKOFF_FIRST_MS << p->failures;
    }
    p->failures++;
    p->retry_ms = now + wait * 4 / 5 + random_below(wait * 2 / 5);
    set_state(p, GTV_PATH_FAILED);
    take_cause(p, end);
    lose_source(p);
    gtv_path_waiters_serve(p, now);
}

static void dial(struct gtv_path *p)
{
    static const struct gtv_pull_callbacks callbacks = {on_tracks, on_unit, on_silent, on_error_frames,
                                                        on_end};
    struct gtv_pull_options o = {.loop = p->env->loop,
                                 .running = &p->env->running,
                                 .policy = p->env->policy,
                                 .connect_ms = (int64_t)(p->env->options->connect_seconds * 1000),
                                 .stall_ms = (int64_t)(p->env->options->stall_seconds * 1000)};
    gtv_counter_add(p->env->dials, 1);
    p->pull = gtv_pull_start(&o, &p->conf, &callbacks, p);
    if (p->pull == NULL) {
        p->retry_ms = gtv_mono_ms() + BACKOFF_MAX_MS;
        set_state(p, GTV_PATH_FAILED);
        take_cause(
            p, &(struct gtv_pull_end){.code = "no_thread", .text = "the node cannot start a thread for it"});
        return;
    }
    set_state(p, GTV_PATH_CONNECTING);
}

void gtv_path_want(struct gtv_path *p, int64_t now_ms)
{
    if (p->pull != NULL || !gtv_pathconf_is_pulled(&p->conf) ||
        (p->state == GTV_PATH_FAILED && now_ms < p->retry_ms)) {
        return;
    }
    bool wanted = is_wanted(p);
    if (p->conf.source_on_demand && !wanted) {
        return;
    }
    if (!wanted && p->env->dialling >= p->env->options->dials) {
        return; // its turn comes with a later tick
    }
    dial(p);
}

// Closes an on-demand source, or forgets its retries, once nobody has wanted it for long enough.
static void tick_demand(struct gtv_path *p, int64_t now_ms)
{
    if (!p->conf.source_on_demand || is_wanted(p)) {
        p->unwanted_ms = 0;
        return;
    }
    if (p->state == GTV_PATH_IDLE) {
        return;
    }
    if (p->unwanted_ms == 0) {
        p->unwanted_ms = now_ms;
    }
    if (now_ms - p->unwanted_ms >= p->conf.close_after_ms) {
        gtv_log_info(&p->log, "source closed: nobody reads it", NULL);
        close_source(p);
        p->unwanted_ms = 0;
    }
}

void gtv_path_tick(struct gtv_path *p, int64_t now_ms)
{
    if (p->hls != NULL) {
        bool unread = p->waiters == NULL &&
                      now_ms - p->muxer_request_ms >= (int64_t)(p->env->options->muxer_close_seconds * 1000);
        bool stale = p->state != GTV_PATH_CONNECTED && now_ms - p->lost_ms >= KEEP_MS;
        if (unread || stale) {
            drop_muxer(p);
        }
    }
    if (p->waiters != NULL) {
        gtv_path_waiters_serve(p, now_ms);
    }
    tick_demand(p, now_ms);
    gtv_path_want(p, now_ms);
}

void gtv_path_get_status(const struct gtv_path *p, struct gtv_path_status *out)
{
    static const char *const names[] = {"idle", "connecting", "connected", "failed"};
    *out = (struct gtv_path_status){.state = p->state,
                                    .state_name = names[p->state],
                                    .cause = p->cause[0] != '\0' ? p->cause : NULL,
                                    .cause_code = p->cause[0] != '\0' ? p->cause_code : NULL,
                                    .tracks = p->state == GTV_PATH_CONNECTED ? &p->tracks : NULL,
                                    .ready_wall_ms = p->ready_wall_ms,
                                    .received = p->received,
                                    .sent = p->segments_sent + gtv_relay_sent(p->relay),
                                    .error_frames = p->error_frames,
                                    .relay_skipped = gtv_relay_skipped(p->relay),
                                    .relay_readers = gtv_relay_readers(p->relay)};
    if (p->hls != NULL) {
        out->has_muxer = true;
        out->muxer_created_ms = p->muxer_created_ms;
        out->muxer_request_ms = gtv_wall_ms() - (gtv_mono_ms() - p->muxer_request_ms);
        out->muxer_sent = p->muxer_sent;
        out->muxer_discarded = gtv_hls_discarded(p->hls);
        out->ring_bytes = gtv_hls_bytes(p->hls);
    }
}

uint64_t gtv_path_relay_reader_id(const struct gtv_path *p, size_t i)
{
    return gtv_relay_reader_id(p->relay, i);
}
