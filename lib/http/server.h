// HTTP/1.1 server over libuv and llhttp. A server belongs to one loop; several servers may listen on one port
// (SO_REUSEPORT), one a loop.
//
// Limits (RFC 9110 and 9112 leave them to us): request line and headers 16 KiB and 100 fields, target 8 KiB,
// body per route, 10 s for the headers, 60 s idle, 60 s for a write that makes no progress, `max_connections`
// per server (beyond it a connection is answered 503 and closed). Refused with 400 and a closed connection:
// both Content-Length and Transfer-Encoding, two Content-Lengths, bare LF in headers, space before the colon,
// obsolete folding, no or two Host fields in HTTP/1.1, Transfer-Encoding in HTTP/1.0, control characters in a
// value, any transfer coding but chunked. HTTP/0.9 and 2 preface: 400/505.
#ifndef GTV_HTTP_SERVER_H
#define GTV_HTTP_SERVER_H

#include "lib/base/arena.h"
#include "lib/base/bytes.h"
#include "lib/log/log.h"
#include "lib/loop/loop.h"
#include "lib/metrics/metrics.h"

struct gtv_http_server;
struct gtv_http_request;

struct gtv_http_header {
    struct gtv_str name, value;
};

// Runs on the server's loop when the whole body is there. It must end the request, now or later, by a reply,
// a stream or an upgrade.
typedef void (*gtv_http_handler)(struct gtv_http_request *req, void *user);

// pattern: literal segments, {name} for one segment, {name*} for one or more segments (at most one of these;
// literals may follow it:
// "/{path*}/index.m3u8"). The first route of the table that matches wins; HEAD falls back to GET (the body is
// then not sent); a path that only matches with other methods answers 405 with Allow. Unknown: 404. OPTIONS
// with Access-Control-Request-Method is answered by the server.
struct gtv_http_route {
    const char *method; // "GET"; "*" for any
    const char *pattern;
    gtv_http_handler handler;
    size_t max_body;     // bytes; 0: no body allowed (413 beyond)
    const char *summary; // for the reference page
};

struct gtv_http_server_config {
    const char *name; // for log lines and the Server header
    const struct gtv_http_route *routes;
    size_t route_count;
    void *user;              // given to the handlers
    const char *cors_origin; // "*" or an origin; NULL: no CORS headers
    size_t max_connections;  // 0: 10,000
    struct gtv_metrics
        *metrics; // NULL: none. gtv_http_requests_total{service,status class}, gtv_http_connections, ...
    // NULL: the house's JSON error is sent for 404/405/413/400 (lib/contract's shape:
    // {"detail","code","field"}).
    void (*error_reply)(struct gtv_http_request *req, enum gtv_code code, const char *message, void *user);
    // "127.0.0.1,::1": peers whose X-Forwarded-For is believed. NULL: none.
    const char *trusted_proxies;
    // The same form: peers whose connections must begin with a PROXY header (HAProxy's send-proxy or
    // send-proxy-v2), and closed where they do not. The address it tells then counts as the peer's, for
    // trusted_proxies too. From anybody else such a header is no HTTP. NULL: none.
    const char *proxy_protocol;
    // A line for each request at INFO; false: at DEBUG, as everything is.
    bool access_log;
    unsigned header_timeout_ms; // 0: 10,000
    unsigned idle_timeout_ms;   // 0: 60,000
    unsigned write_timeout_ms;  // 0: 60,000
};

// The config is copied (the strings and the route table must live on). NULL with *err on failure.
struct gtv_http_server *gtv_http_server_create(struct gtv_loop *loop,
                                               const struct gtv_http_server_config *config,
                                               struct gtv_error *err) GTV_WARN_UNUSED;
// host: an address literal ("127.0.0.1", "0.0.0.0", "::1"). port 0 lets the system choose: see
// gtv_http_server_port. Call before the loop runs or on its thread. Sets SO_REUSEPORT only when reuseport is
// true (then a port in use by another program is not noticed). Raises the process's soft limit of open files
// to max_connections + 1,024 where the hard limit allows.
bool gtv_http_server_listen(struct gtv_http_server *s, const char *host, int port, bool reuseport,
                            struct gtv_error *err) GTV_WARN_UNUSED;
