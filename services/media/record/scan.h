// Finding a path's files, and making whole what a crash left unfinished. The disk's thread only.
#ifndef GTV_MEDIA_RECORD_SCAN_H
#define GTV_MEDIA_RECORD_SCAN_H

#include "lib/log/log.h"
#include "services/media/record/index.h"

struct gtv_scan;

// Lists the folders (names only). NULL when there is nothing to look at.
struct gtv_scan *gtv_scan_create(const char *root, const char *name, const char *pattern);
void gtv_scan_destroy(struct gtv_scan *s); // NULL is accepted
// Puts up to n more files into the index; false when none is left.
bool gtv_scan_step(struct gtv_scan *s, struct gtv_record_index *index, size_t n, const struct gtv_log *log);

enum gtv_scan_result { GTV_SCAN_OK, GTV_SCAN_REPAIRED, GTV_SCAN_REMOVED /* nothing in it */, GTV_SCAN_BAD };
// Reads what a file says of itself. One of ours without its end is cut behind its last whole fragment and
// gets one. named_us: the moment in its name, for files that do not say theirs.
enum gtv_scan_result gtv_scan_file(const char *file, int64_t named_us, struct gtv_record_info *out);

#endif
