#include "services/supervisor/child.h"

#include "services/supervisor/backoff.h"
#include "services/supervisor/output.h"
#include "services/supervisor/process.h"

#include "lib/base/mem.h"
#include "lib/log/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

enum {
    STOP_MS = 11 * 1000, // our programs end within 10 s
    READY_MS = 60 * 1000,
    WATCH_MS = 5 * 1000,
    HOPELESS_AFTER = 3,
    CAUSE_CAP = 64,
};

enum phase { IDLE, RUNNING, WAITING, EXCHANGING, STOPPING, STOPPED };

struct child {
    const struct child_spec *spec;
    struct gtv_loop *loop;
    struct gtv_log log;
    struct output *output;
    // In WAITING: the next start; while a restart waits for readiness: the end of patience; in STOPPING
    // likewise.
    struct gtv_timer *timer;
    struct gtv_timer *patience; // with the one that was asked to make way
    struct gtv_timer *watch;
    struct child_callbacks cb;
    void *arg;
    enum phase phase;
    struct process *now;  // NULL: none runs
    struct process *next; // started to take over, not ready yet
    struct process *old;  // has made way, and ends
    struct handover sockets;
    bool restarting; // on_restarted is owed
    bool hangs;      // it was told to abort for its silence
    int guard;
    int config_exits; // in a row
    struct backoff backoff;
};

static void told_restarted(struct child *c, bool ok, const char *text)
{
    if (!c->restarting)
        return;
    c->restarting = false;
    gtv_timer_stop(c->timer);
    if (ok)
        gtv_log_info(&c->log, "restarted", "how=\"%s\"", text);
    else
        gtv_log_error(&c->log, "the restart failed", "cause=\"%s\"", text);
    if (c->cb.on_restarted)
        c->cb.on_restarted(c->arg, c, ok, text);
}

static void on_ready(void *arg, struct process *p)
{
    struct child *c = arg;
    if (p == c->next) {
        c->old = c->now;
        c->now = c->next;
        c->next = NULL;
        process_signal(c->old, SIGTERM);
        gtv_timer_start(c->patience, STOP_MS, 0);
        told_restarted(c, true, "the new one was ready before the old one was stopped");
    } else if (p == c->now) {
        told_restarted(c, true, "its sockets stayed open meanwhile");
    }
}

static struct process *begin(struct child *c)
{
    struct process *p = process_start(&(struct process_config){.spec = c->spec,
                                                               .loop = c->loop,
                                                               .output = c->output,
                                                               .guard = c->guard,
                                                               .sockets = &c->sockets,
                                                               .on_ready = on_ready,
                                                               .arg = c});
    if (p)
        gtv_log_debug(&c->log, "started", "pid=%d", (int)process_pid(p));
    else
        gtv_log_error(&c->log, "cannot start", "err=\"%s\"", strerror(errno));
    return p;
}

static void retry_later(struct child *c, int64_t lived_ms)
{
    int64_t delay = backoff_next(&c->backoff, lived_ms);
    c->phase = WAITING;
    gtv_timer_start(c->timer, (uint64_t)delay, 0);
}

void child_start(struct child *c)
{
    c->hangs = false;
    c->now = begin(c);
    if (!c->now) {
        told_restarted(c, false, "it cannot be started");
        retry_later(c, 0);
        return;
    }
    c->phase = RUNNING;
    if (c->restarting)
        gtv_timer_start(c->timer, READY_MS, 0);
}

static void on_timer(void *arg)
{
    struct child *c = arg;
    if (c->phase == WAITING) {
        child_start(c);
    } else if (c->phase == STOPPING) {
        gtv_log_warn(&c->log, "did not stop in time: killed", "limit_s=%d", STOP_MS / 1000);
        process_signal(c->now, SIGKILL);
        process_signal(c->next, SIGKILL);
        process_signal(c->old, SIGKILL);
    } else if (c->restarting) {
        process_signal(c->next, SIGKILL);
        told_restarted(c, false, "it was not ready within 60 s");
    }
}

static void on_patience_ended(void *arg)
{
    struct child *c = arg;
    gtv_log_warn(&c->log, "did not make way in time: killed", "limit_s=%d", STOP_MS / 1000);
    process_signal(c->phase == EXCHANGING ? c->now : c->old, SIGKILL);
}

static void on_watch(void *arg)
{
    struct child *c = arg;
    if (c->phase != RUNNING || process_silent_ms(c->now) < PROCESS_WATCHDOG_MS)
        return;
    gtv_log_error(&c->log, "gave no sign of life: killed", "limit_s=%d", PROCESS_WATCHDOG_MS / 1000);
    process_signal(c->now, c->hangs ? SIGKILL : SIGABRT);
    c->hangs = true;
}

static void describe(int status, char cause[CAUSE_CAP])
{
    if (WIFSIGNALED(status))
        snprintf(cause, CAUSE_CAP, "signal %d (%s)", WTERMSIG(status), sigabbrev_np(WTERMSIG(status)));
    else
        snprintf(cause, CAUSE_CAP, "exit status %d", WEXITSTATUS(status));
}

static bool reap(struct process **p, int *status)
{
    if (!process_reap(*p, status))
        return false;
    process_destroy(*p);
    *p = NULL;
    return true;
}

