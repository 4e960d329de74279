// One child: started in a process group of its own, watched, started again after a pause when it dies or
// hangs, exchanged for a new one and stopped on demand. Phases: idle -> running -> (waiting -> running)... ->
// stopping -> stopped. Loop thread only.
#ifndef GTV_SUPERVISOR_CHILD_H
#define GTV_SUPERVISOR_CHILD_H

#include "lib/base/error.h"
#include "lib/loop/loop.h"
#include "services/supervisor/handover.h"

#include <sys/types.h>

struct child;

// How to start one. The strings and vectors belong to the plan and outlive the child.
struct child_spec {
    const char *name; // "streaming": in log lines, and its log file's name
    char **argv;      // argv[0] is the absolute path of the program
    char **env;       // complete
    int rank;         // started in this order, stopped in the reverse one
    int config_exit;  // exit status by which it says that its configuration is wrong; -1: none
    bool notifies;    // speaks sd_notify(3): tells when it is ready, and that it lives
    bool overlaps;    // two of them may run at a time: a new one is started before the old one is stopped
    struct handover_wanted sockets[HANDOVER_WANTED_MAX];
};

struct child_callbacks {
    // It has said three times in a row that its configuration is wrong, and is not started again.
    void (*on_hopeless)(void *arg, struct child *c);
    // It has ended after child_stop.
    void (*on_stopped)(void *arg, struct child *c);
    // What child_restart began has ended, well or not; text says how in a few words. May be NULL.
    void (*on_restarted)(void *arg, struct child *c, bool ok, const char *text);
};

// log_folder: where <name>.log goes. guard: the descriptor of guard_start.
struct child *child_create(struct gtv_loop *loop, const struct child_spec *spec, const char *log_folder,
                           int guard, const struct child_callbacks *cb, void *arg);
// Opens the sockets that it is to be handed; before child_start. False with one sentence.
bool child_open_sockets(struct child *c, struct gtv_error *err) GTV_WARN_UNUSED;
void child_destroy(struct child *c); // not while it runs
void child_start(struct child *c);
// A new process in the old one's place, which takes over its sockets; where two may run, the old one is asked
// to end (SIGTERM) only when the new one is ready, and goes on if that never happens (60 s). False with one
// sentence when it cannot begin; otherwise on_restarted follows.
bool child_restart(struct child *c, struct gtv_error *err) GTV_WARN_UNUSED;
// SIGINT to those that notify, which makes them end without a grace, SIGTERM to others; after 11 s SIGKILL.
// on_stopped follows, at once when nothing runs.
void child_stop(struct child *c);
void child_hang_up(struct child *c);    // SIGHUP: it reads its configuration again
bool child_reap(struct child *c);       // on SIGCHLD: true if it was this one's
pid_t child_pid(const struct child *c); // 0 when it does not run
const struct child_spec *child_spec_of(const struct child *c);

#endif
