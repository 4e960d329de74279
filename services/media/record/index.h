// Which files are recorded, by path and time. Kept in memory: 32 bytes a file, its name is made from the
// pattern again. Any thread: a lock guards all of it, held for short.
#ifndef GTV_MEDIA_RECORD_INDEX_H
#define GTV_MEDIA_RECORD_INDEX_H

#include "services/media/record/mp4read.h"
#include "services/media/record/pattern.h"

struct gtv_record_index;

// Times are path ticks (90 kHz of the Unix wall clock).
struct gtv_record_info {
    int64_t start, duration;
    uint64_t size; // bytes that are whole
    uint32_t init; // hash of the init: what differs cannot be concatenated
};

struct gtv_record_limits {
    int64_t delete_after_ms; // 0: never
    int64_t max_bytes;       // 0: any number
};

// One file as a reader needs it. file and keys are the holder's.
struct gtv_record_span {
    char *file;
    struct gtv_record_info info;
    bool growing;
    struct gtv_mp4_keys keys; // of a growing file; others have them at their end
};
void gtv_record_spans_free(struct gtv_record_span *spans, size_t n);

struct gtv_record_index *gtv_record_index_create(const char *root);
void gtv_record_index_destroy(struct gtv_record_index *x); // NULL is accepted

// True when the path's files have to be looked for: it is new here, or its pattern changed (what was known of
// it is forgotten then, but for the file that grows).
bool gtv_record_index_path_set(struct gtv_record_index *x, struct gtv_str name, const char *pattern,
                               const struct gtv_record_limits *limits);
void gtv_record_index_path_remove(struct gtv_record_index *x, struct gtv_str name);

// False: the file is known, or the path is not. *start may be moved by some ticks, to be the only one.
bool gtv_record_index_add(struct gtv_record_index *x, struct gtv_str name, const char *file,
                          struct gtv_record_info *info, bool growing);
// Of the growing file of a path: size and duration, and a key frame (NULL: none).
void gtv_record_index_grow(struct gtv_record_index *x, struct gtv_str name, int64_t start, uint64_t size,
                           int64_t duration, const struct gtv_mp4_key *key);
// It grows no more.
void gtv_record_index_close(struct gtv_record_index *x, struct gtv_str name, int64_t start, uint64_t size);
void gtv_record_index_remove(struct gtv_record_index *x, struct gtv_str name, int64_t start);

// Whether a file of that name is in the index: by its moment, and for those whose name tells another.
bool gtv_record_index_knows(struct gtv_record_index *x, struct gtv_str name, const char *file,
                            int64_t named_us);

// Files that overlap [from, to), ascending; at most `most` of them. The array is the caller's.
struct gtv_record_span *gtv_record_index_find(struct gtv_record_index *x, struct gtv_str name, int64_t from,
                                              int64_t to, size_t most, size_t *n);
// The same without names and keys; the array is the caller's to free, NULL with *n 0.
struct gtv_record_info *gtv_record_index_list(struct gtv_record_index *x, struct gtv_str name, int64_t from,
                                              int64_t to, size_t *n);
// False when the path is not known here at all.
bool gtv_record_index_totals(struct gtv_record_index *x, struct gtv_str name, uint64_t *files,
                             uint64_t *bytes);
uint64_t gtv_record_index_bytes(struct gtv_record_index *x); // of all paths
// Names of paths with files, sorted; one piece of memory, the caller's. NULL with *n 0.
char **gtv_record_index_names(struct gtv_record_index *x, size_t *n);

// A file that has to go.
struct gtv_record_victim {
    char name[256], file[GTV_RECORD_FILE_MAX];
    int64_t start;
    uint64_t size;
    const char *reason; // "age", "quota"; static
};
// One that its own path's limits condemn; false when there is none. now: ticks.
bool gtv_record_index_condemned(struct gtv_record_index *x, int64_t now, struct gtv_record_victim *out);
// The oldest of all paths; growing files never.
bool gtv_record_index_oldest(struct gtv_record_index *x, struct gtv_record_victim *out);
// The file that begins at that very start. growing may be NULL.
bool gtv_record_index_at(struct gtv_record_index *x, struct gtv_str name, int64_t start,
                         struct gtv_record_victim *out, bool *growing);

static inline int64_t gtv_ticks_to_us(int64_t ticks)
{
    return ticks / 9 * 100 + ticks % 9 * 100 / 9;
}
// The first tick at or after the microsecond: what gtv_ticks_to_us made comes back as it was.
static inline int64_t gtv_us_to_ticks(int64_t us)
{
    return us / 100 * 9 + (us % 100 * 9 + 99) / 100;
}

uint32_t gtv_record_hash(struct gtv_str data); // FNV-1a

#endif
