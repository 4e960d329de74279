// One connection to Redis that keeps itself alive; shared by the command client and the stream tail. Internal
// to lib/redis.
#ifndef GTV_REDIS_LINK_H
#define GTV_REDIS_LINK_H

#include "lib/redis/redis.h"

#include <hiredis/async.h>

struct gtv_redis_target {
    bool is_unix;
    char host[256]; // name, address, or path of the socket
    int port;
    int db;
    char user[128], pass[256];
};
// Understands redis://[user:pass@]host[:port][/db] and unix:///path[?db=n][&password=p]. The error never
// repeats a password.
bool gtv_redis_target_parse(const char *url, struct gtv_redis_target *out,
                            struct gtv_error *err) GTV_WARN_UNUSED;

struct gtv_redis_link;

// on_state runs on the loop: true once AUTH, CLIENT SETNAME and SELECT were accepted, false when that
// connection is lost.
struct gtv_redis_link *gtv_redis_link_create(struct gtv_loop *loop, const struct gtv_redis_target *target,
                                             const char *client_name, void (*on_state)(void *arg, bool up),
                                             void *arg);
// Pending replies are called back with NULL before it returns; on_state is not called any more.
void gtv_redis_link_destroy(struct gtv_redis_link *l);
bool gtv_redis_link_up(const struct gtv_redis_link *l);
// An attempt to connect has failed, or the connection was lost, and it is not up again.
bool gtv_redis_link_away(const struct gtv_redis_link *l);
// Why it is away ("NOAUTH ...", "Connection refused"); NULL while it is up. Valid until the loop goes on.
const char *gtv_redis_link_reason(const struct gtv_redis_link *l);
// Closes the connection (pending replies: NULL; on_state false) and connects again after the back-off.
void gtv_redis_link_reset(struct gtv_redis_link *l, const char *reason);

// Sends a formatted command. limit_ms: no answer within it resets the link (0: none). False when away or too
// much is pending.
bool gtv_redis_link_send(struct gtv_redis_link *l, gtv_redis_reply_fn fn, void *arg, const char *cmd,
                         size_t len, unsigned limit_ms);

#endif
