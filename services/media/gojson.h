// JSON errors in the words of Go's encoding/json, which clients of MediaMTX's API may have learnt to read.
#ifndef GTV_MEDIA_GOJSON_H
#define GTV_MEDIA_GOJSON_H

#include "lib/json/json.h"

// Any JSON value (RFC 8259). NULL with *err: code GTV_E_BAD_REQUEST and the sentence. Free with
// yyjson_doc_free.
yyjson_doc *gtv_gojson_read(struct gtv_str text, struct gtv_error *err) GTV_WARN_UNUSED;

// Both fill *err and return false.
bool gtv_gojson_wrong_type(yyjson_val *got, const char *go_type, const char *field, struct gtv_error *err);
bool gtv_gojson_unknown_field(struct gtv_str name, struct gtv_error *err);

// A string in Go's quotes, cut at the capacity. Returns out.
const char *gtv_gojson_quote(struct gtv_str s, char *out, size_t cap);

#endif
