// What a program owes whoever started it, systemd or our supervisor: it says that it is ready, that it still
// turns, that it stops; and it takes over listening sockets that outlive it. The protocols are sd_notify(3)
// and sd_listen_fds(3), without their library. Without $NOTIFY_SOCKET and $LISTEN_FDS all of it does nothing.
#ifndef GTV_LIFE_LIFE_H
#define GTV_LIFE_LIFE_H

#include "lib/base/error.h"
#include "lib/loop/loop.h"

struct gtv_life;

// Sockets that a program is handed at most; those beyond are closed, with a line in the log.
enum { GTV_LIFE_SOCKETS_MAX = 32 };

// Reads $NOTIFY_SOCKET (a path or, with @, an abstract name), $WATCHDOG_USEC and $LISTEN_FDS, and takes them
// out of the environment, so that no child believes they are meant for it: call it before threads start.
// `loop` is the one that will be watched and whose thread calls everything below. Never NULL.
struct gtv_life *gtv_life_create(struct gtv_loop *loop);
// After the loops that it watches were destroyed. Closes sockets that nobody took. NULL is accepted.
void gtv_life_destroy(struct gtv_life *life);

// One more loop without whose turning there is no sign of life (at most 16; set before any of them runs).
void gtv_life_watch(struct gtv_life *life, struct gtv_loop *loop);

// The program serves. From here on signs of life are sent, three in a watchdog's time, while all loops turn.
void gtv_life_ready(struct gtv_life *life);
// It reads its configuration anew; gtv_life_ready ends that.
void gtv_life_reloading(struct gtv_life *life);
// It takes no new work and will end. Safe to call twice.
void gtv_life_stopping(struct gtv_life *life);
// One line for people, without line ends; up to 200 bytes of it are sent.
void gtv_life_status(struct gtv_life *life, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// A listening stream socket that was handed over under this name, or is bound to this port (0: only by name).
// The caller's to close; close-on-exec. -1 when none is left.
int gtv_life_take_socket(struct gtv_life *life, const char *name, int port) GTV_WARN_UNUSED;
// Names those that nobody took in the log and closes them.
void gtv_life_close_unused(struct gtv_life *life);

#endif
