// One file while it is being written: head, fragments, and the index at its end. The disk's thread only, but
// for what is said otherwise.
#ifndef GTV_MEDIA_RECORD_RECFILE_H
#define GTV_MEDIA_RECORD_RECFILE_H

#include "services/media/record/index.h"

#include <stdatomic.h>

enum { GTV_RECORD_PIECES_MAX = 1025 }; // of one part: its head and its samples

struct gtv_recfile {
    atomic_uint refs; // the recorder's and those of the jobs that wait
    atomic_int error; // errno of what went wrong: nothing more is written. Read by the recorder
    // Written by the recorder before the first job, then read only.
    char *name, *pattern;
    struct gtv_bytes *init; // ftyp and moov
    struct gtv_mp4_mark mark;
    struct gtv_mp4_head head; // of init
    atomic_ullong size;       // bytes that are in the file and whole. Read by the recorder
    // The disk thread's own.
    int fd; // -1: not yet made, or closed
    char *file;
    int64_t start; // in the index
    int64_t end;   // of all fragments, ticks from the origin
    bool indexed;
    struct gtv_mp4_keys keys;
    bool dirty;
    struct gtv_recfile *next_dirty;
    int64_t checked_ms; // when the disk's room was looked at
};

// A reference for the caller; init gets one. NULL when init cannot be read.
struct gtv_recfile *gtv_recfile_create(struct gtv_str name, const char *pattern, struct gtv_bytes *init,
                                       const struct gtv_mp4_mark *mark) GTV_WARN_UNUSED;
struct gtv_recfile *gtv_recfile_ref(struct gtv_recfile *f);
void gtv_recfile_unref(struct gtv_recfile *f);

// Makes the file with its head. Existing files are never touched: another name is taken. False with errno.
bool gtv_recfile_open(struct gtv_recfile *f, const char *root) GTV_WARN_UNUSED;
// Appends a whole fragment, or nothing: false with errno.
bool gtv_recfile_append(struct gtv_recfile *f, struct gtv_bytes *const *pieces, size_t n) GTV_WARN_UNUSED;
// Writes the end, as far as the disk lets it, and closes. A file without a fragment is removed.
void gtv_recfile_close(struct gtv_recfile *f);

// The end of a file whose fragments are whole: mfra, and the durations of the head.
bool gtv_recfile_write_end(int fd, uint64_t size, const struct gtv_mp4_head *head,
                           const struct gtv_mp4_keys *keys, int64_t end, uint64_t *new_size) GTV_WARN_UNUSED;

uint32_t gtv_record_init_hash(struct gtv_str init, const struct gtv_mp4_head *head);

// "disk_full", "permission", "folder", "io", and the sentence for users.
const char *gtv_record_cause_code(int error);
const char *gtv_record_cause(int error);

#endif
