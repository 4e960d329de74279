// The clients of live events of one loop, WebSocket and Server-Sent Events: who subscribed to what, and
// handing each event to them. An event is serialised and framed once for all loops; what arrives in one turn
// of the loop goes to a client with one call of the kernel.
//
// A client that reads slowly has a queue (GTV_BACKLOG_BYTES, GTV_BACKLOG_COUNT): status messages there give
// way to newer ones of the same camera, of others the oldest leave, and {"type":"gap","data":{"missed":n}}
// tells how many. A WebSocket that takes nothing for GTV_WS_STALL seconds (60) is closed with 1013.
#ifndef GTV_STREAMING_HUB_H
#define GTV_STREAMING_HUB_H

#include "services/streaming/app.h"

enum {
    GTV_HUB_TURN = 64,          // messages of one topic that wait for the end of a turn
    GTV_TYPES_CAP = 256,        // bytes of ?types=
    GTV_EVENT_MAX = 256 * 1024, // bytes of one event; a larger one is not passed on
};

struct gtv_hub *gtv_hub_create(struct gtv_worker *worker);
void gtv_hub_stop(struct gtv_hub *h);    // on its loop: says good-bye to all clients
void gtv_hub_destroy(struct gtv_hub *h); // after the loop's server was destroyed

// GET /ws/events/{stream*} ("*" for all streams), /ws/dashboard, and /events/{stream*} (Server-Sent Events).
// ?types= filters, ?since= (and Last-Event-ID) replays.
void gtv_handle_ws_events(struct gtv_http_request *req, void *worker);
void gtv_handle_ws_dashboard(struct gtv_http_request *req, void *worker);
void gtv_handle_sse_events(struct gtv_http_request *req, void *worker);
// GET /ws/echo: gives back what it gets; 404 unless GTV_WS_ECHO is set.
void gtv_handle_ws_echo(struct gtv_http_request *req, void *worker);

// From the control loop: gives the message (a JSON object) to the subscribers of stream, on all loops; stream
// NULL: to the dashboards. id as in Redis.
void gtv_hub_broadcast(struct gtv_app *app, const char *stream, struct gtv_str type, const char *id,
                       struct gtv_str json);
// What is passed on: a valid stream's name, and an object of JSON in UTF-8 of at most GTV_EVENT_MAX.
bool gtv_event_shows(struct gtv_str stream, struct gtv_str json);

// A post to the client's loop: its replay's next chunk (struct gtv_replay).
void gtv_hub_replayed(void *replay);

#endif
