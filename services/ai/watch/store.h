// Where pictures of tracks are kept: files below one folder, bounded in bytes and age. Names are
// "cam_1/20261123/17.jpg". The interface is all that the rest knows, so that another kind of store can take
// the place of the folder.
#ifndef GTV_AI_STORE_H
#define GTV_AI_STORE_H

#include "lib/base/bytes.h"

struct gtv_store;

enum { GTV_STORE_NAME_CAP = 96 };

struct gtv_store_config {
    const char *dir; // is made where it is missing
    uint64_t max_bytes;
    int64_t max_age_s;
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
uint64_t gtv_store_bytes(struct gtv_store *s); // that are kept, by the last count

#endif
