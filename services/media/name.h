// Names of paths, by MediaMTX's rules and in its words.
#ifndef GTV_MEDIA_NAME_H
#define GTV_MEDIA_NAME_H

#include "lib/base/str.h"

enum { GTV_NAME_MAX = 255 }; // bytes; MediaMTX has no limit, ours keeps lines and metrics readable

// True for a name that may be configured: alphanumeric characters, underscore, dot, minus and slash, no slash
// at either end, no dot segments. On false err->message holds the reason ("can't begin with a slash"),
// without the name.
bool gtv_name_check(struct gtv_str name, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
