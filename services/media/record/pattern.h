// recordPath: where a recorded file lies. MediaMTX's places: %path, %Y %m %d %H %M %S (local time), %f
// (microseconds, 6 digits), %s (seconds since 1970), %% (a percent sign). Pure; any thread.
#ifndef GTV_MEDIA_RECORD_PATTERN_H
#define GTV_MEDIA_RECORD_PATTERN_H

#include "lib/base/str.h"

enum { GTV_RECORD_FILE_MAX = 1200 }; // bytes of a file's whole name, NUL included

#define GTV_RECORD_EXTENSION ".mp4"

// False with *err (a sentence of MediaMTX's kind): no %path, not enough of the time in it, an unknown place,
// "." or ".." as a segment.
bool gtv_record_pattern_check(struct gtv_str pattern, struct gtv_error *err) GTV_WARN_UNUSED;

// The name of the file that begins at start_us. root goes before a relative pattern. copy > 0 tells several
// files of one moment apart ("..._1.mp4"). False when it does not fit.
bool gtv_record_pattern_write(const char *root, const char *pattern, const char *name, int64_t start_us,
                              unsigned copy, char out[GTV_RECORD_FILE_MAX]) GTV_WARN_UNUSED;

// Where the search for a path's files begins: the longest folder without a place of the time in it.
bool gtv_record_pattern_folder(const char *root, const char *pattern, const char *name,
                               char out[GTV_RECORD_FILE_MAX]) GTV_WARN_UNUSED;

// Whether `found`, a folder (whole false) or a file (whole true) with all that stands before it, can be the
// path's. start_us of a file: the moment in its name.
bool gtv_record_pattern_match(const char *root, const char *pattern, const char *name, const char *found,
                              bool whole, int64_t *start_us);

#endif
