// For whose sake something happens: the id of the request that began it, and the trace that it belongs to
// (W3C Trace Context, level 1: https://www.w3.org/TR/trace-context/). Both go from program to program in
// headers, and stand in the log lines about the request.
#ifndef GTV_BASE_CAUSE_H
#define GTV_BASE_CAUSE_H

#include "lib/base/str.h"

enum {
    GTV_REQUEST_ID_MAX = 64,   // letters, digits, dot, underscore, hyphen
    GTV_TRACE_STATE_MAX = 512, // what the standard asks to pass on; a longer one is left out whole
    GTV_TRACEPARENT_CAP = 56,
};

// Zeroed: nothing is known. Copied by value.
struct gtv_cause {
    char request[GTV_REQUEST_ID_MAX + 1]; // "": none
    char trace[33];                       // 32 hexadecimal digits; "": no trace
    char parent[17];                      // the caller's span: 16 digits
    char flags[3];                        // two digits, passed on as they came
    char state[GTV_TRACE_STATE_MAX + 1];  // tracestate, as it came; ""
};

bool gtv_request_id_valid(struct gtv_str id);
void gtv_cause_set_request(struct gtv_cause *c, struct gtv_str id); // "" when it is not valid
// Takes a traceparent field over into trace, parent and flags. False, and nothing is changed, for one that
// the standard tells to ignore: wrong lengths, upper case, version ff, an id of zeros.
bool gtv_cause_set_trace(struct gtv_cause *c, struct gtv_str traceparent) GTV_WARN_UNUSED;
// Takes a tracestate field; one with other than printable ASCII, or too long, is left out. Several fields are
// one, joined by commas: call it for each.
void gtv_cause_add_state(struct gtv_cause *c, struct gtv_str tracestate);
// A traceparent for a call that this cause brings about, with a span of its own. False without a trace.
bool gtv_cause_traceparent(const struct gtv_cause *c, char out[GTV_TRACEPARENT_CAP]) GTV_WARN_UNUSED;

#endif
