// Pictures inside JSON: base64 (RFC 4648, section 4), with or without a "data:image/...;base64," in front.
#ifndef GTV_AI_BASE64_H
#define GTV_AI_BASE64_H

#include "lib/base/str.h"

// Decodes text into memory that the caller frees. Line breaks and spaces between the characters are passed
// over, padding may be absent; everything else is refused with GTV_E_INVALID and the position.
// GTV_E_UNAVAILABLE without memory.
bool gtv_base64_decode(struct gtv_str text, uint8_t **out, size_t *len,
                       struct gtv_error *err) GTV_WARN_UNUSED;

#endif
