// One child process: started in a process group of its own, watched, started again after a pause when it
// dies, stopped on demand. Phases: idle -> running -> (waiting -> running)... -> stopping -> stopped. Loop
// thread only.
#ifndef GTV_SUPERVISOR_CHILD_H
#define GTV_SUPERVISOR_CHILD_H

#include "lib/loop/loop.h"

#include <sys/types.h>

struct child;

// How to start one. The strings and vectors belong to the plan and outlive the child.
struct child_spec {
    const char *name; // "streaming": in log lines, and its log file's name
    char **argv;      // argv[0] is the absolute path of the program
    char **env;       // complete
    int rank;         // started in this order, stopped in the reverse one
    int config_exit;  // exit status by which it says that its configuration is wrong; -1: none
};

struct child_callbacks {
    // It has said three times in a row that its configuration is wrong, and is not started again.
    void (*on_hopeless)(void *arg, struct child *c);
    // It has ended after child_stop.
    void (*on_stopped)(void *arg, struct child *c);
};

// log_folder: where <name>.log goes. guard: the descriptor of guard_start.
struct child *child_create(struct gtv_loop *loop, const struct child_spec *spec, const char *log_folder,
                           int guard, const struct child_callbacks *cb, void *arg);
void child_destroy(struct child *c); // not while it runs
void child_start(struct child *c);
void child_stop(struct child *c); // SIGTERM, after 5 s SIGKILL; on_stopped follows, at once when nothing runs
bool child_reap(struct child *c); // on SIGCHLD: true if it was this one that ended
pid_t child_pid(const struct child *c); // 0 when it does not run
const struct child_spec *child_spec_of(const struct child *c);

#endif
