// Asynchronous Redis on a loop: connects by itself, again and again (back-off 100 ms to 5 s with jitter), and
// fails commands at once while it is away, so that callers decide. hiredis 0.14.
#ifndef GTV_REDIS_REDIS_H
#define GTV_REDIS_REDIS_H

#include "lib/loop/loop.h"

#include <hiredis/hiredis.h>

struct gtv_redis;

// url: redis://[user:pass@]host:port/db, or unix:///path/to.sock?db=2. The state callback (may be NULL) tells
// of ups and downs.
struct gtv_redis *gtv_redis_create(struct gtv_loop *loop, const char *url, const char *client_name,
                                   void (*on_state)(void *arg, bool up), void *arg,
                                   struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_redis_destroy(struct gtv_redis *r); // pending replies are called back with NULL
bool gtv_redis_up(const struct gtv_redis *r);
// An attempt to connect has failed, or the connection was lost, and it is not up again.
bool gtv_redis_away(const struct gtv_redis *r);
// Why it is away, in a few words of the server's or the system's; NULL while it is up. Valid until the loop
// goes on.
const char *gtv_redis_reason(const struct gtv_redis *r);

// reply is NULL when the connection was lost (or is away, or 10,000 commands are pending, or no answer came
// in 5 s - blocking reads excepted).
typedef void (*gtv_redis_reply_fn)(void *arg, redisReply *reply);
// Returns false (and never calls back) when the connection is away or its queue is full. fn may be NULL.
// printf-like as hiredis: %s, %b (ptr,size_t), %d...
bool gtv_redis_command(struct gtv_redis *r, gtv_redis_reply_fn fn, void *arg, const char *fmt, ...);
bool gtv_redis_command_argv(struct gtv_redis *r, gtv_redis_reply_fn fn, void *arg, int argc,
                            const char **argv, const size_t *lens);

// Follows a Redis stream on a connection of its own: XREAD BLOCK from `from` ("$" for what comes next, "0"
// for all, or an id), calling on_entry for each entry in order; resumes after the last seen id when the
// connection comes back. fields are k,v pairs.
struct gtv_redis_tail;
struct gtv_redis_tail *
gtv_redis_tail_create(struct gtv_loop *loop, const char *url, const char *client_name, const char *key,
                      const char *from, void (*on_entry)(void *arg, const char *id, const redisReply *fields),
                      void *arg, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_redis_tail_destroy(struct gtv_redis_tail *t);
// Id of the entry that on_entry was last called with, or from which it goes on; "$" until it is known.
const char *gtv_redis_tail_last(const struct gtv_redis_tail *t);

// Builds the URL from the ai service's separate settings (host may be a socket path). Allocated.
char *gtv_redis_url(const char *host, int port, const char *password, int db);

#endif
