// HTTP client on a loop (libcurl multi). One client per loop; every fetch has a time limit and a body limit.
#ifndef GTV_HTTP_CLIENT_H
#define GTV_HTTP_CLIENT_H

#include "lib/base/bytes.h"
#include "lib/base/cause.h"
#include "lib/loop/loop.h"

struct gtv_http_client;
struct gtv_http_fetch;

struct gtv_http_client *gtv_http_client_create(struct gtv_loop *loop, size_t max_connections);
void gtv_http_client_destroy(struct gtv_http_client *c); // cancels what runs, without callbacks

struct gtv_http_fetch_options {
    const char *method; // NULL: GET
    const char *url;
    const char *address; // dialled in place of what the URL's host resolves to (IPv6 in brackets), or NULL
    const char *user, *password; // Basic, or NULL
    const char *const *headers;  // "Name: value" ..., NULL-terminated, or NULL
    // For whose sake: passed on as X-Request-ID, traceparent (with a span of this fetch) and tracestate,
    // which `headers` should then not name. NULL: nobody's.
    const struct gtv_cause *cause;
    const void *body; // copied; NULL: none
    size_t body_len;
    unsigned connect_timeout_ms; // 0: 5,000
    unsigned timeout_ms;         // whole fetch; 0: 10,000
    unsigned stall_timeout_ms;   // no byte for that long; 0: as timeout_ms
    size_t max_body;             // 0: 1 MiB; beyond it the fetch fails with GTV_E_TOO_LARGE
    bool stream; // true: bodies go to on_data only and are not collected (timeout_ms 0 then means none)
    // A redirect is never followed; the caller sees it.
};

enum { GTV_HTTP_FETCH_FIELDS_MAX = 48 }; // header fields that are listed; those beyond are left out

struct gtv_http_fetch_field {
    struct gtv_str name, value; // value without white space at its ends
};

// What came back. Slices live until the callback returns.
struct gtv_http_response {
    int status;
    struct gtv_str content_type, cache_control, etag, last_modified, location, set_cookie;
    int64_t content_length;                    // -1 when not announced
    const struct gtv_http_fetch_field *fields; // all of them, as they came
    size_t field_count;
    struct gtv_bytes *body; // NULL when streaming; take a reference to keep it
};

struct gtv_http_fetch_callbacks {
    void (*on_head)(void *arg, const struct gtv_http_response *r); // may be NULL; body is NULL here
    void (*on_data)(void *arg, const void *data, size_t n);        // when streaming
    void (*on_done)(void *arg, const struct gtv_http_response *r,
                    const struct gtv_error *err); // err NULL: complete; r NULL: no answer came
};

// Calls back on the loop, never before it returned. The fetch is gone after on_done.
struct gtv_http_fetch *gtv_http_fetch(struct gtv_http_client *c, const struct gtv_http_fetch_options *o,
                                      const struct gtv_http_fetch_callbacks *cb, void *arg);
void gtv_http_fetch_cancel(struct gtv_http_fetch *f); // no callback follows

#endif
