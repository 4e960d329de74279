// Who may do what: MediaMTX's internal users with their permissions (authInternalUsers) and path credentials.
// Loop thread only.
#ifndef GTV_MEDIA_AUTH_H
#define GTV_MEDIA_AUTH_H

#include "lib/base/str.h"

struct gtv_auth;

enum gtv_action { GTV_ACT_PUBLISH, GTV_ACT_READ, GTV_ACT_PLAYBACK, GTV_ACT_API, GTV_ACT_METRICS };

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

#endif
