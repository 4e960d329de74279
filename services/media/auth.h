// Who may do what: MediaMTX's internal users with their permissions (authInternalUsers) and path credentials.
// Loop thread only.
#ifndef GTV_MEDIA_AUTH_H
#define GTV_MEDIA_AUTH_H

#include "lib/json/json.h"

struct gtv_auth;

enum gtv_action {
    GTV_ACT_PUBLISH,
    GTV_ACT_READ,
    GTV_ACT_PLAYBACK,
    GTV_ACT_API,
    GTV_ACT_METRICS,
    GTV_ACT_PPROF, // may be written in a permission; this node has nothing that asks for it
};

struct gtv_credentials {
    struct gtv_str user, pass; // empty: none were given
    struct gtv_str address;    // of the client, as text without a port
};

enum gtv_auth_answer { GTV_AUTH_OK, GTV_AUTH_ASK /* none given and some are needed */, GTV_AUTH_WRONG };

// path may be empty for API and metrics.
enum gtv_auth_answer gtv_auth_check(const struct gtv_auth *auth, enum gtv_action action, struct gtv_str path,
                                    const struct gtv_credentials *who);
// True when nobody needs credentials for it from this address: no challenge has to be sent.
bool gtv_auth_is_open(const struct gtv_auth *auth, enum gtv_action action, struct gtv_str path,
                      struct gtv_str address);

// Where the client proves its password without sending it (Digest): proves says whether it did so with this
// user's. Users whose name or password is hashed cannot be asked.
bool gtv_auth_check_proof(const struct gtv_auth *auth, enum gtv_action action, struct gtv_str path,
                          struct gtv_str address,
                          bool (*proves)(void *arg, struct gtv_str user, struct gtv_str pass), void *arg);
// False when any user is hashed: digests are better not asked for then.
bool gtv_auth_takes_digest(const struct gtv_auth *auth);

// With MediaMTX's default: anybody may publish, read and play back; API and metrics only from this machine.
struct gtv_auth *gtv_auth_create(void);
void gtv_auth_destroy(struct gtv_auth *auth); // NULL is accepted

enum {
    GTV_AUTH_USERS_MAX = 1000,
    GTV_AUTH_ITEMS_MAX = 100, // permissions, and addresses, of one user
};

// users: the value of authInternalUsers, [{"user","pass","ips":[],"permissions":[{"action","path"}]}]; user
// and pass plain, "sha256:" with base64, or "argon2:" with a PHC string (at most 16 MiB and 4 passes: it is
// computed between packets). A pass of "***" is the one that the user of this name has. NULL brings the
// default back. False with *err, and nothing is changed.
bool gtv_auth_configure(struct gtv_auth *auth, yyjson_val *users, struct gtv_error *err) GTV_WARN_UNUSED;
// The same shape. redacted: without what could be a secret (every "pass" reads "***" where there is one).
yyjson_mut_val *gtv_auth_write(const struct gtv_auth *auth, yyjson_mut_doc *doc, bool redacted);

#endif
