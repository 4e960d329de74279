// Phases: IDLE -> CONNECTING -> CONNECTED -> FAILED -> CONNECTING ... ; back to IDLE when an on-demand path
// is read by nobody, and when a publisher leaves.
#include "services/media/path.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/dial.h"
#include "services/media/dub.h"
#include "services/media/hls/muxer.h"
#include "services/media/path_internal.h"
#include "services/media/pull.h"
#include "services/media/rtsp/camera.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 10000,
    STEADY_MS = 10000, // a connection that lived so long resets the back-off
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
    p->cause_code = "";
    return p;
}

static void set_state(struct gtv_path *p, enum gtv_path_state state)
{
    // Publishers cost no dial.
    int before = p->state == GTV_PATH_CONNECTING && p->publisher == NULL;
    int after = state == GTV_PATH_CONNECTING && p->publisher == NULL;
    p->env->dialling += after - before;
    p->state = state;
}

static void set_format(struct gtv_path *p, struct gtv_format *format)
{
    if (format != NULL) {
        gtv_format_ref(format);
    }
    gtv_format_unref(p->format);
    p->format = format;
}

static void clear_gop(struct gtv_path *p)
{
    p->env->gop_bytes -= p->gop.bytes;
    gtv_gop_clear(&p->gop);
}

// Tells everybody that the source is gone. The state is set before: replies that end let the next requests of
// their connections in.
static void lose_source(struct gtv_path *p)
{
    set_format(p, NULL);
    clear_gop(p);
    for (struct gtv_reader *r = p->readers, *next; r != NULL; r = next) {
        next = r->next;
        if (r->ops->on_lost != NULL) {
            r->ops->on_lost(r->arg);
        }
    }
}

static void close_source(struct gtv_path *p, const char *why)
{
    struct gtv_source *source = p->source;
    struct gtv_publisher *publisher = p->publisher;
    bool had = source != NULL || publisher != NULL;
    set_state(p, GTV_PATH_IDLE);
    p->source = NULL;
    p->publisher = NULL;
    p->failures = 0;
    if (source != NULL) {
        source->stop(source);
    }
    if (publisher != NULL) {
        publisher->path = NULL;
        publisher->on_kicked(publisher->arg, why);
    }
    if (had) {
        lose_source(p);
    }
}

static void close_readers(struct gtv_path *p)
{
    while (p->readers != NULL) {
        struct gtv_reader *r = p->readers;
        gtv_path_detach(r);
        r->ops->on_closed(r->arg);
    }
}

void gtv_path_destroy(struct gtv_path *p)
{
    if (p == NULL) {
        return;
    }
    close_source(p, "the path was removed");
    gtv_path_waits_refuse(p);
    close_readers(p);
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
        close_source(p, "the path's source was changed");
        close_readers(p);
        p->cause_code = "";
        p->cause[0] = '\0';
        p->told[0] = '\0';
    }
}

static size_t listed_readers(const struct gtv_path *p)
{
    size_t n = 0;
    for (const struct gtv_reader *r = p->readers; r != NULL; r = r->next) {
        n += r->type != NULL;
    }
    return n;
}

bool gtv_path_may_attach(const struct gtv_path *p, struct gtv_error *err)
{
    if (p->conf.max_readers > 0 && listed_readers(p) >= (size_t)p->conf.max_readers) {
        gtv_error_set(err, GTV_E_LIMIT, NULL, "maximum reader count reached");
        return false;
    }
    return true;
}

static void hand_burst(struct gtv_path *p, struct gtv_reader *r)
{
    r->ops->on_format(r->arg, p->format);
    for (size_t i = 0; !p->gop.key_only && i < p->gop.count && r->path == p; i++) {
        r->ops->on_sample(r->arg, &p->gop.samples[i]);
    }
}

bool gtv_path_attach(struct gtv_path *p, struct gtv_reader *r, bool burst, struct gtv_error *err)
{
    if (r->type != NULL && !gtv_path_may_attach(p, err)) {
        return false;
    }
    r->path = p;
    r->next = p->readers;
    r->prev = &p->readers;
    if (r->next != NULL) {
        r->next->prev = &r->next;
    }
    p->readers = r;
    if (p->state == GTV_PATH_CONNECTED && burst) {
        hand_burst(p, r);
    } else if (p->state == GTV_PATH_CONNECTED) {
        r->ops->on_format(r->arg, p->format);
    }
    return true;
}

void gtv_path_detach(struct gtv_reader *r)
{
    if (r->path == NULL) {
        return;
    }
    *r->prev = r->next;
    if (r->next != NULL) {
        r->next->prev = r->prev;
    }
    r->path = NULL;
}

static bool is_wanted(const struct gtv_path *p)
{
    bool wanted = p->waits != NULL;
    for (const struct gtv_reader *r = p->readers; r != NULL && !wanted; r = r->next) {
        wanted = r->wants;
    }
    return wanted;
}

