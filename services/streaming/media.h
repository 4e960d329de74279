// Client of the media node's control API (MediaMTX v3), on the control loop.
#ifndef GTV_STREAMING_MEDIA_H
#define GTV_STREAMING_MEDIA_H

#include "lib/contract/contract.h"
#include "services/streaming/options.h"
#include "services/streaming/states.h"

struct gtv_media;

// One for each node. The options and base, the API's address without a slash at its end, must outlive it.
// At most 16 connections, kept alive: what is asked beyond them waits.
struct gtv_media *gtv_media_create(struct gtv_loop *loop, const struct gtv_streaming_options *options,
                                   const char *base);
void gtv_media_destroy(struct gtv_media *m); // no callback follows

// err NULL: done. Its codes: GTV_E_INVALID (the node refused the body), GTV_E_UPSTREAM,
// GTV_E_UPSTREAM_TIMEOUT.
typedef void (*gtv_media_done_fn)(void *arg, const struct gtv_error *err);

// Adds the camera's path, and then that of its smaller stream if it has one (pulled while somebody wants it,
// never recorded); where one exists, patches it (patch_existing) or leaves it as it is. cause: whose request
// it is (copied), or NULL.
void gtv_media_apply(struct gtv_media *m, const struct gtv_camera *camera, bool patch_existing,
                     const struct gtv_cause *cause, gtv_media_done_fn fn, void *arg);
// Which of a camera's paths are removed. One that is not there counts as removed.
enum gtv_media_paths { GTV_MEDIA_MAIN, GTV_MEDIA_SUB, GTV_MEDIA_BOTH };
void gtv_media_remove(struct gtv_media *m, int64_t camera_id, enum gtv_media_paths which,
                      const struct gtv_cause *cause, gtv_media_done_fn fn, void *arg);

// Reads all pages of the node's paths. items live until the callback returns.
typedef void (*gtv_media_list_fn)(void *arg, const struct gtv_path_state *items, size_t n,
                                  const struct gtv_error *err);
void gtv_media_list(struct gtv_media *m, gtv_media_list_fn fn, void *arg);

// What the node has been told of a path of ours (cam_<id>, or cam_<id>_sub), as far as we tell it.
struct gtv_path_config {
    int64_t camera_id;
    bool sub;
    char source[GTV_CAMERA_URL_MAX + 1]; // our node leaves user and password out; longer ones are cut
    bool on_demand, record;
};
// Reads all pages of the node's configurations; those of other names are left out. items live until the
// callback returns.
typedef void (*gtv_media_configs_fn)(void *arg, const struct gtv_path_config *items, size_t n,
                                     const struct gtv_error *err);
void gtv_media_configs(struct gtv_media *m, gtv_media_configs_fn fn, void *arg);
// One item of /v3/config/paths/list. False when it is no camera of ours. Pure.
bool gtv_media_parse_config(yyjson_val *item, struct gtv_path_config *out) GTV_WARN_UNUSED;
// Which of the settings differ from the desired ones of that path: "source", "sourceOnDemand", "record",
// comma-separated, into out; false when none does. Pure.
bool gtv_media_differs(const struct gtv_path_config *has, const struct gtv_camera *wanted,
                       char out[64]) GTV_WARN_UNUSED;

// One item of /v3/paths/list. A node that says `state` and `cause` is believed; of others the state is
// derived: ready is connected, all else is connecting. since_ms is left 0. Pure. False when it has no usable
// name.
bool gtv_media_parse_path(yyjson_val *item, struct gtv_path_state *out) GTV_WARN_UNUSED;

#endif
