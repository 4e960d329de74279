#include "services/media/playlist.h"

#include "lib/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

const char *gtv_playlist_segment_name(const char *prefix, uint64_t number, char out[GTV_SEGMENT_NAME_CAP])
{
    snprintf(out, GTV_SEGMENT_NAME_CAP, "%s_main_seg%" PRIu64 ".ts", prefix, number);
    return out;
}

void gtv_playlist_index(struct gtv_buf *out, const struct gtv_playlist_variant *v)
{
    gtv_buf_puts(out, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n\n");
    gtv_buf_printf(out, "#EXT-X-STREAM-INF:BANDWIDTH=%" PRIu64 ",AVERAGE-BANDWIDTH=%" PRIu64 ",CODECS=\"%s",
                   v->bandwidth, v->average_bandwidth, v->video_codecs);
    if (v->audio_codecs != NULL) {
        gtv_buf_printf(out, ",%s", v->audio_codecs);
    }
    gtv_buf_printf(out, "\",RESOLUTION=%dx%d", v->width, v->height);
    if (v->fps > 0) {
        gtv_buf_printf(out, ",FRAME-RATE=%.3f", v->fps);
    }
    gtv_buf_puts(out, "\nmain_stream.m3u8\n");
}

void gtv_playlist_media(struct gtv_buf *out, const struct gtv_playlist_segment *segments, size_t n,
                        int target_duration, uint64_t sequence, uint64_t discontinuities)
{
    gtv_buf_printf(out,
                   "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-ALLOW-CACHE:NO\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-"
                   "SEQUENCE:%" PRIu64 "\n",
                   target_duration, sequence);
    if (discontinuities > 0) {
        gtv_buf_printf(out, "#EXT-X-DISCONTINUITY-SEQUENCE:%" PRIu64 "\n", discontinuities);
    }
    for (size_t i = 0; i < n; i++) {
        const struct gtv_playlist_segment *s = &segments[i];
        char when[GTV_ISO8601_CAP], name[GTV_SEGMENT_NAME_CAP];
        gtv_buf_printf(out, "%s#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:%.5f,\n%s\n",
                       s->discontinuity ? "#EXT-X-DISCONTINUITY\n" : "", gtv_iso8601_utc(s->wall_ms, when),
                       s->duration, gtv_playlist_segment_name(s->prefix, s->number, name));
    }
}