static void on_format(void *arg, struct gtv_format *format)
{
    struct gtv_path *p = arg;
    set_format(p, format);
    if (p->state != GTV_PATH_CONNECTED) {
        return; // readers hear of it with the first sample
    }
    for (struct gtv_reader *r = p->readers, *next; r != NULL; r = next) {
        next = r->next;
        r->ops->on_format(r->arg, format);
    }
}

static void become_connected(struct gtv_path *p)
{
    const struct gtv_format *f = p->format;
    set_state(p, GTV_PATH_CONNECTED);
    p->ready_wall_ms = gtv_wall_ms();
    p->ready_ms = gtv_mono_ms();
    p->cause_code = "";
    p->cause[0] = p->told[0] = '\0';
    gtv_log_info(&p->log, "source connected", "codecs=%s%s%s width=%d height=%d", f->video.codecs,
                 f->audio.codec != GTV_CODEC_NONE ? "," : "", f->audio.codecs, f->video.width,
                 f->video.height);
    on_format(p, p->format);
    gtv_muxer_path_connected(p);
}

static void keep_for_newcomers(struct gtv_path *p, const struct gtv_sample *sample)
{
    size_t before = p->gop.bytes;
    bool sparing = listed_readers(p) == 0 && p->waits == NULL &&
                   p->env->gop_bytes + sample->data->len > (size_t)p->env->options->idle_gop_bytes;
    gtv_gop_push(&p->gop, sample, sparing);
    p->env->gop_bytes += p->gop.bytes - before; // may wrap on the way, and back
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct gtv_path *p = arg;
    p->received += received;
    if (p->format == NULL) {
        return; // its description is still to come
    }
    if (p->state != GTV_PATH_CONNECTED) {
        become_connected(p);
    }
    keep_for_newcomers(p, sample);
    for (struct gtv_reader *r = p->readers, *next; r != NULL; r = next) {
        next = r->next;
        r->ops->on_sample(r->arg, sample);
    }
    if (p->waits != NULL) {
        gtv_path_waits_serve(p, gtv_mono_ms());
    }
}

static void take_cause(struct gtv_path *p, const struct gtv_source_end *why)
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

static void on_silent(void *arg, const struct gtv_source_end *why)
{
    take_cause(arg, why);
}

static void on_error_frames(void *arg, unsigned count)
{
    struct gtv_path *p = arg;
    p->error_frames += count;
    gtv_counter_add(p->env->damaged, count);
}

static void on_end(void *arg, const struct gtv_source_end *end)
{
    struct gtv_path *p = arg;
    int64_t now = gtv_mono_ms();
    p->source = NULL;
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
    if (p->waits != NULL) {
        gtv_path_waits_serve(p, now);
    }
}

static const struct gtv_source_callbacks callbacks = {on_format, on_sample, on_silent, on_error_frames,
                                                      on_end};

const struct gtv_source_callbacks *gtv_path_source_callbacks(void)
{
    return &callbacks;
}

bool gtv_path_publish(struct gtv_path *p, struct gtv_publisher *pub, struct gtv_error *err)
{
    if (gtv_pathconf_is_pulled(&p->conf)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL,
                      "can't publish to path '%s' since 'source' is not 'publisher'", p->conf.name);
        return false;
    }
    if (p->publisher != NULL && !p->conf.override_publisher) {
        gtv_error_set(err, GTV_E_CONFLICT, NULL, "someone is already publishing to path '%s'", p->conf.name);
        return false;
    }
    if (p->publisher != NULL) {
        gtv_log_info(&p->log, "publisher replaced", "id=%s by=%s", p->publisher->id, pub->id);
        close_source(p, "another publisher took the path over");
    }
    pub->path = p;
    p->publisher = pub;
    set_state(p, GTV_PATH_CONNECTING);
    gtv_log_info(&p->log, "publisher came", "type=%s id=%s", pub->type, pub->id);
    return true;
}

void gtv_path_unpublish(struct gtv_publisher *pub, const struct gtv_source_end *why)
{
    struct gtv_path *p = pub->path;
    if (p == NULL) {
        return;
    }
    pub->path = NULL;
    set_state(p, GTV_PATH_IDLE);
    p->publisher = NULL;
    take_cause(p, why);
    lose_source(p);
    if (p->waits != NULL) {
        gtv_path_waits_serve(p, gtv_mono_ms());
    }
}

static void dial(struct gtv_path *p)
{
    const struct gtv_media_options *options = p->env->options;
    struct gtv_source_options o = {.loop = p->env->loop,
                                   .running = &p->env->running,
                                   .connect_ms = (int64_t)(options->connect_seconds * 1000),
                                   .stall_ms = (int64_t)(options->stall_seconds * 1000),
                                   .policy = p->env->policy};
    gtv_counter_add(p->env->dials, 1);
    if (!gtv_pathconf_is_rtsp(&p->conf) || options->rtsp_libav) {
        p->source = gtv_pull_start(&o, &p->conf, &callbacks, p);
    } else if (p->conf.audio_transcode) {
        p->source = gtv_dub_start(p->env->dubber, p->env->rtsp, &o, &p->conf, &callbacks, p);
    } else {
        p->source = gtv_rtsp_camera_start(p->env->rtsp, &o, &p->conf, NULL, &callbacks, p);
    }
    if (p->source == NULL) {
        p->retry_ms = gtv_mono_ms() + BACKOFF_MAX_MS;
        set_state(p, GTV_PATH_FAILED);
        take_cause(p, &(struct gtv_source_end){.code = "no_thread",
                                               .text = "the node cannot start a thread for it"});
        return;
    }
    set_state(p, GTV_PATH_CONNECTING);
}