// Accepts from a listening socket that was handed over, up to 16 of them, instead of gtv_http_server_listen.
// fd is the server's from here on, also on failure. Others may hold the socket too: when this server stops,
// the connections that wait in it are theirs.
bool gtv_http_server_adopt(struct gtv_http_server *s, int fd, struct gtv_error *err) GTV_WARN_UNUSED;
int gtv_http_server_port(const struct gtv_http_server *s); // of the first socket
// Another origin, or NULL, as in the configuration; on the loop's thread. The text is borrowed.
void gtv_http_server_set_cors(struct gtv_http_server *s, const char *origin);
// Stops accepting, lets requests in progress end for up to drain_ms (idle connections close at once), then
// calls done (may be NULL). From here on GET /ready is answered 503, and every answer closes its connection.
// Connections that left HTTP have 3 s for their good-bye.
void gtv_http_server_stop(struct gtv_http_server *s, unsigned drain_ms, void (*done)(void *), void *arg);
// The same after a grace: for so long idle connections are answered once more, and new ones are taken unless
// the socket was handed over (then a successor takes them). Who asks /ready learns meanwhile to go elsewhere.
void gtv_http_server_retire(struct gtv_http_server *s, unsigned grace_ms, unsigned drain_ms,
                            void (*done)(void *), void *arg);
void gtv_http_server_destroy(
    struct gtv_http_server *s); // on the loop's thread after stop, or after the loop ended
size_t gtv_http_server_connections(const struct gtv_http_server *s);

// ---- The request: valid until the reply is complete or the client is gone; slices live as long as it does
// ----
struct gtv_str gtv_http_method(const struct gtv_http_request *req);
struct gtv_str gtv_http_target(const struct gtv_http_request *req); // as sent
struct gtv_str gtv_http_path(
    const struct gtv_http_request *req); // percent-decoded; dot segments are refused with 400 beforehand
struct gtv_str gtv_http_query_string(const struct gtv_http_request *req);
struct gtv_str gtv_http_header(const struct gtv_http_request *req, const char *name); // {NULL,0} when absent
// The i-th field as it came, for those who pass requests on; false behind the last one.
bool gtv_http_header_at(const struct gtv_http_request *req, size_t i,
                        struct gtv_http_header *out) GTV_WARN_UNUSED;
struct gtv_str gtv_http_param(const struct gtv_http_request *req,
                              const char *name); // from the pattern, decoded
// Decoded value of a query parameter in the request's arena; {NULL,0} when absent or malformed.
struct gtv_str gtv_http_query(struct gtv_http_request *req, const char *name);
struct gtv_str gtv_http_body(const struct gtv_http_request *req);
// The body becomes the caller's, who frees it with free(), whatever becomes of the request: for those who
// hand it to other threads. GTV_HTTP_BODY_PADDING zero bytes follow it. gtv_http_body is empty afterwards.
// NULL only without memory; the body then stays.
enum { GTV_HTTP_BODY_PADDING = 16 };
char *gtv_http_take_body(struct gtv_http_request *req, size_t *len) GTV_WARN_UNUSED;
struct gtv_str gtv_http_peer(const struct gtv_http_request *
                                 req); // client's address without port, by X-Forwarded-For from trusted peers
struct gtv_str gtv_http_request_id(
    struct gtv_http_request *req); // X-Request-ID of the client if well-formed, else made here; sent back
// The same and the trace that the request belongs to, for log lines about it and for calls that it brings
// about. Lives as long as the request.
const struct gtv_cause *gtv_http_cause(struct gtv_http_request *req);
struct gtv_arena *gtv_http_arena(struct gtv_http_request *req);
struct gtv_loop *gtv_http_loop(const struct gtv_http_request *req);
bool gtv_http_is_head(const struct gtv_http_request *req);
// Whether the server was told to stop: this is one of its last answers.
bool gtv_http_stopping(const struct gtv_http_request *req);

