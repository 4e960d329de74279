// A socket in the data folder, <data>/run/control.sock, by which `./gtv restart NAME` speaks to the running
// supervisor: one line in ("restart streaming"), one line out ("ok: ..." or "error: ..."). Only who may enter
// the folder reaches it. At most 8 speakers at a time. Loop thread only.
#ifndef GTV_SUPERVISOR_CONTROL_H
#define GTV_SUPERVISOR_CONTROL_H

#include "lib/base/error.h"
#include "lib/loop/loop.h"

struct control;

// restart: begins it; the answer waits for control_told, or is *err where it is false.
struct control *control_create(struct gtv_loop *loop, const char *data,
                               bool (*restart)(void *arg, const char *name, struct gtv_error *err), void *arg,
                               struct gtv_error *err) GTV_WARN_UNUSED;
// To all who asked for this one.
void control_told(struct control *c, const char *name, bool ok, const char *text);
// Closes the socket and removes it. Before the loop ends. NULL is accepted.
void control_destroy(struct control *c);

#endif
