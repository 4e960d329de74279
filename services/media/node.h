// The node: all paths, their store and their clock. Loop thread only.
#ifndef GTV_MEDIA_NODE_H
#define GTV_MEDIA_NODE_H

#include "lib/metrics/metrics.h"
#include "services/media/config/desired.h"
#include "services/media/config/settings.h"
#include "services/media/gate.h"
#include "services/media/path.h"
#include "services/media/sessions.h"

struct gtv_node;
struct gtv_record;

// Reads what the API stored and the settings' file, and begins to dial. Both outlive the node; settings may
// be NULL.
struct gtv_node *gtv_node_create(struct gtv_loop *loop, const struct gtv_media_options *options,
                                 struct gtv_settings *settings, struct gtv_metrics *metrics,
                                 struct gtv_error *err) GTV_WARN_UNUSED;
// Ends all pulls and replies; gtv_node_threads tells when their threads have ended. Destroy after the loop
// ended.
void gtv_node_stop(struct gtv_node *n);
int gtv_node_threads(const struct gtv_node *n);
bool gtv_node_saving(const struct gtv_node *n);
void gtv_node_destroy(struct gtv_node *n); // NULL is accepted

// The live path of this name: configured by it, or made from a pattern and in use. NULL: none.
struct gtv_path *gtv_node_find(const struct gtv_node *n, struct gtv_str name);
// The same for a reader or publisher that comes, checked and allowed before: makes the path from the first
// pattern that matches where there is none. Nobody's reader makes a path that only publishers can fill. A
// path made so goes when it was idle for some seconds. NULL: no configuration fits, or there are too many
// paths.
struct gtv_path *gtv_node_find_or_match(struct gtv_node *n, struct gtv_str name, bool publishes);
size_t gtv_node_count(const struct gtv_node *n);
// All live paths by name into an array of gtv_node_count entries, the caller's to free.
struct gtv_path **gtv_node_sorted(const struct gtv_node *n);

// What is configured. After a change of it, one of the two: the live paths follow.
struct gtv_desired *gtv_node_desired(const struct gtv_node *n);
void gtv_node_follow(struct gtv_node *n, struct gtv_str name); // after a change of this name, no pattern
void gtv_node_follow_all(struct gtv_node *n);                  // after any other
// Stores what the API set and calls done when that is on the disk (err NULL) or could not be: the paths run
// either way.
typedef void (*gtv_node_done)(void *arg, const struct gtv_error *err);
void gtv_node_save(struct gtv_node *n, gtv_node_done done, void *arg);
struct gtv_settings *gtv_node_settings(const struct gtv_node *n); // NULL: none

// Who is connected, by which credentials; the node's own, for all its servers. Loop thread.
struct gtv_sessions *gtv_node_sessions(const struct gtv_node *n);
struct gtv_auth *gtv_node_auth(const struct gtv_node *n);
struct gtv_gate *gtv_node_gate(const struct gtv_node *n); // in front of HTTP requests

struct gtv_record *gtv_node_record(const struct gtv_node *n); // recordings of all paths

int64_t gtv_node_started_ns(const struct gtv_node *n); // wall clock
struct gtv_metrics *gtv_node_metrics(const struct gtv_node *n);
// Whether the configuration file, as it was last read, holds. True without one.
bool gtv_node_config_valid(const struct gtv_node *n);
void gtv_node_set_config_valid(struct gtv_node *n, bool valid);
// How many recordings fail now and why the first of them does, in a sentence to be freed; NULL: none.
char *gtv_node_failed_recording(const struct gtv_node *n);
// Appends the series by path, with MediaMTX's names and our own.
void gtv_node_write_metrics(const struct gtv_node *n, struct gtv_buf *out);

// What GET /version says; borrowed, set before the servers serve.
struct gtv_about;
void gtv_node_set_about(struct gtv_node *n, const struct gtv_about *about);
const struct gtv_about *gtv_node_about(const struct gtv_node *n);

#endif
