// Phases: starting Redis -> starting the rest (readiness, provisioning and the first picture run beside each
// other) -> up -> stopping.
#include "services/supervisor/supervisor.h"

#include "services/supervisor/control.h"
#include "services/supervisor/provision.h"
#include "services/supervisor/ready.h"
#include "services/supervisor/report.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    REDIS_LIMIT_MS = 10 * 1000,
    HEALTH_LIMIT_MS = 10 * 1000,
    DOOR_LIMIT_MS = 1500,
    PLAYABLE_LIMIT_MS = 15 * 1000,
    LAST_WORDS_MS = 30, // for what the last children wrote
    HTTP_CONNECTIONS = 8,
    EXIT_CANNOT = 1,
    EXIT_CONFIG = 2,
};

static const struct gtv_log house_log = {"supervisor", NULL, NULL};

struct supervisor {
    const struct plan *plan;
    struct gtv_loop *loop;
    struct gtv_http_client *client;
    uv_signal_t on_child, on_hangup;
    struct child *children[PLAN_MAX_CHILDREN];
    size_t count;
    struct redis_wait *redis_wait;
    struct health_wait *core_wait;  // what the door needs, asked directly
    struct health_wait *house_wait; // all services, as clients reach them
    struct provision *provision;
    struct playable *playable;
    struct control *control;
    struct gtv_timer *stop_timer;
    int64_t started_ms, playable_ms;
    bool health_known, picture_known;
    bool stopping, said_last_words, had_terminal;
    int stopping_rank;
    int exit_status;
};

static void report_when_all_is_known(struct supervisor *s)
{
    if (s->health_known && s->picture_known && !s->stopping)
        report_print(s->plan, s->playable_ms, s->children, s->count);
}

// ---- The end ----

static bool rank_runs(const struct supervisor *s, int rank)
{
    for (size_t i = 0; i < s->count; i++) {
        if (child_spec_of(s->children[i])->rank == rank && child_pid(s->children[i]) != 0)
            return true;
    }
    return false;
}

// Stops one rank after the other, from the highest; children of one rank stop together. Driven by the timer,
// so that no child is stopped from within another one's callback.
static void stop_next_rank(void *arg)
{
    struct supervisor *s = arg;
    while (s->stopping_rank >= 0 && !rank_runs(s, s->stopping_rank)) {
        s->stopping_rank--;
        for (size_t i = 0; i < s->count; i++) {
            if (child_spec_of(s->children[i])->rank == s->stopping_rank)
                child_stop(s->children[i]);
        }
    }
    if (s->stopping_rank >= 0)
        return;
    if (!s->said_last_words)
        gtv_timer_start(s->stop_timer, LAST_WORDS_MS, 0);
    else
        gtv_loop_stop(s->loop);
    s->said_last_words = true;
}

static void begin_stop(struct supervisor *s, int exit_status)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->exit_status = exit_status;
    redis_wait_destroy(s->redis_wait);
    health_wait_destroy(s->core_wait);
    health_wait_destroy(s->house_wait);
    provision_destroy(s->provision);
    playable_destroy(s->playable);
    s->redis_wait = NULL;
    s->core_wait = NULL;
    s->house_wait = NULL;
    s->provision = NULL;
    s->playable = NULL;
    control_destroy(s->control);
    s->control = NULL;
    for (size_t i = 0; i < s->count; i++) {
        if (child_spec_of(s->children[i])->rank >= s->stopping_rank)
            s->stopping_rank = child_spec_of(s->children[i])->rank + 1;
    }
    gtv_timer_start(s->stop_timer, 0, 0);
}

static void on_stopped(void *arg, struct child *c)
{
    (void)c;
    struct supervisor *s = arg;
    if (s->stopping)
        gtv_timer_start(s->stop_timer, 0, 0);
}

static void on_hopeless(void *arg, struct child *c)
{
    struct supervisor *s = arg;
    const char *name = child_spec_of(c)->name;
    gtv_log_error(
        &house_log,
        "stopping: a program says again and again that its configuration is wrong; its own words are above",
        "child=%s", name);
    begin_stop(s, EXIT_CONFIG);
}

