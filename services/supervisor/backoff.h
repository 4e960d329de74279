// How long a child that died stays down.
#ifndef GTV_SUPERVISOR_BACKOFF_H
#define GTV_SUPERVISOR_BACKOFF_H

#include <stdint.h>

enum {
    BACKOFF_FIRST_MS = 200,
    BACKOFF_MAX_MS = 10 * 1000,
    BACKOFF_RESET_MS = 60 * 1000, // a life of that length makes the past forgotten
};

// Zeroed: nothing has died yet.
struct backoff {
    int64_t last_ms;
};

// Delay before the next start of a child that lived for lived_ms: 200 ms, then twice the last one, 10 s at
// most.
int64_t backoff_next(struct backoff *b, int64_t lived_ms);

#endif
