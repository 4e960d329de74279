// GET /{path}/snapshot.jpg: the path's last key frame as a JPEG. Decoded in libuv's pool, at most once a
// second for a path however many ask, and two paths at a time. Loop thread only.
#ifndef GTV_MEDIA_SNAPSHOT_H
#define GTV_MEDIA_SNAPSHOT_H

#include "lib/http/server.h"
#include "services/media/path.h"

struct gtv_snapshots;

// running counts the work in the pool: it must be 0 before the destruction. Both outlive it.
struct gtv_snapshots *gtv_snapshots_create(struct gtv_loop *loop, atomic_int *running);
// Answers all who wait and takes no more work.
void gtv_snapshots_stop(struct gtv_snapshots *s);
void gtv_snapshots_destroy(struct gtv_snapshots *s); // NULL is accepted

// Ends the request, at once or when there is a picture. width: wanted, 0 for the picture's own.
void gtv_snapshots_get(struct gtv_snapshots *s, struct gtv_path *path, struct gtv_http_request *req,
                       int width);

#endif
