// The node: all paths, their store and their clock. Loop thread only.
#ifndef GTV_MEDIA_NODE_H
#define GTV_MEDIA_NODE_H

#include "lib/metrics/metrics.h"
#include "services/media/gate.h"
#include "services/media/path.h"
#include "services/media/sessions.h"

struct gtv_node;

// Reads the stored paths and begins to dial. options outlives the node.
struct gtv_node *gtv_node_create(struct gtv_loop *loop, const struct gtv_media_options *options,
                                 struct gtv_metrics *metrics, struct gtv_error *err) GTV_WARN_UNUSED;
// Ends all pulls and replies; gtv_node_threads tells when their threads have ended. Destroy after the loop
// ended.
void gtv_node_stop(struct gtv_node *n);
int gtv_node_threads(const struct gtv_node *n);
bool gtv_node_saving(const struct gtv_node *n);
void gtv_node_destroy(struct gtv_node *n); // NULL is accepted

struct gtv_path *gtv_node_find(const struct gtv_node *n, struct gtv_str name); // NULL: none
size_t gtv_node_count(const struct gtv_node *n);
// All paths by name into an array of gtv_node_count entries, the caller's to free.
struct gtv_path **gtv_node_sorted(const struct gtv_node *n);

enum { GTV_PATHS_MAX = 10000 }; // paths of one node

// Adds the path or reconfigures it, and calls done when that is stored (err NULL) or could not be: the path
// runs either way. false with *err, and no call: nothing was changed.
typedef void (*gtv_node_done)(void *arg, const struct gtv_error *err);
bool gtv_node_set(struct gtv_node *n, const struct gtv_pathconf *conf, gtv_node_done done, void *arg,
                  struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_node_remove(struct gtv_node *n, struct gtv_str name, gtv_node_done done,
                     void *arg); // the path must exist

// Who is connected, by which credentials; the node's own, for all its servers. Loop thread.
struct gtv_sessions *gtv_node_sessions(const struct gtv_node *n);
struct gtv_auth *gtv_node_auth(const struct gtv_node *n);
struct gtv_gate *gtv_node_gate(const struct gtv_node *n); // in front of HTTP requests

int64_t gtv_node_started_ns(const struct gtv_node *n); // wall clock
struct gtv_metrics *gtv_node_metrics(const struct gtv_node *n);
// Appends the series by path, with MediaMTX's names and our own.
void gtv_node_write_metrics(const struct gtv_node *n, struct gtv_buf *out);

#endif
