// The WebSocket clients of one loop: who subscribed to what, and handing each event to them. An event is
// encoded once for all loops.
//
// A client that reads slowly has at most GTV_HUB_QUEUE bytes waiting: what comes then is skipped for it, and
// when it has caught up it is told how much it missed by {"type":"gap","data":{"missed":n}}. A client that
// takes nothing for 60 s is closed by the connection's write deadline.
#ifndef GTV_STREAMING_HUB_H
#define GTV_STREAMING_HUB_H

#include "services/streaming/app.h"

enum { GTV_HUB_QUEUE = 256 * 1024 };

struct gtv_hub *gtv_hub_create(struct gtv_worker *worker);
void gtv_hub_destroy(struct gtv_hub *h); // after the loop's server was destroyed

// GET /ws/events/{stream*} ("*" for all streams) and /ws/dashboard
void gtv_handle_ws_events(struct gtv_http_request *req, void *worker);
void gtv_handle_ws_dashboard(struct gtv_http_request *req, void *worker);

// From the control loop: gives the message (JSON) to the subscribers of stream, on all loops; stream NULL: to
// the dashboards.
void gtv_hub_broadcast(struct gtv_app *app, const char *stream, struct gtv_str message);

#endif
