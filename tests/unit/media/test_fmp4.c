#include "services/media/hls/fmp4.h"
#include "tests/unit/media/pictures.h"

#include <libavformat/avformat.h>

// What was written, read back by libavformat.
struct file {
    struct gtv_buf bytes;
    size_t at;
};

static int read_file(void *opaque, uint8_t *to, int size)
{
    struct file *f = opaque;
    size_t left = f->bytes.len - f->at, n = (size_t)size < left ? (size_t)size : left;
    memcpy(to, f->bytes.data + f->at, n);
    f->at += n;
    return n > 0 ? (int)n : AVERROR_EOF;
}

static AVFormatContext *open_file(struct file *f)
{
    AVFormatContext *in = avformat_alloc_context();
    in->pb = avio_alloc_context(av_malloc(4096), 4096, 0, f, read_file, NULL, NULL);
    assert_int_equal(avformat_open_input(&in, NULL, av_find_input_format("mp4"), NULL), 0);
    return in;
}

static void close_file(AVFormatContext *in, struct file *f)
{
    AVIOContext *io = in->pb;
    avformat_close_input(&in);
    av_freep(&io->buffer);
    avio_context_free(&io);
    gtv_buf_finish(&f->bytes);
}

static void add_init(struct file *f, const struct gtv_format *format)
{
    struct gtv_bytes *init = gtv_fmp4_init(format);
    assert_non_null(init);
    gtv_buf_append(&f->bytes, init->data, init->len);
    gtv_bytes_unref(init);
}

static void add_fragment(struct file *f, const struct gtv_fmp4_fragment *info, const struct gtv_sample *s,
                         size_t n)
{
    struct gtv_bytes *pieces[64];
    assert_true(gtv_fmp4_fragment(info, s, n, pieces));
    for (size_t i = 0; i <= n; i++) {
        gtv_buf_append(&f->bytes, pieces[i]->data, pieces[i]->len);
    }
    gtv_bytes_unref(pieces[0]);
}

