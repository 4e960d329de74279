#include "services/media/hls/fmp4.h"

#include "services/media/hls/mp4config.h"

enum {
    TFHD_DEFAULT_BASE_IS_MOOF = 0x020000,
    TRUN_DATA_OFFSET = 0x000001,
    TRUN_DURATION = 0x000100,
    TRUN_SIZE = 0x000200,
    TRUN_FLAGS = 0x000400,
    TRUN_COMPOSITION = 0x000800,
    SAMPLE_SYNC = 0x02000000,     // depends on no other
    SAMPLE_NON_SYNC = 0x01010000, // depends on others; decoding cannot begin here
    UNITY = 0x00010000,
    // A sample's length when its neighbours say nothing.
    VIDEO_TICKS = GTV_FMP4_TIMESCALE / 25,
    AAC_SAMPLES = 1024,
    AUDIO_TICKS = GTV_FMP4_TIMESCALE / 50,
    LONGEST = 60 * GTV_FMP4_TIMESCALE, // beyond it a distance is no length but a jump of the clock
};

void gtv_box_put(struct gtv_buf *out, uint64_t value, unsigned bytes)
{
    uint8_t b[8];
    for (unsigned i = 0; i < bytes; i++) {
        b[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    }
    gtv_buf_append(out, b, bytes);
}

void gtv_box_zeros(struct gtv_buf *out, size_t n)
{
    static const uint8_t zeros[64];
    while (n > 0) {
        size_t some = n < sizeof zeros ? n : sizeof zeros;
        gtv_buf_append(out, zeros, some);
        n -= some;
    }
}

// Fills in what was left open earlier.
static void patch32(struct gtv_buf *out, size_t at, uint64_t value)
{
    if (out->failed) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        out->data[at + i] = (char)(uint8_t)(value >> 8 * (3 - i));
    }
}

size_t gtv_box_begin(struct gtv_buf *out, const char type[4])
{
    size_t at = out->len;
    gtv_box_zeros(out, 4);
    gtv_buf_append(out, type, 4);
    return at;
}

size_t gtv_box_begin_full(struct gtv_buf *out, const char type[4], uint8_t version, uint32_t flags)
{
    size_t at = gtv_box_begin(out, type);
    gtv_box_put(out, (uint64_t)version << 24 | flags, 4);
    return at;
}

void gtv_box_end(struct gtv_buf *out, size_t begun)
{
    patch32(out, begun, out->len - begun);
}

// ---- Init segment ----

static void put_matrix(struct gtv_buf *out)
{
    static const uint32_t unity[9] = {UNITY, 0, 0, 0, UNITY, 0, 0, 0, 0x40000000};
    for (size_t i = 0; i < 9; i++) {
        gtv_box_put(out, unity[i], 4);
    }
}

static void put_video_entry(struct gtv_buf *out, const struct gtv_format *f, bool *ok)
{
    bool h265 = f->video.codec == GTV_CODEC_H265;
    size_t entry = gtv_box_begin(out, h265 ? "hvc1" : "avc1");
    gtv_box_zeros(out, 6);
    gtv_box_put(out, 1, 2); // data reference
    gtv_box_zeros(out, 16);
    gtv_box_put(out, (uint64_t)f->video.width, 2);
    gtv_box_put(out, (uint64_t)f->video.height, 2);
    gtv_box_put(out, 0x00480000, 4); // 72 dpi, both ways
    gtv_box_put(out, 0x00480000, 4);
    gtv_box_zeros(out, 4);
    gtv_box_put(out, 1, 2);  // frames a sample
    gtv_box_zeros(out, 32);  // compressor's name
    gtv_box_put(out, 24, 2); // depth
    gtv_box_put(out, 0xffff, 2);
    size_t config = gtv_box_begin(out, h265 ? "hvcC" : "avcC");
    *ok =
        h265 ? gtv_mp4_put_hvcc(out, gtv_bytes_str(f->sets)) : gtv_mp4_put_avcc(out, gtv_bytes_str(f->sets));
    gtv_box_end(out, config);
    gtv_box_end(out, entry);
}

