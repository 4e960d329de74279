// What the control API tells of recordings: which paths have some, their segments, and deleting one. Loop
// thread only.
#ifndef GTV_MEDIA_RECORDINGS_H
#define GTV_MEDIA_RECORDINGS_H

#include "services/media/record/record.h"

// Names of all paths that have recordings, sorted. The array is the caller's to free, in one piece with its
// strings; *n may be 0 (then NULL).
char **gtv_recordings_names(struct gtv_record *r, size_t *n);

// The starts of a path's segments in ascending order: microseconds of the Unix wall clock. The array is the
// caller's to free; NULL with *n 0 when there are none. Not concatenated: one entry a file.
int64_t *gtv_recordings_starts(struct gtv_record *r, struct gtv_str name, size_t *n);

// Deletes the segment that begins at start_us. done is called on the loop, once, afterwards: err NULL, or
// code GTV_E_NOT_FOUND ("segment not found"), GTV_E_CONFLICT (it is being written), GTV_E_IO.
void gtv_recordings_delete(struct gtv_record *r, struct gtv_str name, int64_t start_us,
                           void (*done)(void *arg, const struct gtv_error *err), void *arg);

#define GTV_RECORD_TIME_CAP 40
// "2026-11-22T15:11:56.369123Z": RFC 3339 in UTC, without zeros at the end. Returns out.
const char *gtv_record_time_write(int64_t us, char out[GTV_RECORD_TIME_CAP]);
// RFC 3339 with any offset, to the microsecond.
bool gtv_record_time_parse(struct gtv_str text, int64_t *us) GTV_WARN_UNUSED;

#endif
