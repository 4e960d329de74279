// Thin helpers over yyjson: reading typed fields with errors that name the field, writing documents into
// refcounted bytes.
#ifndef GTV_JSON_JSON_H
#define GTV_JSON_JSON_H

#include "lib/base/bytes.h"

#include <yyjson.h>

// Parses strictly (RFC 8259), depth <= 64, else NULL with GTV_E_INVALID and a message with the position. Free
// with yyjson_doc_free.
yyjson_doc *gtv_json_parse(struct gtv_str text, struct gtv_error *err) GTV_WARN_UNUSED;

// The same in place: the document's strings lie in text, which must outlive it and is changed. At least
// GTV_JSON_PADDING bytes that may be written follow the text.
enum { GTV_JSON_PADDING = 4 };
yyjson_doc *gtv_json_parse_in_place(char *text, size_t n, struct gtv_error *err) GTV_WARN_UNUSED;

enum gtv_json_need { GTV_JSON_OPTIONAL, GTV_JSON_REQUIRED };

// Read obj[name] into *out. Optional and absent (or null): true, *out untouched. Wrong type, out of range or
// missing though required: false, err code GTV_E_INVALID, err->field = name. Strings are slices that live as
// long as the document.
bool gtv_json_get_str(yyjson_val *obj, const char *name, enum gtv_json_need need, struct gtv_str *out,
                      struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_json_get_int(yyjson_val *obj, const char *name, enum gtv_json_need need, int64_t min, int64_t max,
                      int64_t *out, struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_json_get_double(yyjson_val *obj, const char *name, enum gtv_json_need need, double min, double max,
                         double *out, struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_json_get_bool(yyjson_val *obj, const char *name, enum gtv_json_need need, bool *out,
                       struct gtv_error *err) GTV_WARN_UNUSED;

// What is told of a measurement: two or three decimals, and 0 for what is no number or beyond 1e12.
double gtv_json_hundredths(double v);
double gtv_json_thousandths(double v);

// A new document whose root is an object, *root.
yyjson_mut_doc *gtv_json_object(yyjson_mut_val **root) GTV_WARN_UNUSED;
// o[name] = a copy of text, or null where it is NULL or empty. The name itself is not copied.
void gtv_json_add_text(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, const char *text);
// o[name] = wall_ms (milliseconds since 1970) as ISO 8601 in UTC, or null where there is no such moment (<=
// 0).
void gtv_json_add_time(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, int64_t wall_ms);

// Serialises the mutable document and frees it. NULL only without memory.
struct gtv_bytes *gtv_json_write(yyjson_mut_doc *doc) GTV_WARN_UNUSED;
// Appends s as a quoted JSON string to a growable buffer (invalid UTF-8 bytes become U+FFFD).
struct gtv_buf;
void gtv_json_quote(struct gtv_buf *out, struct gtv_str s);

#endif
