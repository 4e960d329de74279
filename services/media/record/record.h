// Recording as a whole: a recorder for each path that wants one, the disk's thread, the index of all recorded
// files, what may be kept of them, and the playback server. Loop thread only.
#ifndef GTV_MEDIA_RECORD_H
#define GTV_MEDIA_RECORD_H

#include "lib/http/server.h"
#include "services/media/pathconf.h"
#include "services/media/reader.h"

struct gtv_record;

struct gtv_record_options {
    const char *root;        // relative recordPaths begin here
    int64_t max_bytes;       // of all recordings of this node; 0: any number
    int64_t min_free_bytes;  // floor of free disk: below it the oldest recordings go
    int64_t max_queue_bytes; // that wait for the disk
};

// Starts the disk's thread. The strings are copied.
struct gtv_record *gtv_record_create(struct gtv_loop *loop, const struct gtv_record_options *options,
                                     struct gtv_metrics *metrics);
// Ends all files properly; returns when they are on the disk. Detaches all recorders, so that paths may go
// before or after.
void gtv_record_stop(struct gtv_record *r);
void gtv_record_destroy(struct gtv_record *r); // NULL is accepted; after the loop ended

// To be called when a path was added or its configuration changed: finds its files, and begins, changes or
// ends its recorder. conf is copied.
void gtv_record_path_set(struct gtv_record *r, struct gtv_path *p, const struct gtv_pathconf *conf);
// The path goes. Its files stay where they are, and are no longer listed or deleted.
void gtv_record_path_removed(struct gtv_record *r, struct gtv_str name);

enum gtv_record_state {
    GTV_RECORD_OFF,
    GTV_RECORD_WAITING /* for pictures */,
    GTV_RECORD_ON,
    GTV_RECORD_FAILED
};

// For lists and metrics. Static strings; text lives until the next call for the path.
struct gtv_record_status {
    enum gtv_record_state state;
    const char *state_name;        // "off", "waiting", "recording", "failed"
    const char *cause_code, *text; // of "failed", else NULL: "disk_full", "permission", "folder", "io"
    uint64_t bytes, files;         // recorded and still there
    uint64_t written, dropped;     // bytes written since start, samples that could not be recorded
};
void gtv_record_get_status(struct gtv_record *r, struct gtv_str name, struct gtv_record_status *out);

#endif