static void put_audio_entry(struct gtv_buf *out, const struct gtv_audio_info *a)
{
    bool opus = a->codec == GTV_CODEC_OPUS;
    size_t entry = gtv_box_begin(out, opus ? "Opus" : "mp4a");
    gtv_box_zeros(out, 6);
    gtv_box_put(out, 1, 2);
    gtv_box_zeros(out, 8);
    gtv_box_put(out, (uint64_t)a->channels, 2);
    gtv_box_put(out, 16, 2); // bits; the decoder knows better
    gtv_box_zeros(out, 4);
    // 16.16: what does not fit is left to the decoder's configuration.
    uint64_t rate = opus ? 48000 : (uint64_t)a->rate;
    gtv_box_put(out, rate <= 0xffff ? rate << 16 : 0, 4);
    struct gtv_str config = a->config != NULL ? gtv_bytes_str(a->config) : (struct gtv_str){NULL, 0};
    if (opus) {
        gtv_mp4_put_dops(out, config, a->channels);
    } else {
        gtv_mp4_put_esds(out, config);
    }
    gtv_box_end(out, entry);
}

bool gtv_fmp4_put_stsd(struct gtv_buf *out, const struct gtv_format *f, unsigned track)
{
    bool ok = true;
    size_t stsd = gtv_box_begin_full(out, "stsd", 0, 0);
    gtv_box_put(out, 1, 4);
    if (track == GTV_FMP4_VIDEO) {
        put_video_entry(out, f, &ok);
    } else {
        put_audio_entry(out, &f->audio);
    }
    gtv_box_end(out, stsd);
    return ok && !out->failed;
}

static void put_tkhd(struct gtv_buf *out, const struct gtv_format *f, unsigned track)
{
    bool video = track == GTV_FMP4_VIDEO;
    size_t tkhd = gtv_box_begin_full(out, "tkhd", 0, 3); // enabled, in the presentation
    gtv_box_zeros(out, 8);
    gtv_box_put(out, track, 4);
    gtv_box_zeros(out, 16); // reserved, duration unknown, reserved
    gtv_box_zeros(out, 2);
    gtv_box_put(out, video ? 0 : 1, 2); // alternate group
    gtv_box_put(out, video ? 0 : 0x0100, 2);
    gtv_box_zeros(out, 2);
    put_matrix(out);
    gtv_box_put(out, video ? (uint64_t)f->video.width << 16 : 0, 4);
    gtv_box_put(out, video ? (uint64_t)f->video.height << 16 : 0, 4);
    gtv_box_end(out, tkhd);
}

static void put_media_headers(struct gtv_buf *out, bool video)
{
    size_t mdhd = gtv_box_begin_full(out, "mdhd", 0, 0);
    gtv_box_zeros(out, 8);
    gtv_box_put(out, GTV_FMP4_TIMESCALE, 4);
    gtv_box_zeros(out, 4);
    gtv_box_put(out, 0x55c4, 2); // language: undetermined
    gtv_box_zeros(out, 2);
    gtv_box_end(out, mdhd);

    size_t hdlr = gtv_box_begin_full(out, "hdlr", 0, 0);
    gtv_box_zeros(out, 4);
    gtv_buf_puts(out, video ? "vide" : "soun");
    gtv_box_zeros(out, 12);
    const char *name = video ? "video" : "audio";
    gtv_buf_append(out, name, strlen(name) + 1);
    gtv_box_end(out, hdlr);
}

static bool put_sample_table(struct gtv_buf *out, const struct gtv_format *f, unsigned track)
{
    static const char empty[][5] = {"stts", "stsc", "stco"};
    size_t stbl = gtv_box_begin(out, "stbl");
    bool ok = gtv_fmp4_put_stsd(out, f, track);
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        size_t box = gtv_box_begin_full(out, empty[i], 0, 0);
        gtv_box_zeros(out, 4);
        gtv_box_end(out, box);
    }
    size_t stsz = gtv_box_begin_full(out, "stsz", 0, 0);
    gtv_box_zeros(out, 8);
    gtv_box_end(out, stsz);
    gtv_box_end(out, stbl);
    return ok;
}

