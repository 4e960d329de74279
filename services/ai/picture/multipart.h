// Files out of a multipart/form-data body (RFC 7578, with RFC 2046's delimiters), strictly.
#ifndef GTV_AI_MULTIPART_H
#define GTV_AI_MULTIPART_H

#include "lib/base/str.h"

enum {
    GTV_MULTIPART_MAX_PARTS = 64,     // of one body
    GTV_MULTIPART_MAX_NAME = 127,     // bytes of a part's name, and of its file name
    GTV_MULTIPART_MAX_HEADERS = 4096, // bytes of one part's header lines
    GTV_MULTIPART_MAX_BOUNDARY = 70,  // RFC 2046, 5.1.1
};

// A walk over the parts of one body.
struct gtv_multipart {
    struct gtv_str rest; // behind the delimiter that was read last
    char delimiter[GTV_MULTIPART_MAX_BOUNDARY + 8];
    int parts;
};
struct gtv_multipart_part {
    char name[GTV_MULTIPART_MAX_NAME + 1];
    char filename[GTV_MULTIPART_MAX_NAME + 1]; // empty: none, or a longer one
    struct gtv_str content;                    // a slice of the body
};

// The first delimiter. Without a copy: content_type may go afterwards, body may not. False with
// GTV_E_UNSUPPORTED (content_type is not multipart/form-data) or GTV_E_BAD_REQUEST.
bool gtv_multipart_begin(struct gtv_multipart *m, struct gtv_str content_type, struct gtv_str body,
                         struct gtv_error *err) GTV_WARN_UNUSED;
// 1: *part is the next one; 0: the closing delimiter was read; -1: malformed, cut off or too many parts
// (GTV_E_BAD_REQUEST). After 0 or -1 it is not called again.
int gtv_multipart_next(struct gtv_multipart *m, struct gtv_multipart_part *part,
                       struct gtv_error *err) GTV_WARN_UNUSED;

// Finds the part called `name`: *out becomes a slice of body. Without a copy, any thread. False with
// GTV_E_UNSUPPORTED: content_type is not multipart/form-data;
// GTV_E_BAD_REQUEST: no or a wrong boundary, no closing delimiter, headers that are none, too many parts;
// GTV_E_INVALID: well-formed, but without that part (err->field is the name), or it is there twice.
bool gtv_multipart_find(struct gtv_str content_type, struct gtv_str body, const char *name,
                        struct gtv_str *out, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
