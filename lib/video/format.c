#include "lib/video/format.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/video/access.h"

#include <stdlib.h>

bool gtv_nal_prefixed_next(struct gtv_str data, size_t *at, struct gtv_str *nal)
{
    if (data.n < 4 || *at > data.n - 4) {
        return false;
    }
    const unsigned char *p = (const unsigned char *)data.p + *at;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n > data.n - *at - 4) {
        return false;
    }
    *nal = (struct gtv_str){data.p + *at + 4, n};
    *at += 4 + n;
    return true;
}

// Exp-Golomb codes (H.264, 9.1) of the few bits that are needed of a parameter set and of a slice.
struct bits {
    uint8_t *p;
    size_t at, end; // in bits
};

static unsigned get_bit(struct bits *b)
{
    if (b->at >= b->end) {
        return 1;
    }
    unsigned bit = (unsigned)b->p[b->at / 8] >> (7 - b->at % 8) & 1;
    b->at++;
    return bit;
}

static void put_bit(struct bits *b, unsigned bit)
{
    if (b->at < b->end) {
        b->p[b->at / 8] = (uint8_t)(b->p[b->at / 8] & ~(1U << (7 - b->at % 8)));
        b->p[b->at / 8] = (uint8_t)(b->p[b->at / 8] | bit << (7 - b->at % 8));
        b->at++;
    }
}

static void copy_golomb(struct bits *from, struct bits *to)
{
    int zeros = 0;
    while (zeros < 16 && get_bit(from) == 0) {
        zeros++;
        put_bit(to, 0);
    }
    put_bit(to, 1);
    while (zeros-- > 0) {
        put_bit(to, get_bit(from));
    }
}

// libavcodec's parser tells the size of a picture when it meets a slice: the shortest one that refers to the
// picture parameter set pps.
static size_t write_slice(enum gtv_codec codec, struct gtv_str pps, uint8_t out[32])
{
    memset(out, 0xaa, 32);
    uint8_t set[16] = {0};
    size_t header = codec == GTV_CODEC_H264 ? 1 : 2;
    if (pps.n <= header) {
        return 0;
    }
    size_t n = pps.n - header < sizeof set ? pps.n - header : sizeof set;
    memcpy(set, pps.p + header, n);
    struct bits from = {set, 0, n * 8}, to = {out + header, 0, (32 - header) * 8};
    if (codec == GTV_CODEC_H264) {
        out[0] = 0x65;
        put_bit(&to, 1); // first macroblock 0
        for (int i = 0; i < 7; i++) {
            put_bit(&to, i == 3); // slice type 7: I
        }
    } else {
        out[0] = 19 << 1; // IDR_W_RADL
        out[1] = 1;
        put_bit(&to, 1); // first slice segment
        put_bit(&to, 0); // no output of prior pictures
    }
    copy_golomb(&from, &to);
    return 32;
}

static bool read_video(struct gtv_format *f, enum gtv_codec codec)
{
    struct gtv_buf text;
    gtv_buf_init(&text, GTV_SETS_MAX + 64);
    size_t at = 0;
    struct gtv_str nal, pps = {NULL, 0};
    while (gtv_nal_prefixed_next(gtv_bytes_str(f->sets), &at, &nal)) {
        int type = nal.n == 0                ? -1
                   : codec == GTV_CODEC_H264 ? (unsigned char)nal.p[0] & 0x1f
                                             : (unsigned char)nal.p[0] >> 1 & 0x3f;
        gtv_buf_append(&text, "\0\0\0\1", 4);
        gtv_buf_append(&text, nal.p, nal.n);
        if (pps.n == 0 && type == (codec == GTV_CODEC_H264 ? 8 : 34)) {
            pps = nal;
        }
    }
    uint8_t slice[32];
    size_t n = write_slice(codec, pps, slice);
    gtv_buf_append(&text, "\0\0\0\1", 4);
    gtv_buf_append(&text, slice, n);
    bool ok = n > 0 && !text.failed && gtv_video_info_read(codec, gtv_buf_str(&text), &f->video);
    gtv_buf_finish(&text);
    return ok;
}

struct gtv_format *gtv_format_create(enum gtv_codec video, struct gtv_bytes *sets,
                                     const struct gtv_audio_info *audio)
{
    struct gtv_format *f = GTV_NEW(struct gtv_format);
    atomic_init(&f->refs, 1);
    f->sets = gtv_bytes_ref(sets);
    if (audio != NULL) {
        f->audio = *audio;
        if (audio->config != NULL) {
            gtv_bytes_ref(audio->config);
        }
    }
    if (!read_video(f, video)) {
        gtv_format_unref(f);
        return NULL;
    }
    return f;
}

struct gtv_format *gtv_format_ref(struct gtv_format *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void gtv_format_unref(struct gtv_format *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    gtv_bytes_unref(f->sets);
    gtv_bytes_unref(f->audio.config);
    free(f);
}
