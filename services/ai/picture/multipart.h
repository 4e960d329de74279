// One file out of a multipart/form-data body (RFC 7578, with RFC 2046's delimiters), strictly.
#ifndef GTV_AI_MULTIPART_H
#define GTV_AI_MULTIPART_H

#include "lib/base/str.h"

enum {
    GTV_MULTIPART_MAX_PARTS = 16,
    GTV_MULTIPART_MAX_HEADERS = 4096, // bytes of one part's header lines
    GTV_MULTIPART_MAX_BOUNDARY = 70,  // RFC 2046, 5.1.1
};

// Finds the part called `name`: *out becomes a slice of body. Without a copy, any thread. False with
// GTV_E_UNSUPPORTED: content_type is not multipart/form-data;
// GTV_E_BAD_REQUEST: no or a wrong boundary, no closing delimiter, headers that are none, too many parts;
// GTV_E_INVALID: well-formed, but without that part (err->field is the name), or it is there twice.
bool gtv_multipart_find(struct gtv_str content_type, struct gtv_str body, const char *name,
                        struct gtv_str *out, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