// The table of the run number `which` in a head: lengths and sizes, and how many bytes an entry takes.
static uint32_t run_word(const struct gtv_bytes *head, int which, size_t word)
{
    const uint8_t *at = head->data;
    for (;; at++) {
        at = memmem(at, (size_t)(head->data + head->len - at), "trun", 4);
        assert_non_null(at);
        if (which-- == 0) {
            break;
        }
    }
    const uint8_t *b = at + 4 + word * 4;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void lengths_follow_from_decoding_times(void **state)
{
    struct gtv_bytes *slice = picture_slice(0x65, 100), *pieces[5];
    struct gtv_sample s[] = {{.data = slice, .dts = 90000, .pts = 90000, .video = true, .key = true},
                             {.data = slice, .dts = 90000, .pts = 90000},
                             {.data = slice, .dts = 93003, .pts = 93003, .video = true},
                             {.data = slice, .dts = 91920, .pts = 91920}};
    struct gtv_fmp4_fragment info = {.video_next = 96000, .audio_next = GTV_FMP4_UNKNOWN};
    assert_true(gtv_fmp4_fragment(&info, s, 4, pieces));
    // Words: flags, count, data offset, then of each sample length, size and (video) flags.
    assert_int_equal(run_word(pieces[0], 0, 0), 0x01000701);
    assert_int_equal(run_word(pieces[0], 0, 1), 2);
    assert_int_equal(run_word(pieces[0], 0, 2), pieces[0]->len);
    assert_int_equal(run_word(pieces[0], 0, 3), 3003);
    assert_int_equal(run_word(pieces[0], 0, 5), 0x02000000);
    assert_int_equal(run_word(pieces[0], 0, 6), 2997);
    assert_int_equal(run_word(pieces[0], 0, 8), 0x01010000);
    assert_int_equal(run_word(pieces[0], 1, 0), 0x01000301);
    assert_int_equal(run_word(pieces[0], 1, 2), pieces[0]->len + 208);
    assert_int_equal(run_word(pieces[0], 1, 3), 1920);
    assert_int_equal(run_word(pieces[0], 1, 5), 1920); // as the one before: what follows is not known
    gtv_bytes_unref(pieces[0]);

    info.video_next = 90000 + INT64_C(3600) * 90000; // a jump of the clock is no length
    s[0].dts = s[0].pts = 93000;                     // nor is a step backwards
    s[2].dts = s[2].pts = 92000;
    assert_true(gtv_fmp4_fragment(&info, s, 4, pieces));
    assert_int_equal(run_word(pieces[0], 0, 3), 3600);
    assert_int_equal(run_word(pieces[0], 0, 6), 3600);
    gtv_bytes_unref(pieces[0]);
    gtv_bytes_unref(slice);
}

static const int64_t start = INT64_C(1795360316369) * 90;

static void h264_and_aac_come_back(void **state)
{
    struct gtv_bytes *key = NULL, *inter = picture_slice(0x41, 100), *tone = picture_slice(0x21, 50);
    struct gtv_format *format = picture_format(GTV_CODEC_H264, GTV_CODEC_AAC, &key);
    struct file f = {0};
    add_init(&f, format);
    // Pictures shown out of order, and frames of sound between them.
    struct gtv_sample s[] = {
        {.data = key, .dts = start, .pts = start + 7200, .video = true, .key = true},
        {.data = tone, .dts = start + 10, .pts = start + 10},
        {.data = inter, .dts = start + 3600, .pts = start + 14400, .video = true},
        {.data = tone, .dts = start + 1930, .pts = start + 1930},
        {.data = inter, .dts = start + 7200, .pts = start + 10800, .video = true},
    };
    struct gtv_fmp4_fragment info = {
        .sequence = 1, .video_next = start + 10800, .audio_next = GTV_FMP4_UNKNOWN};
    add_fragment(&f, &info, s, 5);
    struct gtv_sample later = s[2];
    later.dts = later.pts = start + 10800;
    info.sequence = 2;
    info.video_next = GTV_FMP4_UNKNOWN;
    add_fragment(&f, &info, &later, 1);

    AVFormatContext *in = open_file(&f);
    assert_int_equal(in->nb_streams, 2);
    const AVCodecParameters *video = in->streams[0]->codecpar, *audio = in->streams[1]->codecpar;
    assert_int_equal(video->codec_id, AV_CODEC_ID_H264);
    assert_int_equal(video->codec_tag, MKTAG('a', 'v', 'c', '1'));
    assert_int_equal(video->width, 64);
    assert_int_equal(video->height, 48);
    assert_int_equal(video->extradata[0], 1);
    assert_int_equal(video->extradata[1], 0x4d);
    assert_int_equal(audio->codec_id, AV_CODEC_ID_AAC);
    assert_int_equal(audio->sample_rate, 48000);
    assert_int_equal(audio->extradata_size, 2);

    static const struct {
        int stream;
        int64_t dts, pts, length;
        int size;
    } expected[] = {{0, 0, 7200, 3600, 38}, {0, 3600, 14400, 3600, 104}, {0, 7200, 10800, 3600, 104},
                    {1, 10, 10, 1920, 54},  {1, 1930, 1930, 1920, 54},   {0, 10800, 10800, 3600, 104}};
    AVPacket *p = av_packet_alloc();
    int seen[6] = {0}, count = 0;
    while (av_read_frame(in, p) == 0) {
        for (size_t i = 0; i < 6; i++) {
            if (p->stream_index == expected[i].stream && p->dts - start == expected[i].dts) {
                seen[i]++;
                assert_int_equal(p->pts - start, expected[i].pts);
                // libavformat does not tell the length of a fragment's last sample.
                assert_true(p->duration == expected[i].length || p->duration == 0);
                assert_int_equal(p->size, i == 0 ? (int)key->len : expected[i].size);
                assert_int_equal(p->flags & AV_PKT_FLAG_KEY, i == 0 || expected[i].stream == 1);
                assert_memory_equal(p->data,
                                    i == 0                 ? key->data
                                    : p->stream_index == 1 ? tone->data
                                                           : inter->data,
                                    (size_t)p->size);
            }
        }
        count++;
        av_packet_unref(p);
    }
    assert_int_equal(count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(seen[i], 1);
    }
    av_packet_free(&p);
    close_file(in, &f);
    gtv_format_unref(format);
    gtv_bytes_unref(key);
    gtv_bytes_unref(inter);
    gtv_bytes_unref(tone);
}

static void h265_and_opus_come_back(void **state)
{
    struct gtv_bytes *key = NULL, *tone = picture_slice(0x78, 20);
    struct gtv_format *format = picture_format(GTV_CODEC_H265, GTV_CODEC_OPUS, &key);
    struct file f = {0};
    add_init(&f, format);
    struct gtv_sample s[] = {{.data = key, .dts = start, .pts = start, .video = true, .key = true},
                             {.data = tone, .dts = start, .pts = start}};
    struct gtv_fmp4_fragment info = {
        .sequence = 7, .origin = start - 900, .video_next = GTV_FMP4_UNKNOWN, .audio_next = start + 1800};
    add_fragment(&f, &info, s, 2);
    AVFormatContext *in = open_file(&f);
    const AVCodecParameters *video = in->streams[0]->codecpar, *audio = in->streams[1]->codecpar;
    assert_int_equal(video->codec_id, AV_CODEC_ID_HEVC);
    assert_int_equal(video->codec_tag, MKTAG('h', 'v', 'c', '1'));
    // The record says what the parameter sets say (ISO/IEC 14496-15, 8.3.3.1).
    const uint8_t *r = video->extradata;
    static const uint8_t head[] = {1,    0x01, 0x60, 0,    0,    0,    0x90, 0, 0, 0,    0, 0,
                                   0x1e, 0xf0, 0x00, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 3, 0xa0};
    assert_memory_equal(r, head, sizeof head);
    assert_int_equal(audio->codec_id, AV_CODEC_ID_OPUS);
    assert_int_equal(audio->ch_layout.nb_channels, 2);
    AVPacket *p = av_packet_alloc();
    assert_int_equal(av_read_frame(in, p), 0);
    assert_int_equal(p->dts, 900);
    av_packet_free(&p);
    close_file(in, &f);
    gtv_format_unref(format);
    gtv_bytes_unref(key);
    gtv_bytes_unref(tone);
}

static void high_profiles_say_their_chroma(void **state)
{
    // 640x360 by x264, High profile.
    static const uint8_t sps[] = {0,    0,    0,    25,   0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9,
                                  0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00,
                                  0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0,
                                  0,    0,    6,    0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0};
    struct gtv_format format = {.video = {.codec = GTV_CODEC_H264, .width = 640, .height = 360},
                                .sets = gtv_bytes_copy(sps, sizeof sps)};
    struct gtv_buf out = {0};
    assert_true(gtv_fmp4_put_stsd(&out, &format, GTV_FMP4_VIDEO));
    static const uint8_t tail[] = {0xfd, 0xf8, 0xf8, 0};
    assert_memory_equal(out.data + out.len - sizeof tail, tail, sizeof tail);
    gtv_buf_finish(&out);
    gtv_bytes_unref(format.sets);
}

static void broken_sets_are_refused(void **state)
{
    static const struct gtv_str bad[] = {
        {"", 0},
        {"\0\0\0\4\x67\x4d\x40\x1f", 8},                      // no picture parameter set
        {"\0\0\0\4\x68\x4d\x40\x1f", 8},                      // only one
        {"\0\0\0\3\x67\x4d\x40\0\0\0\4\x68\x4d\x40\x1f", 15}, // too short
        {"\0\0\0\x7f\x67\x4d\x40\x1f", 8},                    // length beyond the end
    };
    for (size_t i = 0; i < 2 * sizeof bad / sizeof bad[0]; i++) {
        struct gtv_str text = bad[i / 2];
        struct gtv_format format = {.video = {.codec = i % 2 ? GTV_CODEC_H264 : GTV_CODEC_H265},
                                    .sets = gtv_bytes_copy(text.p, text.n)};
        assert_null(gtv_fmp4_init(&format));
        gtv_bytes_unref(format.sets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(h264_and_aac_come_back),
        cmocka_unit_test(h265_and_opus_come_back),
        cmocka_unit_test(lengths_follow_from_decoding_times),
        cmocka_unit_test(high_profiles_say_their_chroma),
        cmocka_unit_test(broken_sets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
