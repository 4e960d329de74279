// What the headers of a picture say, without decoding it: its size and which side is up.
#ifndef GTV_AI_EXIF_H
#define GTV_AI_EXIF_H

#include "lib/base/str.h"

// The orientation (tag 0x0112) in a TIFF structure as EXIF 2.3 has it: 1..8; 1 when there is none, or the
// structure is broken: a picture is not refused for it.
int gtv_exif_orientation(struct gtv_str tiff);

// Walks to the orientation of a JPEG (APP1), PNG (eXIf) or WebP (EXIF chunk). 1 without one. Any bytes may
// follow.
int gtv_exif_jpeg(struct gtv_str file);
int gtv_exif_png(struct gtv_str file);
int gtv_exif_webp(struct gtv_str file);

// Size by a JPEG's first frame header (SOFn). False when it has none.
bool gtv_jpeg_size(struct gtv_str file, int *width, int *height) GTV_WARN_UNUSED;

#endif
