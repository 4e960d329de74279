// Conditional and range requests (RFC 9110, 13 and 14) against one stored whole. Pure; any thread.
#ifndef GTV_STREAMING_CONDITIONAL_H
#define GTV_STREAMING_CONDITIONAL_H

#include "lib/base/str.h"

// The fields of the request; empty where absent.
struct gtv_conditional_request {
    struct gtv_str if_match, if_none_match, if_modified_since, if_unmodified_since, range, if_range;
    bool ranges; // Range is looked at: the method is GET, and the body the same for everybody
};

struct gtv_conditional_stored {
    struct gtv_str etag;          // with its quotes, "W/" first when it is weak; empty: none
    struct gtv_str last_modified; // as it was sent; empty: none
    size_t len;
};

struct gtv_conditional {
    int status;       // 200, 206, 304, 412 or 416
    size_t from, len; // of the bytes to send, for 200 and 206
};

// One range, "a-b", "a-" or "-n"; several at once, other units and what cannot be read are answered whole, as
// 14.2 allows.
struct gtv_conditional gtv_conditional_judge(const struct gtv_conditional_request *request,
                                             const struct gtv_conditional_stored *stored);

#endif
