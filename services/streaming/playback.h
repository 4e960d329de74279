// Playlists with a session's token in their URIs, and who may play at all.
//
// A grant is what `?token=` holds when GTV_PLAYBACK_KEY is set: 32 bytes in base64url (RFC 4648, 5), of which
// the first 8 are the Unix second it ends (big-endian), 8 are random, and the rest are the first 16 bytes of
// HMAC-SHA256 (RFC 2104), keyed with GTV_PLAYBACK_KEY, over "gtv-playback\n", the stream's name, "\n" and
// those 16 bytes. Until it ends a playback may be begun with it; one that has begun goes on by its session.
#ifndef GTV_STREAMING_PLAYBACK_H
#define GTV_STREAMING_PLAYBACK_H

#include "lib/base/bytes.h"
#include "services/streaming/session.h"

enum {
    GTV_GRANT_CAP = 44,   // 43 characters and NUL
    GTV_CUTS_MAX = 16384, // URIs of a playlist that get a token; those after them are left alone
};

// ---- Where the URIs of a playlist end ----
struct gtv_cuts;

// Finds the relative URIs of a playlist (RFC 8216): lines, and URI attributes of tags. Those with a scheme or
// a host of their own get no token. text may go away afterwards.
struct gtv_cuts *gtv_cuts_create(struct gtv_str text) GTV_WARN_UNUSED;
void gtv_cuts_destroy(struct gtv_cuts *c); // NULL is accepted
bool gtv_cuts_multivariant(const struct gtv_cuts *c);
size_t gtv_cuts_count(const struct gtv_cuts *c);
// The text that the cuts were made of, with session=<token> in the query of each URI. NULL without memory.
struct gtv_bytes *gtv_cuts_render(const struct gtv_cuts *c, struct gtv_str text,
                                  struct gtv_str token) GTV_WARN_UNUSED;

// ---- Grants ----
void gtv_grant_mint(const char *key, struct gtv_str stream, int64_t expires_s, char out[GTV_GRANT_CAP]);
enum gtv_grant { GTV_GRANT_GOOD, GTV_GRANT_WRONG, GTV_GRANT_OVER };
enum gtv_grant gtv_grant_check(const char *key, struct gtv_str stream, struct gtv_str token,
                               int64_t wall_s) GTV_WARN_UNUSED;

// "Bearer <secret>", compared in constant time.
bool gtv_bearer_is(struct gtv_str authorization, const char *secret) GTV_WARN_UNUSED;

#endif
