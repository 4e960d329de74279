// Which ports are free. What is found free stays taken until the release, so that one run never gives a port
// out twice.
#ifndef GTV_SUPERVISOR_PORTS_H
#define GTV_SUPERVISOR_PORTS_H

#include "lib/base/str.h"

enum { PORTS_MAX = 16 };

// Zeroed is a valid empty set.
struct ports {
    int fds[PORTS_MAX];
    size_t count;
};

// The preferred port when it is free on 127.0.0.1, else another one that is; 0 when the system has none left.
int ports_take(struct ports *p, int preferred);
// Takes exactly this address (a literal) and port, or any free port for 0; *port tells which. False with one
// sentence when it cannot, in which the port's flag is named ("--port").
bool ports_take_exactly(struct ports *p, const char *host, int *port, const char *flag,
                        struct gtv_error *err) GTV_WARN_UNUSED;
void ports_release(struct ports *p);

#endif
