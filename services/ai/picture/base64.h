// Pictures inside JSON: base64 (RFC 4648, section 4), with or without a "data:image/...;base64," in front.
#ifndef GTV_AI_BASE64_H
#define GTV_AI_BASE64_H

#include "lib/base/str.h"

// Line breaks (CR, LF), spaces and tabs between the characters are passed over, as MIME and some encoders put
// them there; padding may be absent. Everything else is refused with GTV_E_INVALID and the position in text
// behind the prefix; the URL-safe alphabet too.

// Bytes that the output for n characters must have room for: a little more than it becomes.
size_t gtv_base64_room(size_t n);
// Into memory of gtv_base64_room(text.n) bytes.
bool gtv_base64_decode_into(struct gtv_str text, uint8_t *out, size_t *len,
                            struct gtv_error *err) GTV_WARN_UNUSED;
// Into memory that the caller frees. GTV_E_UNAVAILABLE without memory.
bool gtv_base64_decode(struct gtv_str text, uint8_t **out, size_t *len,
                       struct gtv_error *err) GTV_WARN_UNUSED;

#endif