// The one that serves has ended by itself, or as it was asked to.
static void ended(struct child *c, int status, int64_t lived_ms)
{
    char cause[CAUSE_CAP];
    if (c->phase == STOPPING)
        return;
    if (c->phase == EXCHANGING) {
        gtv_timer_stop(c->patience);
        child_start(c);
        return;
    }
    if (c->next) { // its successor is on the way
        c->now = c->next;
        c->next = NULL;
        return;
    }
    bool config = WIFEXITED(status) && WEXITSTATUS(status) == c->spec->config_exit;
    c->config_exits = config ? c->config_exits + 1 : 0;
    describe(status, cause);
    if (c->restarting) {
        char text[CAUSE_CAP + 48];
        snprintf(text, sizeof text, "the new one ended: %s", cause);
        told_restarted(c, false, text);
    }
    if (c->config_exits >= HOPELESS_AFTER) {
        c->phase = STOPPED;
        c->cb.on_hopeless(c->arg, c);
        return;
    }
    retry_later(c, lived_ms);
    gtv_log_error(&c->log, "died and is started again", "cause=\"%s\" lived_s=%.1f again_in_ms=%lld", cause,
                  (double)lived_ms / 1000, (long long)c->backoff.last_ms);
}

bool child_reap(struct child *c)
{
    int status;
    bool any = false;
    if (reap(&c->old, &status)) {
        any = true;
        if (c->phase != EXCHANGING)
            gtv_timer_stop(c->patience);
    }
    if (reap(&c->next, &status)) {
        char cause[CAUSE_CAP], text[CAUSE_CAP + 48];
        any = true;
        describe(status, cause);
        snprintf(text, sizeof text, "the new one ended, the old one goes on: %s", cause);
        told_restarted(c, false, text);
    }
    int64_t lived_ms = c->now ? process_lived_ms(c->now) : 0;
    if (reap(&c->now, &status)) {
        any = true;
        ended(c, status, lived_ms);
    }
    if (any && c->phase == STOPPING && !c->now && !c->next && !c->old) {
        gtv_timer_stop(c->timer);
        c->phase = STOPPED;
        c->cb.on_stopped(c->arg, c);
    }
    return any;
}

bool child_restart(struct child *c, struct gtv_error *err)
{
    const char *name = c->spec->name;
    if (!c->spec->notifies) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "%s is not restarted alone", name);
        return false;
    }
    if (c->restarting || c->old) {
        gtv_error_set(err, GTV_E_CONFLICT, NULL, "%s is being restarted already", name);
        return false;
    }
    if (c->phase != RUNNING && c->phase != WAITING) {
        gtv_error_set(err, GTV_E_CONFLICT, NULL, "%s does not run, and is not started again", name);
        return false;
    }
    c->restarting = true;
    gtv_timer_stop(c->timer);
    if (c->phase == WAITING) {
        child_start(c);
    } else if (c->spec->overlaps) {
        c->next = begin(c);
        if (c->next)
            gtv_timer_start(c->timer, READY_MS, 0);
        else
            told_restarted(c, false, "it cannot be started");
    } else {
        c->phase = EXCHANGING;
        process_signal(c->now, SIGTERM);
        gtv_timer_start(c->patience, STOP_MS, 0);
    }
    return true;
}

void child_stop(struct child *c)
{
    if (c->phase == STOPPING)
        return;
    c->restarting = false;
    gtv_timer_stop(c->timer);
    gtv_timer_stop(c->patience);
    if (!c->now && !c->next && !c->old) {
        c->phase = STOPPED;
        c->cb.on_stopped(c->arg, c);
        return;
    }
    c->phase = STOPPING;
    int signum = c->spec->notifies ? SIGINT : SIGTERM;
    process_signal(c->now, signum);
    process_signal(c->next, signum);
    process_signal(c->old, signum);
    gtv_timer_start(c->timer, STOP_MS, 0);
}

struct child *child_create(struct gtv_loop *loop, const struct child_spec *spec, const char *log_folder,
                           int guard, const struct child_callbacks *cb, void *arg)
{
    struct child *c = GTV_NEW(struct child);
    c->spec = spec;
    c->loop = loop;
    c->log = (struct gtv_log){"supervisor", "child", spec->name};
    c->output = output_create(log_folder, spec->name);
    c->timer = gtv_timer_create(loop, on_timer, c);
    c->patience = gtv_timer_create(loop, on_patience_ended, c);
    c->watch = gtv_timer_create(loop, on_watch, c);
    if (spec->notifies)
        gtv_timer_start(c->watch, WATCH_MS, WATCH_MS);
    c->cb = *cb;
    c->arg = arg;
    c->guard = guard;
    return c;
}

bool child_open_sockets(struct child *c, struct gtv_error *err)
{
    return handover_open(&c->sockets, c->spec->sockets, err);
}

void child_destroy(struct child *c)
{
    if (!c)
        return;
    process_forget_output(c->loop, c->output);
    handover_close(&c->sockets);
    gtv_timer_destroy(c->timer);
    gtv_timer_destroy(c->patience);
    gtv_timer_destroy(c->watch);
    output_destroy(c->output);
    free(c);
}

void child_hang_up(struct child *c)
{
    process_signal(c->now, SIGHUP);
}

pid_t child_pid(const struct child *c)
{
    return c->now ? process_pid(c->now) : 0;
}

const struct child_spec *child_spec_of(const struct child *c)
{
    return c->spec;
}