void gtv_path_want(struct gtv_path *p, int64_t now_ms)
{
    if (p->source != NULL || !gtv_pathconf_is_pulled(&p->conf) ||
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
        close_source(p, "nobody reads it");
        p->unwanted_ms = 0;
    }
}

// Causes that another attempt within seconds will not change.
static bool is_definite(const struct gtv_path *p)
{
    static const char *const codes[] = {"unauthorised", "forbidden",   "not_found", "no_video",
                                        "codec",        "bad_request", "denied"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(p->cause_code, codes[i]) == 0) {
            return true;
        }
    }
    return false;
}

void gtv_path_tick(struct gtv_path *p, int64_t now_ms)
{
    for (struct gtv_reader *r = p->readers, *next; r != NULL; r = next) {
        next = r->next;
        if (r->ops->on_tick != NULL) {
            r->ops->on_tick(r->arg, now_ms);
        }
    }
    if (p->waits != NULL) {
        gtv_path_waits_serve(p, now_ms);
    }
    tick_demand(p, now_ms);
    gtv_path_want(p, now_ms);
}

void gtv_path_get_status(const struct gtv_path *p, struct gtv_path_status *out)
{
    static const char *const names[] = {"idle", "connecting", "connected", "failed"};
    bool pulled = gtv_pathconf_is_pulled(&p->conf);
    *out = (struct gtv_path_status){.state = p->state,
                                    .state_name = names[p->state],
                                    .cause = p->cause[0] != '\0' ? p->cause : NULL,
                                    .cause_code = p->cause[0] != '\0' ? p->cause_code : NULL,
                                    .format = p->state == GTV_PATH_CONNECTED ? p->format : NULL,
                                    .source_type = pulled ? gtv_dial_type(gtv_str_of(p->conf.source))
                                                   : p->publisher != NULL ? p->publisher->type
                                                                          : NULL,
                                    .source_id = p->publisher != NULL ? p->publisher->id : "",
                                    .ready_wall_ms = p->ready_wall_ms,
                                    .received = p->received,
                                    .sent = p->sent,
                                    .error_frames = p->error_frames,
                                    .skipped = p->skipped,
                                    .readers = listed_readers(p)};
    if (p->muxer != NULL) {
        gtv_muxer_get_status(p->muxer, out);
    }
}

bool gtv_path_refusal(const struct gtv_path *p, bool in_time, struct gtv_error *why)
{
    bool failed = p->state == GTV_PATH_FAILED;
    const char *name = p->conf.name;
    if (gtv_pathconf_is_pulled(&p->conf) && p->conf.source_on_demand) {
        bool definite = failed && is_definite(p);
        if (!definite && in_time) {
            return false;
        }
        gtv_error_set(why, GTV_E_INTERNAL, NULL, "source of path '%s' has %s", name,
                      definite ? "failed" : "timed out");
        return true;
    }
    // A source that is always on and has failed is known to be off. One that is being dialled for the first
    // time, or that is connected and has no whole segment yet, is worth the wait; so is a publisher that has
    // just come.
    bool off = failed || (p->state == GTV_PATH_CONNECTING && p->failures > 0) ||
               (!gtv_pathconf_is_pulled(&p->conf) && p->publisher == NULL);
    if (!off && in_time) {
        return false;
    }
    gtv_error_set(why, GTV_E_NOT_FOUND, NULL, "no stream is available on path '%s'", name);
    return true;
}

const struct gtv_log *gtv_path_log(const struct gtv_path *p)
{
    return &p->log;
}

struct gtv_path_env *gtv_path_get_env(const struct gtv_path *p)
{
    return p->env;
}

struct gtv_format *gtv_path_format(const struct gtv_path *p)
{
    return p->state == GTV_PATH_CONNECTED ? p->format : NULL;
}

const struct gtv_gop *gtv_path_gop(const struct gtv_path *p)
{
    return &p->gop;
}

const struct gtv_reader *gtv_path_readers(const struct gtv_path *p)
{
    return p->readers;
}

void gtv_path_count_sent(struct gtv_path *p, size_t bytes)
{
    p->sent += bytes;
}

void gtv_path_count_skipped(struct gtv_path *p, unsigned samples)
{
    p->skipped += samples;
}

struct gtv_muxer *gtv_path_muxer(const struct gtv_path *p)
{
    return p->muxer;
}

void gtv_path_set_muxer(struct gtv_path *p, struct gtv_muxer *m)
{
    p->muxer = m;
}

uint64_t *gtv_path_segment_number(struct gtv_path *p)
{
    return &p->next_segment;
}
