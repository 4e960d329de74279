// How long a stored answer may be used: Cache-Control (RFC 9111, and RFC 5861 for its stale-... directives),
// Expires, Date and Age. Pure; any thread.
#ifndef GTV_STREAMING_FRESHNESS_H
#define GTV_STREAMING_FRESHNESS_H

#include "lib/base/str.h"

// -1 where a directive is absent. A number that cannot be read counts as 0, one that is too large as 2^31.
struct gtv_cache_control {
    bool no_store, no_cache, is_private, is_public, must_revalidate; // the last one: or proxy-revalidate
    bool must_understand, only_if_cached;                            // the last one: of requests
    int64_t max_age_s, s_maxage_s;
    int64_t while_revalidate_s, if_error_s;
};

void gtv_cache_control_init(struct gtv_cache_control *cc);
// Adds what one field says; a field that comes several times is read several times. Of a directive that is
// repeated the shortest counts.
void gtv_cache_control_read(struct gtv_cache_control *cc, struct gtv_str value);

// IMF-fixdate, and the two obsolete forms (RFC 9110, 5.6.7). False for anything else.
bool gtv_http_date_parse(struct gtv_str s, int64_t *wall_s) GTV_WARN_UNUSED;

// The fields of an answer that its life depends on; slices may be empty.
struct gtv_freshness_fields {
    struct gtv_cache_control control;
    struct gtv_str expires, date, age; // age: {NULL, 0} where there is none
    bool has_expires;                  // an empty or unreadable Expires has passed already
};

// The lifetime that a shared cache may use (RFC 9111, 4.2.1), in seconds; -1: the answer says none.
int64_t gtv_freshness_lifetime_s(const struct gtv_freshness_fields *f, int64_t now_wall_s);
// Its age when it came (4.2.3): the larger one of Age and of what Date shows, in seconds. -1 where Age is
// anything but one number: nobody can tell, and it is no longer fresh.
int64_t gtv_freshness_age_s(const struct gtv_freshness_fields *f, int64_t now_wall_s);

#endif
