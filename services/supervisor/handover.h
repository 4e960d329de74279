// Listening sockets that the supervisor holds for its children: they outlive a restart, so that who connects
// meanwhile waits in their backlog instead of being refused.
#ifndef GTV_SUPERVISOR_HANDOVER_H
#define GTV_SUPERVISOR_HANDOVER_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { HANDOVER_MAX = 16, HANDOVER_WANTED_MAX = 4, HANDOVER_NAMES_CAP = 512 };

// What a child is to be handed.
struct handover_wanted {
    const char *name; // by which the program knows it
    int port;         // on 127.0.0.1; 0 ends a list of them
    int count;        // sockets on this port: the kernel spreads connections over them (SO_REUSEPORT)
};

struct handover {
    int fds[HANDOVER_MAX];
    size_t count;
    char names[HANDOVER_NAMES_CAP]; // "LISTEN_FDNAMES=a:b:b"
};

// Zeroed *h is filled. False with one sentence, and nothing stays open.
bool handover_open(struct handover *h, const struct handover_wanted wanted[HANDOVER_WANTED_MAX],
                   struct gtv_error *err) GTV_WARN_UNUSED;
void handover_close(struct handover *h);

// In the new process: puts the sockets where sd_listen_fds(3) wants them. Only what is safe after fork.
void handover_place(const struct handover *h);

#endif
