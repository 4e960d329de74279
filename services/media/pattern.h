// Regular expressions of path names and permissions (PCRE2, which takes what Go's RE2 takes). One thread at a
// time.
#ifndef GTV_MEDIA_PATTERN_H
#define GTV_MEDIA_PATTERN_H

#include "lib/base/str.h"

struct gtv_pattern;

enum { GTV_PATTERN_GROUPS = 10 }; // the whole match and $1 to $9

// At most 255 bytes. False with "invalid regular expression: [".
struct gtv_pattern *gtv_pattern_create(struct gtv_str expression, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_pattern_destroy(struct gtv_pattern *p); // NULL is accepted

// Matches anywhere in the subject, as Go's MatchString. groups (NULL is accepted) gets slices of the subject;
// {NULL, 0} for a group that took no part. An expression that takes too many steps does not match.
bool gtv_pattern_match(const struct gtv_pattern *p, struct gtv_str subject,
                       struct gtv_str groups[GTV_PATTERN_GROUPS]);

#endif