static bool put_trak(struct gtv_buf *out, const struct gtv_format *f, unsigned track)
{
    bool video = track == GTV_FMP4_VIDEO;
    size_t trak = gtv_box_begin(out, "trak");
    put_tkhd(out, f, track);
    size_t mdia = gtv_box_begin(out, "mdia");
    put_media_headers(out, video);
    size_t minf = gtv_box_begin(out, "minf");
    size_t header = gtv_box_begin_full(out, video ? "vmhd" : "smhd", 0, video ? 1 : 0);
    gtv_box_zeros(out, video ? 8 : 4);
    gtv_box_end(out, header);
    size_t dinf = gtv_box_begin(out, "dinf");
    size_t dref = gtv_box_begin_full(out, "dref", 0, 0);
    gtv_box_put(out, 1, 4);
    size_t url = gtv_box_begin_full(out, "url ", 0, 1); // in this very file
    gtv_box_end(out, url);
    gtv_box_end(out, dref);
    gtv_box_end(out, dinf);
    bool ok = put_sample_table(out, f, track);
    gtv_box_end(out, minf);
    gtv_box_end(out, mdia);
    gtv_box_end(out, trak);
    return ok;
}

static void put_trex(struct gtv_buf *out, unsigned track)
{
    size_t trex = gtv_box_begin_full(out, "trex", 0, 0);
    gtv_box_put(out, track, 4);
    gtv_box_put(out, 1, 4); // sample description
    gtv_box_zeros(out, 8);
    gtv_box_put(out, track == GTV_FMP4_VIDEO ? SAMPLE_NON_SYNC : SAMPLE_SYNC, 4);
    gtv_box_end(out, trex);
}

struct gtv_bytes *gtv_fmp4_init(const struct gtv_format *f)
{
    bool audio = f->audio.codec != GTV_CODEC_NONE;
    struct gtv_buf out;
    gtv_buf_init(&out, 0);
    size_t ftyp = gtv_box_begin(&out, "ftyp");
    gtv_buf_puts(&out, "iso5");
    gtv_box_put(&out, 512, 4);
    gtv_buf_puts(&out, "iso5iso6mp41");
    gtv_box_end(&out, ftyp);

    size_t moov = gtv_box_begin(&out, "moov");
    size_t mvhd = gtv_box_begin_full(&out, "mvhd", 0, 0);
    gtv_box_zeros(&out, 8);
    gtv_box_put(&out, 1000, 4);
    gtv_box_zeros(&out, 4);
    gtv_box_put(&out, UNITY, 4); // rate
    gtv_box_put(&out, 0x0100, 2);
    gtv_box_zeros(&out, 10);
    put_matrix(&out);
    gtv_box_zeros(&out, 24);
    gtv_box_put(&out, GTV_FMP4_AUDIO + 1, 4); // next track
    gtv_box_end(&out, mvhd);
    bool ok = put_trak(&out, f, GTV_FMP4_VIDEO) && (!audio || put_trak(&out, f, GTV_FMP4_AUDIO));
    size_t mvex = gtv_box_begin(&out, "mvex");
    put_trex(&out, GTV_FMP4_VIDEO);
    if (audio) {
        put_trex(&out, GTV_FMP4_AUDIO);
    }
    gtv_box_end(&out, mvex);
    gtv_box_end(&out, moov);
    if (!ok) {
        gtv_buf_finish(&out);
        return NULL;
    }
    return gtv_buf_take(&out);
}

// ---- Fragments ----

int64_t gtv_fmp4_audio_length(const struct gtv_format *f)
{
    return f->audio.codec == GTV_CODEC_AAC && f->audio.rate > 0
               ? (int64_t)AAC_SAMPLES * GTV_FMP4_TIMESCALE / f->audio.rate
               : AUDIO_TICKS;
}

struct track {
    const struct gtv_sample *samples;
    size_t n;
    bool video;
    int64_t next; // decoding time of what follows, or GTV_FMP4_UNKNOWN
    size_t count, bytes;
    int64_t length; // of a sample, where nothing tells it
    int64_t first;  // decoding time of the first
    bool composed;  // some are shown at another time than they are decoded
};

static struct track track_of(const struct gtv_sample *samples, size_t n, bool video, int64_t next)
{
    struct track t = {.samples = samples, .n = n, .video = video, .next = next};
    for (size_t i = 0; i < n; i++) {
        const struct gtv_sample *s = &samples[i];
        if (s->video != video) {
            continue;
        }
        t.first = t.count == 0 ? s->dts : t.first;
        t.count++;
        t.bytes += s->data->len;
        t.composed = t.composed || s->pts != s->dts;
    }
    return t;
}

static uint32_t length_between(int64_t from, int64_t to, uint32_t otherwise)
{
    return to != GTV_FMP4_UNKNOWN && to > from && to - from <= LONGEST ? (uint32_t)(to - from) : otherwise;
}

