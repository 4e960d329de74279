// What others are told about this program: /ready, and the series of /metrics that come and go.
#ifndef GTV_STREAMING_SIGHT_H
#define GTV_STREAMING_SIGHT_H

#include "services/streaming/app.h"

// Cameras that are down, listed by number on /metrics; healthy ones cost no series.
enum { GTV_SIGHT_DOWN_MAX = 1000 };

struct gtv_sight;

struct gtv_sight *gtv_sight_create(struct gtv_app *app); // after the nodes
void gtv_sight_destroy(struct gtv_sight *s);
// Why Redis is away; NULL: it is there. Any thread.
void gtv_sight_note_redis(struct gtv_sight *s, const char *cause);
// Once a second, on the control loop: the gauges of the nodes.
void gtv_sight_tick(struct gtv_sight *s);
// GET /ready. Required: a media node. Without Redis it serves on; what replicas share is missing then.
void gtv_handle_ready(struct gtv_http_request *req, void *user);
// Appends the series by camera to a page of metrics; user is a worker's pages.
void gtv_sight_write(struct gtv_buf *out, void *user);

#endif
