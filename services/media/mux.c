#include "services/media/mux.h"

#include "lib/base/buf.h"

void gtv_mux_set_format(struct gtv_mux *m, struct gtv_format *format)
{
    gtv_format_ref(format);
    gtv_format_unref(m->format);
    m->format = format;
    m->ts.video = format->video.codec;
    m->ts.audio = format->audio.codec == GTV_CODEC_AAC;
}

void gtv_mux_finish(struct gtv_mux *m)
{
    gtv_format_unref(m->format);
    *m = (struct gtv_mux){0};
}

// Start codes take the place of lengths: both have 4 bytes.
static bool append_annexb(struct gtv_buf *out, const struct gtv_bytes *data)
{
    size_t at = 0, from = out->len;
    struct gtv_str nal;
    if (!gtv_buf_append(out, data->data, data->len)) {
        return false;
    }
    while (gtv_nal_prefixed_next(gtv_bytes_str(data), &at, &nal)) {
        memcpy(out->data + from + at - nal.n - 4, "\0\0\0\1", 4);
    }
    return true;
}

static struct gtv_bytes *video(struct gtv_mux *m, const struct gtv_sample *sample)
{
    static const char h264[] = {0, 0, 0, 1, 9, (char)0xf0}, h265[] = {0, 0, 0, 1, 0x46, 1, 0x50};
    struct gtv_buf text;
    gtv_buf_init(&text, 0);
    bool ok = m->ts.video == GTV_CODEC_H264 ? gtv_buf_append(&text, h264, sizeof h264)
                                            : gtv_buf_append(&text, h265, sizeof h265);
    ok = ok && (!sample->key || append_annexb(&text, m->format->sets)) && append_annexb(&text, sample->data);
    struct gtv_ts_unit unit = {.part_count = 1,
                               .pts = sample->pts,
                               .dts = sample->dts,
                               .key = sample->key,
                               .discontinuity = sample->discontinuity};
    unit.parts[0] = gtv_buf_str(&text);
    struct gtv_bytes *ts = ok ? gtv_ts_video(&m->ts, &unit) : NULL;
    gtv_buf_finish(&text);
    return ts;
}

static struct gtv_bytes *audio(struct gtv_mux *m, const struct gtv_sample *sample)
{
    uint8_t header[GTV_ADTS_HEADER];
    if (!m->ts.audio || !gtv_adts_header(gtv_bytes_str(m->format->audio.config), sample->data->len, header)) {
        return NULL;
    }
    struct gtv_ts_unit unit = {.part_count = 2, .pts = sample->pts, .dts = sample->dts};
    unit.parts[0] = (struct gtv_str){(const char *)header, sizeof header};
    unit.parts[1] = gtv_bytes_str(sample->data);
    return gtv_ts_audio(&m->ts, &unit);
}

bool gtv_mux_sample(struct gtv_mux *m, const struct gtv_sample *sample, struct gtv_unit *out)
{
    if (m->format == NULL) {
        return false;
    }
    *out = (struct gtv_unit){.time = sample->pts,
                             .video = sample->video,
                             .key = sample->key,
                             .discontinuity = sample->discontinuity,
                             .counters = m->ts.next};
    out->ts = sample->video ? video(m, sample) : audio(m, sample);
    return out->ts != NULL;
}
