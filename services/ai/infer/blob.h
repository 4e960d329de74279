// Compiled networks kept on disk, so that the next start neither reads nor compiles the original. A file is a
// header (magic, length, checksum, the whole key) and what the runtime exported.
#ifndef GTV_AI_BLOB_H
#define GTV_AI_BLOB_H

#include "lib/base/str.h"

enum { GTV_BLOB_KEY_CAP = 8192, GTV_BLOB_KEEP = 24 }; // files of a folder; the oldest beyond it are removed

// One that was found, mapped into memory.
struct gtv_blob {
    const char *data;
    size_t size;
    void *map;
    size_t map_size;
};

// Where the blob of this key lies: dir/stem-<hash>.net. False when that does not fit.
bool gtv_blob_path(const char *dir, const char *stem, const char *key, char *out, size_t cap) GTV_WARN_UNUSED;
// False when there is none, or it is for another key, cut short or altered.
bool gtv_blob_open(struct gtv_blob *b, const char *path, const char *key) GTV_WARN_UNUSED;
// What of it is in memory may go: what is read again comes back from the file. A zeroed one is accepted.
void gtv_blob_rest(const struct gtv_blob *b);
void gtv_blob_close(struct gtv_blob *b); // a zeroed one is accepted

// Makes the file at path out of the one that the runtime exported, and removes that one. Takes its place by
// renaming. A failure leaves nothing: the cache is only a help.
void gtv_blob_seal(const char *exported, const char *path, const char *key);
// Removes the oldest files of dir beyond GTV_BLOB_KEEP, and what other programs' caches left there (.blob).
void gtv_blob_sweep(const char *dir);

#endif
