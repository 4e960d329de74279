// The one thread that touches the disk: it writes all recorders' parts, keeps what was promised about age,
// bytes and free room, finds the files of a path and deletes on request. Jobs are taken in their order; the
// bytes that wait are bounded.
#ifndef GTV_MEDIA_RECORD_DISK_H
#define GTV_MEDIA_RECORD_DISK_H

#include "lib/loop/loop.h"
#include "lib/metrics/metrics.h"
#include "services/media/record/recfile.h"

struct gtv_disk;

struct gtv_disk_config {
    const char *root;
    int64_t max_bytes, min_free_bytes, max_queue_bytes;
};

struct gtv_disk *gtv_disk_create(const struct gtv_disk_config *config, struct gtv_record_index *index,
                                 struct gtv_loop *loop, struct gtv_metrics *metrics);
// Takes no more jobs, does those that wait, closes nothing by itself, and ends.
void gtv_disk_stop(struct gtv_disk *d);
void gtv_disk_destroy(struct gtv_disk *d); // after stop; NULL is accepted

// One fragment of a file. key: it begins with a key frame at this presentation time, else INT64_MIN. end:
// where it ends. Both in ticks from the file's origin. References to the pieces are taken. False: the queue
// is full, nothing was taken.
bool gtv_disk_part(struct gtv_disk *d, struct gtv_recfile *f, struct gtv_bytes *const *pieces, size_t n,
                   int64_t key, int64_t end) GTV_WARN_UNUSED;
// No part follows. The caller's reference goes.
void gtv_disk_close(struct gtv_disk *d, struct gtv_recfile *f);
// Looks for the files of a path that the index knows.
void gtv_disk_scan(struct gtv_disk *d, const char *name, const char *pattern);
// done is called on the loop.
void gtv_disk_delete(struct gtv_disk *d, struct gtv_str name, int64_t start,
                     void (*done)(void *arg, const struct gtv_error *err), void *arg);

#endif