static size_t next_of(const struct track *t, size_t i)
{
    do {
        i++;
    } while (i < t->n && t->samples[i].video != t->video);
    return i;
}

// Appends the run; the place of its data offset is left in *offset_at.
static void put_trun(struct gtv_buf *out, const struct track *t, size_t *offset_at)
{
    uint32_t flags = TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE | (t->video ? TRUN_FLAGS : 0U) |
                     (t->composed ? TRUN_COMPOSITION : 0U);
    size_t trun = gtv_box_begin_full(out, "trun", 1, flags);
    gtv_box_put(out, t->count, 4);
    *offset_at = out->len;
    gtv_box_zeros(out, 4);
    uint32_t length = (uint32_t)t->length;
    size_t first = t->samples[0].video == t->video ? 0 : next_of(t, 0);
    for (size_t i = first; i < t->n;) {
        const struct gtv_sample *s = &t->samples[i];
        size_t following = next_of(t, i);
        length = length_between(s->dts, following < t->n ? t->samples[following].dts : t->next, length);
        gtv_box_put(out, length, 4);
        gtv_box_put(out, s->data->len, 4);
        if (t->video) {
            gtv_box_put(out, s->key ? SAMPLE_SYNC : SAMPLE_NON_SYNC, 4);
        }
        if (t->composed) {
            gtv_box_put(out, (uint64_t)(s->pts - s->dts), 4);
        }
        i = following;
    }
    gtv_box_end(out, trun);
}

static void put_traf(struct gtv_buf *out, const struct track *t, int64_t origin, size_t *offset_at)
{
    size_t traf = gtv_box_begin(out, "traf");
    // The samples' flags of audio stand here rather than in trex, for readers that do not look there.
    size_t tfhd = gtv_box_begin_full(out, "tfhd", 0, TFHD_DEFAULT_BASE_IS_MOOF | (t->video ? 0U : 0x20U));
    gtv_box_put(out, t->video ? GTV_FMP4_VIDEO : GTV_FMP4_AUDIO, 4);
    if (!t->video) {
        gtv_box_put(out, SAMPLE_SYNC, 4);
    }
    gtv_box_end(out, tfhd);
    size_t tfdt = gtv_box_begin_full(out, "tfdt", 1, 0);
    gtv_box_put(out, t->first > origin ? (uint64_t)(t->first - origin) : 0, 8);
    gtv_box_end(out, tfdt);
    put_trun(out, t, offset_at);
    gtv_box_end(out, traf);
}

bool gtv_fmp4_fragment(const struct gtv_fmp4_fragment *info, const struct gtv_sample *samples, size_t n,
                       struct gtv_bytes **pieces)
{
    struct track tracks[2] = {track_of(samples, n, true, info->video_next),
                              track_of(samples, n, false, info->audio_next)};
    size_t offset_at[2] = {0};
    tracks[0].length = VIDEO_TICKS;
    tracks[1].length = info->audio_length > 0 ? info->audio_length : AUDIO_TICKS;
    struct gtv_buf out;
    gtv_buf_init(&out, 0);
    size_t moof = gtv_box_begin(&out, "moof");
    size_t mfhd = gtv_box_begin_full(&out, "mfhd", 0, 0);
    gtv_box_put(&out, info->sequence, 4);
    gtv_box_end(&out, mfhd);
    for (size_t i = 0; i < 2; i++) {
        if (tracks[i].count > 0) {
            put_traf(&out, &tracks[i], info->origin, &offset_at[i]);
        }
    }
    gtv_box_end(&out, moof);
    // Access units are at most a few MiB and a fragment's samples are bounded by the ring: 32 bits hold it.
    size_t head = out.len + 8, data = tracks[0].bytes + tracks[1].bytes;
    if (tracks[0].count > 0) {
        patch32(&out, offset_at[0], head);
    }
    if (tracks[1].count > 0) {
        patch32(&out, offset_at[1], head + tracks[0].bytes);
    }
    gtv_box_put(&out, data + 8, 4);
    gtv_buf_puts(&out, "mdat");
    pieces[0] = gtv_buf_take(&out);
    if (pieces[0] == NULL) {
        return false;
    }
    size_t at = 1;
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < n && tracks[t].count > 0; i++) {
            if (samples[i].video == tracks[t].video) {
                pieces[at++] = samples[i].data;
            }
        }
    }
    return true;
}