// Called once, on the loop, when the request is over: complete (true: all of it is with the kernel) or the
// client left or timed out (false). For HEAD too. Never from inside one of the calls below, always
// afterwards. After it the request must not be touched. At most one per request; setting it again replaces
// it. A request without it whose client leaves stays valid until its handler ended it (the reply then goes
// nowhere). gtv_http_server_destroy ends all requests. A client that only closes its sending side still gets
// its reply.
void gtv_http_on_close(struct gtv_http_request *req, void (*fn)(void *arg, bool complete), void *arg);

// ---- Whole replies. Content-Length, Date, Connection, CORS and X-Request-ID are added. A reference to each
// body is taken. ----
void gtv_http_reply(struct gtv_http_request *req, int status, const struct gtv_http_header *headers, size_t n,
                    struct gtv_bytes *body);
// The body in pieces (playlists with a token between): written with one writev.
void gtv_http_reply_pieces(struct gtv_http_request *req, int status, const struct gtv_http_header *headers,
                           size_t n, struct gtv_bytes *const *pieces, size_t piece_count);
void gtv_http_reply_str(struct gtv_http_request *req, int status, const char *content_type,
                        struct gtv_str body); // copies

// ---- Streamed replies: begin, write..., end ----
// content_length -1: chunked for HTTP/1.1, until close for 1.0.
void gtv_http_stream_begin(struct gtv_http_request *req, int status, const struct gtv_http_header *headers,
                           size_t n, int64_t content_length);
void gtv_http_stream_write(struct gtv_http_request *req,
                           struct gtv_bytes *piece); // takes a reference; never blocks
size_t gtv_http_stream_pending(
    const struct gtv_http_request *req); // bytes not yet handed to the kernel: the writer's back-pressure
void gtv_http_stream_on_drain(struct gtv_http_request *req, void (*fn)(void *arg),
                              void *arg); // whenever pending falls to 0; from the loop
void gtv_http_stream_end(struct gtv_http_request *req);
void gtv_http_stream_abort(
    struct gtv_http_request *req); // closes the connection so that the client sees the truncation

// ---- Upgrade (WebSocket): the connection leaves HTTP ----
struct gtv_http_conn;
struct gtv_http_upgrade {
    void (*on_read)(void *arg, const uint8_t *data, size_t n);
    void (*on_close)(void *arg); // once, from the loop, also after gtv_http_conn_close; the connection must
                                 // not be touched afterwards
    void (*on_drain)(void *arg); // pending fell to 0; may be NULL
    void *arg;
};
// Sends 101 with these headers and Connection: Upgrade. The request ends here. Time-outs of HTTP no longer
// hold (only the write deadline does). NULL (and no on_close) when the client had left before.
struct gtv_http_conn *gtv_http_upgrade(struct gtv_http_request *req, const struct gtv_http_header *headers,
                                       size_t n, const struct gtv_http_upgrade *handlers);
void gtv_http_conn_write(struct gtv_http_conn *c, struct gtv_bytes *piece); // takes a reference
// Several pieces with one call of the kernel; takes a reference to each.
enum { GTV_HTTP_PIECES_MAX = 64 };
void gtv_http_conn_write_many(struct gtv_http_conn *c, struct gtv_bytes *const *pieces, size_t n);
size_t gtv_http_conn_pending(const struct gtv_http_conn *c);
// The same and what the kernel holds unacknowledged: falls while the peer still takes something.
size_t gtv_http_conn_unacknowledged(const struct gtv_http_conn *c);
void gtv_http_conn_close(struct gtv_http_conn *c, bool flush_first);

// ---- Files of one folder (the page, /docs) ----
// Serves root/rel with its media type, ETag, Last-Modified, 304, Cache-Control: no-cache; refuses dot
// segments; 404 otherwise. Files are read once and kept (<= 32 MiB in all) until their mtime changes.
struct gtv_http_files;
struct gtv_http_files *gtv_http_files_create(const char *root);
void gtv_http_files_destroy(struct gtv_http_files *f);
void gtv_http_files_reply(struct gtv_http_files *f, struct gtv_http_request *req, struct gtv_str rel);
// The same with up to 8 headers more (a page's Content-Security-Policy).
void gtv_http_files_reply_with(struct gtv_http_files *f, struct gtv_http_request *req, struct gtv_str rel,
                               const struct gtv_http_header *extra, size_t extra_count);

#endif
