// Playback sessions: their tokens, and which of them were ended by an operator.
//
// A token is 32 bytes in base64url (43 characters, RFC 4648, 5): 12 random bytes, the second it was made
// (big-endian, 4 bytes), and the first 16 bytes of HMAC-SHA256 (RFC 2104) over the stream's name and those
// 16 bytes. The key is random for each deployment; replicas agree on it through Redis. A token is a secret:
// only its id is shown. Any thread.
#ifndef GTV_STREAMING_SESSION_H
#define GTV_STREAMING_SESSION_H

#include "lib/base/str.h"

enum {
    GTV_SESSION_TEXT_MAX = 64, // a token, or what a client calls its session: A-Z a-z 0-9 _ -
    GTV_SESSION_KEY_LEN = 32,
    GTV_SESSION_ID_CAP = 17,         // 16 hex digits and NUL
    GTV_SESSION_LIFE_S = 12 * 3600,  // a signed token is taken that long after it was made
    GTV_KICKED_MAX = 10000,          // remembered at once; the one that ends first is forgotten for one more
    GTV_KICKED_CAP = 512,            // bytes of a kicked name
    GTV_GRANT_TTL_MAX_S = 7 * 86400, // a grant's longest life
};

struct gtv_sessions;

// With a random key of its own until gtv_sessions_set_key. Aborts when the system has no randomness.
struct gtv_sessions *gtv_sessions_create(void);
void gtv_sessions_destroy(struct gtv_sessions *s);

// The deployment's key. Tokens made with the key before it stay valid.
void gtv_sessions_set_key(struct gtv_sessions *s, const uint8_t key[GTV_SESSION_KEY_LEN]);
void gtv_sessions_get_key(struct gtv_sessions *s, uint8_t key[GTV_SESSION_KEY_LEN]);

// A new token for a playback of the stream.
void gtv_session_mint(struct gtv_sessions *s, struct gtv_str stream, int64_t wall_s,
                      char out[GTV_SESSION_TEXT_MAX + 1]);
// Whether it was made for this stream by this deployment, less than GTV_SESSION_LIFE_S ago.
bool gtv_session_valid(struct gtv_sessions *s, struct gtv_str stream, struct gtv_str token,
                       int64_t wall_s) GTV_WARN_UNUSED;
// 1 to GTV_SESSION_TEXT_MAX of A-Z a-z 0-9 _ -
bool gtv_session_text_valid(struct gtv_str text);
// What may be shown of a token: the first 64 bits of its SHA-256 in hex.
void gtv_session_id(struct gtv_str token, char out[GTV_SESSION_ID_CAP]);

// The value of `name` in a query string as it stands, undecoded; the first one wins. {NULL,0} when absent.
struct gtv_str gtv_query_raw(struct gtv_str query, struct gtv_str name);

// ---- Who was ended ----
// Names are the caller's ("s:<id>"). until_ms: wall clock. Names longer than GTV_KICKED_CAP are cut.
// Grows with each name that is new or holds for longer.
uint64_t gtv_sessions_kicks(struct gtv_sessions *s);
bool gtv_sessions_any_kicked(struct gtv_sessions *s);
void gtv_sessions_kick(struct gtv_sessions *s, struct gtv_str name, int64_t until_ms);
bool gtv_sessions_kicked(struct gtv_sessions *s, struct gtv_str name, int64_t wall_ms);
// Calls fn for each that still holds, with the lock held: fn only copies.
void gtv_sessions_each_kicked(struct gtv_sessions *s, int64_t wall_ms,
                              void (*fn)(void *arg, struct gtv_str name, int64_t until_ms), void *arg);

// ---- For this file and playback.c ----
// Base64url without padding; out has room for (n * 4 + 2) / 3 + 1 bytes.
void gtv_base64url(const uint8_t *data, size_t n, char *out);
// False unless text is the base64url of exactly n bytes.
bool gtv_base64url_read(struct gtv_str text, uint8_t *out, size_t n) GTV_WARN_UNUSED;

#endif
