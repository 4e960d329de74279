// Error codes and the one struct that carries the details of a failure.
#ifndef GTV_BASE_ERROR_H
#define GTV_BASE_ERROR_H

#include <stdarg.h>

// X(enumerator, machine-readable code, HTTP status, default text)
#define GTV_ERROR_CODES(X)                                                                                   \
    X(GTV_OK, "ok", 200, "ok")                                                                               \
    X(GTV_E_BAD_REQUEST, "bad_request", 400, "The request could not be understood")                          \
    X(GTV_E_UNAUTHORIZED, "unauthorized", 401, "Authentication is required")                                 \
    X(GTV_E_FORBIDDEN, "forbidden", 403, "Not allowed")                                                      \
    X(GTV_E_NOT_FOUND, "not_found", 404, "Not found")                                                        \
    X(GTV_E_METHOD_NOT_ALLOWED, "method_not_allowed", 405, "Method not allowed")                             \
    X(GTV_E_TIMEOUT, "timeout", 408, "Processing timeout")                                                   \
    X(GTV_E_CONFLICT, "conflict", 409, "Already exists")                                                     \
    X(GTV_E_TOO_LARGE, "too_large", 413, "The body is too large")                                            \
    X(GTV_E_UNSUPPORTED, "unsupported", 415, "Unsupported format")                                           \
    X(GTV_E_INVALID, "invalid", 422, "Invalid value")                                                        \
    X(GTV_E_TOO_MANY, "too_many", 429, "Too many requests")                                                  \
    X(GTV_E_HEADERS_TOO_LARGE, "headers_too_large", 431, "The headers are too large")                        \
    X(GTV_E_INTERNAL, "internal", 500, "Internal error")                                                     \
    X(GTV_E_UPSTREAM, "upstream", 502, "The service behind this one failed")                                 \
    X(GTV_E_UNAVAILABLE, "unavailable", 503, "Not available right now")                                      \
    X(GTV_E_UPSTREAM_TIMEOUT, "upstream_timeout", 504, "The service behind this one did not answer in time") \
    X(GTV_E_CANCELLED, "cancelled", 499, "Cancelled")                                                        \
    X(GTV_E_IO, "io", 500, "Input or output failed")                                                         \
    X(GTV_E_LIMIT, "limit", 503, "A limit was reached")                                                      \
    X(GTV_E_TARGET_TOO_LONG, "target_too_long", 414, "The request target is too long")                       \
    X(GTV_E_EXPECTATION, "expectation_failed", 417, "This expectation cannot be met")                        \
    X(GTV_E_HTTP_VERSION, "http_version", 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here")

enum gtv_code {
#define X(name, code, status, text) name,
    GTV_ERROR_CODES(X)
#undef X
};

// Details of one failure. Zeroed means no failure. `field` names the input at fault ("rtsp_url"), or is
// empty.
struct gtv_error {
    enum gtv_code code;
    char field[64];
    char message[256];
};

// Fills *err (NULL is accepted and ignored); message is cut at its capacity. fmt NULL takes the code's
// default text.
void gtv_error_set(struct gtv_error *err, enum gtv_code code, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

// The machine-readable code ("not_found"), the HTTP status (404) and the default text of a code. Static
// strings.
const char *gtv_code_name(enum gtv_code code);
int gtv_code_http_status(enum gtv_code code);
const char *gtv_code_text(enum gtv_code code);

#define GTV_WARN_UNUSED __attribute__((warn_unused_result))

#endif
