#include "services/ai/picture/image_jpeg.h"

#include "lib/base/clock.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <jerror.h>

// One decompression. libjpeg reports a failure by a call that must not return: it jumps back to decode().
struct session {
    struct jpeg_decompress_struct jpeg; // first: its error and progress managers are found through it
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    size_t size; // of the data
    int64_t deadline_ms;
    bool cut_off;    // the data ended before the picture did
    int rows_at_cut; // rows of output complete at that moment
    int scan_at_cut;
    struct gtv_error *err;
    struct gtv_image *out;
    uint8_t *cmyk; // a row, when the picture has four colours
};

static struct session *session_of(j_common_ptr common)
{
    return (struct session *)(void *)common;
}

static __attribute__((noreturn)) void give_up(struct session *s, enum gtv_code code, const char *message)
{
    gtv_error_set(s->err, code, NULL, "%s", message);
    longjmp(s->back, 1);
}

static __attribute__((noreturn)) void on_error(j_common_ptr common)
{
    struct session *s = session_of(common);
    if (s->errors.msg_code == JERR_NO_BACKING_STORE || s->errors.msg_code == JERR_OUT_OF_MEMORY)
        give_up(s, GTV_E_TOO_LARGE,
                "the JPEG needs too much memory to be decoded: send it smaller, or not progressive");
    char text[JMSG_LENGTH_MAX], message[JMSG_LENGTH_MAX + 40];
    s->errors.format_message(common, text);
    snprintf(message, sizeof(message), "the JPEG cannot be decoded: %s", text);
    give_up(s, GTV_E_INVALID, message);
}

static void on_message(j_common_ptr common, int level)
{
    struct session *s = session_of(common);
    if (level < 0 && s->errors.msg_code == JWRN_JPEG_EOF && !s->cut_off) {
        s->cut_off = true;
        s->rows_at_cut = (int)s->jpeg.output_scanline;
        s->scan_at_cut = s->jpeg.input_scan_number;
    }
}

static void on_text(j_common_ptr common)
{
    // libjpeg would print to standard error.
}

static void on_progress(j_common_ptr common)
{
    struct session *s = session_of(common);
    if (s->jpeg.input_scan_number > GTV_IMAGE_MAX_SCANS)
        give_up(s, GTV_E_INVALID, "the JPEG has more scans than any real picture");
    if (gtv_mono_ms() > s->deadline_ms)
        give_up(s, GTV_E_INVALID, "the JPEG takes too long to decode");
}

static void begin(struct session *s, struct gtv_str data)
{
    s->jpeg.err = jpeg_std_error(&s->errors);
    s->errors.error_exit = on_error;
    s->errors.emit_message = on_message;
    s->errors.output_message = on_text;
    jpeg_create_decompress(&s->jpeg);
    s->jpeg.mem->max_memory_to_use = GTV_IMAGE_MAX_COEFFICIENTS;
    s->progress.progress_monitor = on_progress;
    s->jpeg.progress = &s->progress;
    s->deadline_ms = gtv_mono_ms() + GTV_IMAGE_MAX_DECODE_MS;
    s->size = data.n;
    jpeg_mem_src(&s->jpeg, (const unsigned char *)data.p, data.n);
}

static void read_header(struct session *s, int want_width, int want_height)
{
    struct jpeg_decompress_struct *jpeg = &s->jpeg;
    (void)jpeg_read_header(jpeg, TRUE);
    if (!gtv_image_check_size(jpeg->image_width, jpeg->image_height, s->err))
        longjmp(s->back, 1);
    // The plainest picture takes a byte for some 170 pixels; what claims far more than it can hold is a bomb,
    // or a stump.
    if ((int64_t)jpeg->image_width * jpeg->image_height > (int64_t)s->size * GTV_IMAGE_MAX_PIXELS_PER_BYTE)
        give_up(s, GTV_E_INVALID, "the JPEG claims more pixels than its data can hold");
    s->out->full_width = (int)jpeg->image_width;
    s->out->full_height = (int)jpeg->image_height;
    bool four = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = four ? JCS_CMYK : JCS_RGB;
    jpeg->scale_num = 1;
    jpeg->scale_denom =
        (unsigned)gtv_image_reduction(s->out->full_width, s->out->full_height, want_width, want_height);
    jpeg->do_fancy_upsampling =
        FALSE; // colour at a quarter of the pixels is enough to find vehicles, and saves a fifth of the time
}

// Four inks to RGB. Adobe's files store them inverted, and nearly all four-colour JPEG are Adobe's.
static void convert_row(const uint8_t *cmyk, uint8_t *rgb, int width, bool inverted)
{
    for (int x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        unsigned k = inverted ? cmyk[3] : 255U - cmyk[3];
        for (int c = 0; c < 3; c++) {
            unsigned ink = inverted ? cmyk[c] : 255U - cmyk[c];
            rgb[c] = (uint8_t)(ink * k / 255);
        }
    }
}

static void read_rows(struct session *s)
{
    struct jpeg_decompress_struct *jpeg = &s->jpeg;
    (void)jpeg_start_decompress(jpeg);
    if (!gtv_image_alloc(s->out, (int)jpeg->output_width, (int)jpeg->output_height, s->err))
        longjmp(s->back, 1);
    if (jpeg->out_color_space == JCS_CMYK) {
        s->cmyk = malloc((size_t)jpeg->output_width * 4);
        if (!s->cmyk)
            give_up(s, GTV_E_UNAVAILABLE, "there is no memory for a picture of this size");
    }
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = s->out->rgb + (size_t)jpeg->output_scanline * s->out->stride;
        JSAMPROW into = s->cmyk ? s->cmyk : row;
        (void)jpeg_read_scanlines(jpeg, &into, 1);
        if (s->cmyk)
            convert_row(s->cmyk, row, s->out->width, jpeg->saw_Adobe_marker);
    }
}

// What was cut off is filled with grey by libjpeg: a picture that is mostly there is worth looking at, a
// stump is not.
static void judge_cut(struct session *s)
{
    if (!s->cut_off)
        return;
    bool stump = s->jpeg.progressive_mode || jpeg_has_multiple_scans(&s->jpeg)
                     ? s->scan_at_cut < 2
                     : (int64_t)s->rows_at_cut * 10 < (int64_t)s->out->height * 6;
    if (!stump)
        return;
    char message[96];
    snprintf(message, sizeof(message), "the JPEG is cut off: only %d of its %d rows are there",
             (int)((int64_t)s->rows_at_cut * s->out->full_height / s->out->height), s->out->full_height);
    give_up(s, GTV_E_INVALID, message);
}

// The session lives in the caller's frame, so that what changed after setjmp is whole after the jump.
static bool decode(struct session *s, struct gtv_str data, int want_width, int want_height)
{
    if (setjmp(s->back) != 0)
        return false;
    begin(s, data);
    read_header(s, want_width, want_height);
    read_rows(s);
    judge_cut(s);
    return true;
}

bool gtv_image_decode_jpeg(struct gtv_str data, int want_width, int want_height, struct gtv_image *out,
                           struct gtv_error *err)
{
    struct session s = {.err = err, .out = out};
    bool ok = decode(&s, data, want_width, want_height);
    free(s.cmyk);
    jpeg_destroy_decompress(&s.jpeg);
    return ok;
}
