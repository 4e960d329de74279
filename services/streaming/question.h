// The header lines of a question to the node that come from the entry: "Name: value". Pure.
#ifndef GTV_STREAMING_QUESTION_H
#define GTV_STREAMING_QUESTION_H

#include "services/streaming/cache.h"

enum { GTV_QUESTION_CAP = GTV_ENTRY_TAG_CAP + 24 };

// The conditions on the answer that e replaces (RFC 9110, 13.1): lines that live in text. Returns how many,
// at most 2.
size_t gtv_question_conditions(const struct gtv_entry *e, char text[2][GTV_QUESTION_CAP],
                               const char **headers);
// What of the client's request goes on: lines that live in *text, which the caller frees; NULL when there are
// none. Returns how many, at most GTV_VARY_FIELDS_MAX.
size_t gtv_question_forward(const struct gtv_entry *e, char **text, const char **headers);

#endif