static void on_restarted(void *arg, struct child *c, bool ok, const char *text)
{
    struct supervisor *s = arg;
    control_told(s->control, child_spec_of(c)->name, ok, text);
}

static bool restart(void *arg, const char *name, struct gtv_error *err)
{
    struct supervisor *s = arg;
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(child_spec_of(s->children[i])->name, name) == 0)
            return child_restart(s->children[i], err);
    }
    gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "nothing here is called \"%s\"", name);
    return false;
}

static void on_signal(void *arg, int signum)
{
    struct supervisor *s = arg;
    gtv_log_info(&house_log, "stopping", "signal=%s", sigabbrev_np(signum));
    begin_stop(s, 0);
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// Either the terminal was closed, or somebody wants the configuration to be read again.
static void on_hangup(uv_signal_t *handle, int signum)
{
    struct supervisor *s = handle->data;
    if (s->had_terminal && !has_terminal()) {
        on_signal(s, signum);
        return;
    }
    gtv_log_info(&house_log, "the services read their configuration again", NULL);
    for (size_t i = 0; i < s->count; i++) {
        if (plan_http_port(s->plan, child_spec_of(s->children[i])->name))
            child_hang_up(s->children[i]);
    }
}

static void on_child_signal(uv_signal_t *handle, int signum)
{
    (void)signum;
    struct supervisor *s = handle->data;
    for (size_t i = 0; i < s->count; i++)
        (void)child_reap(s->children[i]);
}

// ---- The start ----

static void on_picture(void *arg, bool playable)
{
    struct supervisor *s = arg;
    s->playable_ms = playable ? gtv_mono_ms() - s->started_ms : -2;
    s->picture_known = true;
    report_when_all_is_known(s);
}

static void on_provisioned(void *arg, size_t accepted)
{
    struct supervisor *s = arg;
    if (accepted == 0) {
        s->playable_ms = s->plan->camera_count ? -2 : -1;
        s->picture_known = true;
        report_when_all_is_known(s);
        return;
    }
    s->playable = playable_start(s->loop, s->client, s->plan->inside_url, s->plan->cameras[0].id,
                                 PLAYABLE_LIMIT_MS, on_picture, s);
}

static void start_ranks(struct supervisor *s, int first, int last)
{
    for (size_t i = 0; i < s->count; i++) {
        int rank = child_spec_of(s->children[i])->rank;
        if (rank >= first && rank <= last)
            child_start(s->children[i]);
    }
}

static void on_house_health(void *arg, const struct health_target *targets, size_t n)
{
    struct supervisor *s = arg;
    for (size_t i = 0; i < n; i++) {
        if (!targets[i].ready)
            gtv_log_warn(&house_log, "a service does not answer yet; the others go on",
                         "child=%s waited_s=%d", targets[i].name, HEALTH_LIMIT_MS / 1000);
    }
    s->health_known = true;
    report_when_all_is_known(s);
}

// The health of a service behind the door, asked there: HAProxy may need a moment longer to see that it is
// up.
static char *health_url(const struct plan *plan, const char *name)
{
    if (plan->inside_url && (strcmp(name, "streaming") == 0 || strcmp(name, "ai") == 0))
        return gtv_asprintf("%s/%s/health", plan->inside_url, name);
    if (plan->inside_url && strcmp(name, "console") == 0)
        return gtv_asprintf("%s/health", plan->inside_url);
    return gtv_asprintf("http://127.0.0.1:%d/health", plan_http_port(plan, name));
}

static void wait_for_house(struct supervisor *s)
{
    struct health_target targets[HEALTH_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        const char *name = child_spec_of(s->children[i])->name;
        if (plan_http_port(s->plan, name))
            targets[n++] = (struct health_target){name, health_url(s->plan, name), false};
    }
    s->house_wait = health_wait_start(s->loop, s->client, targets, n, HEALTH_LIMIT_MS, on_house_health, s);
}

static void open_door(void *arg, const struct health_target *targets, size_t n)
{
    (void)targets;
    (void)n;
    struct supervisor *s = arg;
    start_ranks(s, RANK_DOOR, RANK_DOOR);
    wait_for_house(s);
    s->provision = provision_start(s->loop, s->client, s->plan, on_provisioned, s);
}

// HAProxy takes a service that is not up yet for dead, so that it starts after those that are needed first.
// ai, which loads its network, is not waited for.
static void wait_for_core(struct supervisor *s)
{
    static const char *const core[] = {"media", "streaming", "console"};
    struct health_target targets[HEALTH_MAX];
    size_t n = 0;
    for (; n < sizeof(core) / sizeof(core[0]); n++) {
        char *url = gtv_asprintf("http://127.0.0.1:%d/health", plan_http_port(s->plan, core[n]));
        targets[n] = (struct health_target){core[n], url, false};
    }
    s->core_wait = health_wait_start(s->loop, s->client, targets, n, DOOR_LIMIT_MS, open_door, s);
}

static void on_redis(void *arg, bool up)
{
    struct supervisor *s = arg;
    if (!up)
        gtv_log_error(&house_log, "Redis does not answer; the others are started all the same", "waited_s=%d",
                      REDIS_LIMIT_MS / 1000);
    start_ranks(s, RANK_MEDIA, RANK_SERVICES);
    if (s->plan->whole) {
        wait_for_core(s);
        return;
    }
    s->playable_ms = -1;
    s->picture_known = true;
    wait_for_house(s);
}

static void create_children(struct supervisor *s, int guard)
{
    char *folder = gtv_asprintf("%s/log", s->plan->data);
    struct child_callbacks cb = {
        .on_hopeless = on_hopeless, .on_stopped = on_stopped, .on_restarted = on_restarted};
    for (; s->count < s->plan->child_count; s->count++)
        s->children[s->count] = child_create(s->loop, &s->plan->children[s->count], folder, guard, &cb, s);
    free(folder);
}

static bool open_sockets(struct supervisor *s, struct gtv_error *err)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!child_open_sockets(s->children[i], err))
            return false;
    }
    s->control = control_create(s->loop, s->plan->data, restart, s, err);
    return s->control != NULL;
}

