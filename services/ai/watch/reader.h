// One connection to a camera's stream at its media node, as coded pictures: by the relay of our own node
// (MPEG-TS over HTTP), or by RTSP, which a real MediaMTX has. It ends once, with a cause; who opened it
// decides whether to open another. Loop thread only.
#ifndef GTV_AI_READER_H
#define GTV_AI_READER_H

#include "lib/http/client.h"
#include "lib/rtsp/hub.h"
#include "services/ai/watch/ts.h"

struct gtv_reader;

#define GTV_READER_WAYS(X)                                                                                   \
    X(GTV_READER_AUTO, "auto") /* the relay; RTSP where a server that is no gtv-media answers without one */ \
    X(GTV_READER_RELAY, "relay")                                                                             \
    X(GTV_READER_RTSP, "rtsp")

enum gtv_reader_way {
#define X(name, text) name,
    GTV_READER_WAYS(X)
#undef X
};
const char *gtv_reader_way_name(enum gtv_reader_way way);
bool gtv_reader_way_parse(struct gtv_str text, enum gtv_reader_way *out) GTV_WARN_UNUSED;

enum { GTV_READER_CAUSE_CAP = 160 };

struct gtv_reader_config {
    struct gtv_http_client *http;
    struct gtv_rtsp_hub *hub;
    const char *relay_url, *rtsp_url; // rtsp_url: with credentials where the server wants some; both copied
    const char *user, *pass;          // of the relay (Basic), or NULL; live on
    enum gtv_reader_way way;
    const char *name;                                     // of the path, for the log; copied
    void (*on_unit)(void *arg, struct gtv_ts_unit *unit); // takes unit->data
    void (*on_end)(void *arg, const char *cause); // once; the reader is to be closed then, here or later
    void *arg;
};

// May call on_end before it returns.
void gtv_reader_open(struct gtv_reader **out, const struct gtv_reader_config *config);
void gtv_reader_close(struct gtv_reader *r);                // no callback follows; NULL is accepted
void gtv_reader_tick(struct gtv_reader *r, int64_t now_ms); // a few times a second: ends one that is silent
enum gtv_reader_way gtv_reader_way(const struct gtv_reader *r); // relay or RTSP: the one in use
const char *gtv_reader_fault(const struct gtv_reader *r);       // what it lacks when no picture comes of it

// base/path with the credentials in it, percent-encoded: user NULL or empty leaves base as it is. malloc'd;
// NULL when base is no address of RTSP. Pure.
char *gtv_reader_rtsp_url(const char *base, const char *user, const char *pass,
                          const char *path) GTV_WARN_UNUSED;
// A stored picture (lengths of 4 bytes before its NAL units) with start codes in their place, behind the
// parameter sets in the same form (an empty slice: none). False without memory, for what is malformed or too
// large; out->data is the caller's then as well. Pure.
bool gtv_reader_annexb(struct gtv_str sets, struct gtv_str picture, struct gtv_ts_unit *out) GTV_WARN_UNUSED;

#endif
