// Where pictures of tracks are kept: files below one folder, bounded in bytes and age. Names are
// "cam_1/20261123/17.jpg". Where there is another store behind it, the folder is what waits to be sent there:
// a file leaves it once it has arrived.
#ifndef GTV_AI_STORE_H
#define GTV_AI_STORE_H

#include "lib/base/bytes.h"

struct gtv_store;

enum { GTV_STORE_NAME_CAP = 96 };

struct gtv_store_config {
    const char *dir; // is made where it is missing
    uint64_t max_bytes;
    int64_t max_age_s;
    // The store behind it, or NULL. On the store's own thread, one call at a time: false with *err when it
    // did not take the picture, which is then tried again after 1 s, 2 s ... 60 s.
    bool (*send)(void *arg, const char *name, const struct gtv_bytes *picture, struct gtv_error *err);
    void *arg;
};

// NULL with *err when the folder cannot be written.
struct gtv_store *gtv_store_create(const struct gtv_store_config *config,
                                   struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_store_destroy(struct gtv_store *s); // waits for the tidying in progress; NULL is accepted

// The name of a camera's track at a moment. Returns out.
const char *gtv_store_name(int64_t camera_id, int64_t wall_ms, uint64_t track, char out[GTV_STORE_NAME_CAP]);

// The same for a picture of its plate: "cam_1/20261123/17-plate.jpg".
const char *gtv_store_plate_name(int64_t camera_id, int64_t wall_ms, uint64_t track,
                                 char out[GTV_STORE_NAME_CAP]);

// Any thread; blocks for the disk. A picture of that name is replaced, never half to be seen. False: it could
// not be written.
bool gtv_store_put(struct gtv_store *s, const char *name, const struct gtv_bytes *picture) GTV_WARN_UNUSED;
// NULL: there is none. Names that are not of the store's making are none.
struct gtv_bytes *gtv_store_get(struct gtv_store *s, const char *name) GTV_WARN_UNUSED;
void gtv_store_remove(struct gtv_store *s, const char *name);
bool gtv_store_is_name(const char *name); // one of the store's making

struct gtv_store_stats {
    uint64_t bytes;          // in the folder, by the last count
    uint64_t sent, failures; // pictures that arrived, and attempts that failed
    char problem[160];       // why the last attempt failed; empty when it did not
};
void gtv_store_get_stats(struct gtv_store *s, struct gtv_store_stats *out); // any thread

#endif