int supervisor_run(const struct plan *plan, int guard, int64_t started_ms)
{
    struct supervisor *s = GTV_NEW(struct supervisor);
    s->plan = plan;
    s->started_ms = started_ms;
    s->had_terminal = has_terminal();
    s->loop = gtv_loop_create("supervisor");
    s->client = gtv_http_client_create(s->loop, HTTP_CONNECTIONS);
    s->stop_timer = gtv_timer_create(s->loop, stop_next_rank, s);
    (void)uv_signal_init(gtv_loop_uv(s->loop), &s->on_child);
    s->on_child.data = s;
    (void)uv_signal_start(&s->on_child, on_child_signal, SIGCHLD);
    (void)uv_signal_init(gtv_loop_uv(s->loop), &s->on_hangup);
    s->on_hangup.data = s;
    (void)uv_signal_start(&s->on_hangup, on_hangup, SIGHUP);
    gtv_loop_on_signal(s->loop, on_signal, s);
    create_children(s, guard);
    struct gtv_error err = {0};
    if (open_sockets(s, &err)) {
        start_ranks(s, RANK_REDIS, RANK_REDIS);
        s->redis_wait = redis_wait_start(s->loop, plan->redis_socket, REDIS_LIMIT_MS, on_redis, s);
        gtv_loop_run(s->loop);
    } else {
        gtv_log_error(&house_log, "cannot start", "cause=\"%s\"", err.message);
        s->exit_status = EXIT_CANNOT;
    }

    int status = s->exit_status;
    for (size_t i = 0; i < s->count; i++)
        child_destroy(s->children[i]);
    gtv_timer_destroy(s->stop_timer);
    gtv_http_client_destroy(s->client);
    gtv_loop_destroy(s->loop);
    free(s);
    return status;
}
