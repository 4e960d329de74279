// Basic and Digest authentication (RFC 7617, RFC 7616) as RTSP uses them. Pure; any thread.
#ifndef GTV_RTSP_DIGEST_H
#define GTV_RTSP_DIGEST_H

#include "lib/rtsp/message.h"

enum gtv_digest_scheme { GTV_DIGEST_NONE, GTV_DIGEST_BASIC, GTV_DIGEST_MD5, GTV_DIGEST_SHA256 };

enum { GTV_DIGEST_HEX = 65, GTV_DIGEST_FIELD_MAX = 255 };

// What a server asks for, and how often its nonce was used. Zeroed: nothing was asked yet.
struct gtv_digest_challenge {
    enum gtv_digest_scheme scheme;
    bool qop;   // "auth" is offered
    bool stale; // the nonce was right once, only too old: the same password may be tried again
    uint32_t count;
    char realm[GTV_DIGEST_FIELD_MAX + 1], nonce[GTV_DIGEST_FIELD_MAX + 1], opaque[GTV_DIGEST_FIELD_MAX + 1];
};

// The strongest challenge of a 401 that can be answered. False when there is none.
bool gtv_digest_challenge_read(const struct gtv_rtsp_message *m,
                               struct gtv_digest_challenge *out) GTV_WARN_UNUSED;
// The Authorization header for one request; nothing when nothing was asked. Counts the nonce's uses.
void gtv_digest_write(struct gtv_buf *out, struct gtv_digest_challenge *c, const char *method,
                      const char *uri, const char *user, const char *pass);

// ---- Both sides ----

// The value of name= in the parameters of a challenge or of credentials, unquoted (escapes stay). p NULL
// without it.
struct gtv_str gtv_digest_parameter(struct gtv_str parameters, const char *name);

// What is hashed for one request. qop false: nc and cnonce are not used.
struct gtv_digest_input {
    enum gtv_digest_scheme scheme; // MD5 or SHA256
    struct gtv_str user, realm, pass, method, uri, nonce;
    bool qop;
    struct gtv_str nc, cnonce;
};
// The "response" in hexadecimal; false without memory.
bool gtv_digest_response(const struct gtv_digest_input *in, char out[GTV_DIGEST_HEX]) GTV_WARN_UNUSED;

#endif
