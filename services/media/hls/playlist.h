// Writes HLS playlists (RFC 8216; Low-Latency by draft-pantos-hls-rfc8216bis) of what a ring holds, in the
// form that MediaMTX gives them. Pure.
#ifndef GTV_MEDIA_HLS_PLAYLIST_H
#define GTV_MEDIA_HLS_PLAYLIST_H

#include "lib/base/buf.h"
#include "services/media/hls/ring.h"

enum { GTV_HLS_PLAYLIST_MAX = 256 * 1024 }; // bytes; 60 segments and their parts take a tenth

// Appends the multivariant playlist. The ring has a segment.
void gtv_hls_write_index(struct gtv_buf *out, const struct gtv_hls_ring *r);

// Appends the media playlist; the ring has a segment. skip: as a delta update, where enough is old enough to
// be left out.
void gtv_hls_write_media(struct gtv_buf *out, const struct gtv_hls_ring *r, bool skip);

// "main_stream.m3u8" or "video1_stream.m3u8".
const char *gtv_hls_media_name(enum gtv_hls_variant variant);

#endif
