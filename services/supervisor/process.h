// One life of a child: its process group, its output, and what it tells by sd_notify(3). Loop thread only.
#ifndef GTV_SUPERVISOR_PROCESS_H
#define GTV_SUPERVISOR_PROCESS_H

#include "lib/loop/loop.h"
#include "services/supervisor/child.h"
#include "services/supervisor/handover.h"
#include "services/supervisor/output.h"

// A child that sends signs of life and then none for so long hangs.
enum { PROCESS_WATCHDOG_MS = 60 * 1000 };

struct process;

struct process_config {
    const struct child_spec *spec;
    struct gtv_loop *loop;
    struct output *output;
    int guard;
    const struct handover *sockets;
    void (*on_ready)(void *arg, struct process *p); // READY=1 came, for the first time
    void *arg;
};

// NULL with errno when there is no process, descriptor or memory left.
struct process *process_start(const struct process_config *config);
// After it was reaped. NULL is accepted.
void process_destroy(struct process *p);
// True when it has ended: what it left behind in its group is gone too.
bool process_reap(struct process *p, int *status);
void process_signal(const struct process *p, int signum); // to its whole group
pid_t process_pid(const struct process *p);
int64_t process_lived_ms(const struct process *p);
bool process_is_ready(const struct process *p);     // it said so
int64_t process_silent_ms(const struct process *p); // since the last sign of life; 0 when it never sent one
// Closes the reading ends of outputs that grandchildren hold open.
void process_forget_output(struct gtv_loop *loop, const struct output *output);

#endif
