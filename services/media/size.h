// Sizes as MediaMTX writes them: "50M", "1.5G", "512K" (powers of 1024).
#ifndef GTV_MEDIA_SIZE_H
#define GTV_MEDIA_SIZE_H

#include "lib/base/str.h"

// Bytes, 0 to 2^53. Units B, K, M, G, T, also as KB and KiB, any case; a number alone counts bytes.
bool gtv_size_parse(struct gtv_str text, int64_t *bytes, struct gtv_error *err) GTV_WARN_UNUSED;

#define GTV_SIZE_CAP 32
// In the largest unit that shows it exactly with at most two decimals, else in bytes: "50M", "1.5G", "0B",
// "1000B". Returns out.
const char *gtv_size_write(int64_t bytes, char out[GTV_SIZE_CAP]);

#endif
