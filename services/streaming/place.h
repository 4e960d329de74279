// Which of several nodes a name belongs to: rendezvous hashing with weights (Thaler and Ravishankar, "Using
// name-based mappings to increase hit rates", 1998; the weights by the logarithm method of Schindelhauer and
// Schomaker, 2005). When a node goes, only its own names move; when one comes, only what it wins. Pure.
#ifndef GTV_STREAMING_PLACE_H
#define GTV_STREAMING_PLACE_H

#include "lib/base/str.h"

enum { GTV_PLACE_MAX = 16 }; // nodes

// One 64-bit hash of a node's identity, stable over restarts and platforms.
uint64_t gtv_place_seed(struct gtv_str id);

// The winner among the nodes whose bit is set in mask, or -1 when none is. weights are above 0.
int gtv_place(struct gtv_str name, const uint64_t *seeds, const double *weights, size_t n, uint32_t mask);

#endif
