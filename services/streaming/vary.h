// Which fields of a client's request go on to the media node, and which answers may depend on them (RFC 9110,
// 12.5.5; RFC 9111, 4.1). Pure but for the request; any thread.
#ifndef GTV_STREAMING_VARY_H
#define GTV_STREAMING_VARY_H

#include "lib/http/client.h"
#include "lib/http/server.h"

enum {
    GTV_VARY_FIELDS_MAX = 16,     // of a request that are passed on; those beyond are left out
    GTV_VARY_FIELDS_BYTES = 2048, // in all, likewise
    GTV_VARY_NAMES_CAP = 256,     // of an answer's Vary; one that is longer counts as "*"
    GTV_VARY_SLOTS = 8,           // variants of one file that are kept at once, beside the first one
};

// Copies what goes on: all but the fields of the connection, who the client is (Cookie, Authorization,
// Forwarded, User-Agent ...), what this service answers itself (conditions, ranges, CORS), and
// Accept-Encoding: for these the answer is the same, whatever its Vary says. Slices of the request; returns
// how many.
size_t gtv_vary_forwarded(const struct gtv_http_request *req,
                          struct gtv_http_header out[GTV_VARY_FIELDS_MAX]);

// The names of all Vary fields as one list, small letters, commas between. Empty: there are none, or only
// such as never go on. False: the answer depends on what nobody can tell ("*").
bool gtv_vary_names(const struct gtv_http_header *fields, size_t n,
                    char names[GTV_VARY_NAMES_CAP]) GTV_WARN_UNUSED;

// True when both requests say the same in all the fields that are named: several lines of one name are one
// list, white space around its commas does not count.
bool gtv_vary_match(const char *names, const struct gtv_http_header *a, size_t an,
                    const struct gtv_http_header *b, size_t bn);
// The slot [0, GTV_VARY_SLOTS) of the variant that such a request gets.
unsigned gtv_vary_slot(const char *names, const struct gtv_http_header *fields, size_t n);

#endif
