// The id of an entry in a Redis stream, "<ms>-<n>" or "<ms>": Redis' clock when it was added, and its number
// in that millisecond. Ids of one stream only rise.
#ifndef GTV_CONTRACT_EVENT_ID_H
#define GTV_CONTRACT_EVENT_ID_H

#include "lib/base/error.h"
#include "lib/base/str.h"

#include <stdint.h>

struct gtv_event_id {
    uint64_t ms, n;
};
bool gtv_event_id_parse(struct gtv_str text, struct gtv_event_id *out) GTV_WARN_UNUSED;
int gtv_event_id_cmp(struct gtv_event_id a, struct gtv_event_id b); // below, at or above 0

#endif
