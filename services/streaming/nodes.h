// The media nodes: which there are, which of them take cameras now, and on which one a stream lives.
//
// MEDIAMTX_API_URL and MEDIAMTX_HLS_URL list them, comma-separated and in the same order; an entry of the
// first may carry settings: "http://a:9997;weight=2;id=north, http://b:9997". The id is host:port by default,
// and decides the placement: a node may change its place in the list, but not its id, without moving cameras.
//
// What is set here once (ids, addresses, weights) never changes. Which nodes take part is two sets of bits:
// `wanted`, by which cameras are put into nodes, and `serving`, by which viewers are sent to them. The
// reconciler lets serving follow wanted once every camera is where wanted says.
#ifndef GTV_STREAMING_NODES_H
#define GTV_STREAMING_NODES_H

#include "services/streaming/place.h"

#include <stdatomic.h>

enum { GTV_NODES_MAX = GTV_PLACE_MAX };

struct gtv_nodes;

// NULL with *err when an entry is no http(s) address, a weight is not in 0.01 to 100, an id comes twice, or
// the lists differ in length.
struct gtv_nodes *gtv_nodes_create(const char *api_urls, const char *hls_urls,
                                   struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_nodes_destroy(struct gtv_nodes *n);

// Any thread.
size_t gtv_nodes_count(const struct gtv_nodes *n);
const char *gtv_nodes_id(const struct gtv_nodes *n, size_t node);
const char *gtv_nodes_api(const struct gtv_nodes *n, size_t node); // without a slash at its end
const char *gtv_nodes_hls(const struct gtv_nodes *n, size_t node); // likewise
double gtv_nodes_weight(const struct gtv_nodes *n, size_t node);
bool gtv_nodes_find(const struct gtv_nodes *n, struct gtv_str id, size_t *node) GTV_WARN_UNUSED;

// The HLS base address ("http://a:8888") of the node that a stream lives on. Any thread, no lock for cameras
// of ours (cam_<id>), and none at all with one node. The string lives as long as the nodes. While no node
// takes part the answer is the node that would have it if all did.
const char *gtv_nodes_hls_base(struct gtv_nodes *n, struct gtv_str stream);
size_t gtv_nodes_serving(struct gtv_nodes *n, struct gtv_str stream); // its number

// The node into which a camera of this path is put. -1 while there is none: all are drained or dead.
int gtv_nodes_place(struct gtv_nodes *n, struct gtv_str path);
// Where a path that others made was seen; only the control loop writes it. At most 4,096 are kept.
void gtv_nodes_note(struct gtv_nodes *n, struct gtv_str path, size_t node);
void gtv_nodes_forget(struct gtv_nodes *n, struct gtv_str path);

// Written by the control loop, read on any thread.
struct gtv_node_state {
    bool up;          // it answers
    bool dead;        // it has not answered for the grace time: its cameras move
    bool drained;     // takes no cameras
    int64_t since_ms; // wall clock: when up last changed; 0 before the first answer
    size_t paths;     // it lists
    size_t cameras;   // of them ours
    char cause[256];  // why it is not up; "" otherwise
};
struct gtv_node_state gtv_nodes_state(struct gtv_nodes *n, size_t node);
// All but drained, which has its own.
void gtv_nodes_set_state(struct gtv_nodes *n, size_t node, const struct gtv_node_state *state);
// Any thread. False, and nothing changed, when this would drain the last node.
bool gtv_nodes_set_drained(struct gtv_nodes *n, size_t node, bool drained) GTV_WARN_UNUSED;
// The sets of bits. wanted follows the states: neither dead nor drained.
uint32_t gtv_nodes_wanted(struct gtv_nodes *n);
uint32_t gtv_nodes_serving_set(struct gtv_nodes *n);
// Viewers follow: serving becomes `set`.
void gtv_nodes_switch(struct gtv_nodes *n, uint32_t set);

#endif
