// URLs by RFC 3986 as far as the services need them, and keeping passwords out of sight.
#ifndef GTV_BASE_URL_H
#define GTV_BASE_URL_H

#include "lib/base/str.h"

// Slices of the parsed string; user and pass are still percent-encoded. port is the scheme's default when
// absent (rtsp 554, rtsps 322, http 80, https 443, rtmp 1935, srt 8890, redis 6379), 0 when there is none.
struct gtv_url {
    struct gtv_str scheme, user, pass, host, path, query;
    int port;
    bool has_user, has_pass, has_port;
    bool ipv6; // host was written in brackets (they are not part of host)
};

// False for what is no absolute URL with a host: no scheme, empty host, bad port, control characters, spaces,
// over 2048 bytes.
bool gtv_url_parse(struct gtv_str s, struct gtv_url *out) GTV_WARN_UNUSED;

// Percent-decodes into out (NUL-terminated); plus_is_space for query strings. -1 when malformed, has a NUL,
// or does not fit.
ptrdiff_t gtv_url_decode(struct gtv_str s, bool plus_is_space, char *out, size_t cap);
// Percent-encodes everything but unreserved characters (and '/' when keep_slash). False when it does not fit.
bool gtv_url_encode(struct gtv_str s, bool keep_slash, char *out, size_t cap) GTV_WARN_UNUSED;

// Writes s to out with every "scheme://user:pass@" inside it made "scheme://***@", wherever in the text it
// stands (also when the text is cut by cap). Returns the length. Every log line and API answer goes through
// this.
size_t gtv_redact(struct gtv_str s, char *out, size_t cap);

#endif
