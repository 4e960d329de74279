// JPEG (ITU-T T.81, JFIF 1.02) by libjpeg-turbo. Into a network's input go the planes as they are coded,
// without libjpeg's own passes over them: the resampler converts the colours of what it keeps.
#include "services/ai/picture/decode.h"

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
    struct gtv_decode *d;
};

static struct session *session_of(j_common_ptr common)
{
    return (struct session *)(void *)common;
}

static __attribute__((noreturn)) void give_up(struct session *s, enum gtv_code code, const char *message)
{
    gtv_error_set(s->d->err, code, NULL, "%s", message);
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

// ---- Cut off ----

static bool scanned_now(const struct jpeg_decompress_struct *jpeg, const jpeg_component_info *component)
{
    for (int i = 0; i < jpeg->comps_in_scan; i++) {
        if (jpeg->cur_comp_info[i] == component)
            return true;
    }
    return false;
}

static bool scan_mostly_there(const struct jpeg_decompress_struct *jpeg)
{
    return (int64_t)jpeg->input_iMCU_row * 100 >=
           (int64_t)jpeg->total_iMCU_rows * GTV_IMAGE_MIN_PERCENT_OF_ROWS;
}

// What counts as most of a picture in several scans: every colour, and of a progressive one the first detail
// of its brightness as well, each to the share of rows that a plain one must have.
static bool scans_mostly_there(struct jpeg_decompress_struct *jpeg)
{
    bool done = scan_mostly_there(jpeg);
    for (int i = 0; i < jpeg->num_components; i++) {
        const jpeg_component_info *component = &jpeg->comp_info[i];
        bool now = scanned_now(jpeg, component) && !done;
        if (!jpeg->progressive_mode) {
            if (!component->quant_table || now) // taken over when a component's first scan begins
                return false;
            continue;
        }
        if (!jpeg->coef_bits || jpeg->coef_bits[i][0] < 0 || (now && jpeg->Ss == 0 && jpeg->Ah == 0))
            return false;
        if (i == 0 && (jpeg->coef_bits[0][1] < 0 || (now && jpeg->Ss == 1 && jpeg->Ah == 0)))
            return false;
    }
    return true;
}

static void on_cut(struct session *s)
{
    struct jpeg_decompress_struct *jpeg = &s->jpeg;
    if (s->d->info->cut_off)
        return;
    s->d->info->cut_off = true;
    if (jpeg->total_iMCU_rows == 0 || jpeg->input_scan_number == 0)
        give_up(s, GTV_E_INVALID, "the JPEG is cut off before its picture begins");
    bool several = jpeg_has_multiple_scans(jpeg) != 0;
    if (several ? scans_mostly_there(jpeg) : scan_mostly_there(jpeg))
        return;
    char message[128];
    int rows = (int)((int64_t)jpeg->input_iMCU_row * jpeg->image_height / jpeg->total_iMCU_rows);
    if (several)
        snprintf(message, sizeof(message), "the JPEG is cut off: only %d of its scans are there",
                 jpeg->input_scan_number - 1);
    else
        snprintf(message, sizeof(message), "the JPEG is cut off: only %d of its %d rows are there", rows,
                 (int)jpeg->image_height);
    give_up(s, GTV_E_INVALID, message);
}

static void on_message(j_common_ptr common, int level)
{
    struct session *s = session_of(common);
    if (level >= 0)
        return;
    bool end_of_file = s->errors.msg_code == JWRN_JPEG_EOF;
    bool early_end = s->errors.msg_code == JWRN_HIT_MARKER && s->jpeg.unread_marker == JPEG_EOI;
    if (end_of_file || early_end)
        on_cut(s);
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
    if (gtv_decode_late(s->d))
        longjmp(s->back, 1);
}

// ---- Header ----

static void begin(struct session *s)
{
    s->jpeg.err = jpeg_std_error(&s->errors);
    s->errors.error_exit = on_error;
    s->errors.emit_message = on_message;
    s->errors.output_message = on_text;
    jpeg_create_decompress(&s->jpeg);
    s->jpeg.mem->max_memory_to_use = GTV_IMAGE_MAX_COEFFICIENTS;
    s->progress.progress_monitor = on_progress;
    s->jpeg.progress = &s->progress;
    jpeg_mem_src(&s->jpeg, (const unsigned char *)s->d->file.p, s->d->file.n);
}

static bool four_colors(const struct jpeg_decompress_struct *jpeg)
{
    return jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
}

static void read_header(struct session *s)
{
    struct jpeg_decompress_struct *jpeg = &s->jpeg;
    struct gtv_decode *d = s->d;
    (void)jpeg_read_header(jpeg, TRUE);
    if ((int64_t)jpeg->image_width != d->width || (int64_t)jpeg->image_height != d->height)
        give_up(s, GTV_E_INVALID, "the JPEG has two sizes");
    // The plainest picture takes a byte for some 170 pixels; what claims far more than it can hold is a bomb,
    // or a stump.
    if ((int64_t)d->width * d->height > (int64_t)d->file.n * GTV_IMAGE_MAX_PIXELS_PER_BYTE)
        give_up(s, GTV_E_INVALID, "the JPEG claims more pixels than its data can hold");
    jpeg->scale_num = 1;
    jpeg->scale_denom = (unsigned)d->by;
    jpeg->out_color_space = four_colors(jpeg) ? JCS_CMYK : JCS_RGB;
    // Colour at a quarter of the pixels is enough to find vehicles and to read plates.
    jpeg->do_fancy_upsampling = FALSE;
    jpeg->do_block_smoothing = FALSE; // costs most on the bombs that stop after the first scan
}

// ---- Planes, to the input ----

static bool plane_color(const struct jpeg_decompress_struct *jpeg, enum gtv_resample_color *color)
{
    *color = jpeg->jpeg_color_space == JCS_GRAYSCALE ? GTV_RESAMPLE_GREY
             : jpeg->jpeg_color_space == JCS_YCbCr   ? GTV_RESAMPLE_YCC
                                                     : GTV_RESAMPLE_RGB;
    return (jpeg->num_components == 1 && *color == GTV_RESAMPLE_GREY) ||
           (jpeg->num_components == 3 && (*color == GTV_RESAMPLE_YCC || jpeg->jpeg_color_space == JCS_RGB));
}

enum { MAX_PLANE_ROWS = MAX_SAMP_FACTOR * DCTSIZE };

struct raw {
    JSAMPROW row[3][MAX_PLANE_ROWS];
    JSAMPARRAY planes[3];
    int rows[3]; // of one read
};

static bool raw_memory(struct session *s, struct raw *raw)
{
    struct jpeg_decompress_struct *jpeg = &s->jpeg;
    size_t stride[3] = {0}, all = 0;
    for (int i = 0; i < jpeg->num_components; i++) {
        const jpeg_component_info *c = &jpeg->comp_info[i];
        raw->rows[i] = c->v_samp_factor * c->DCT_scaled_size;
        stride[i] = (size_t)c->width_in_blocks * (size_t)c->DCT_scaled_size + GTV_RESAMPLE_SLACK;
        all += stride[i] * (size_t)raw->rows[i];
    }
    uint8_t *p = gtv_decode_memory(s->d, all);
    if (!p)
        return false;
    for (int i = 0; i < jpeg->num_components; i++) {
        raw->planes[i] = raw->row[i];
        for (int y = 0; y < raw->rows[i]; y++, p += stride[i])
            raw->row[i][y] = p;
    }
    return true;
}

static void read_planes(struct session *s, struct raw *raw, enum gtv_resample_color color)
{
    struct jpeg_decompress_struct *jpeg = &s->jpeg;
    struct gtv_decode *d = s->d;
    jpeg->raw_data_out = TRUE;
    (void)jpeg_start_decompress(jpeg);
    struct gtv_resample_plane planes[3] = {{0}};
    for (int i = 0; i < jpeg->num_components; i++) {
        const jpeg_component_info *c = &jpeg->comp_info[i];
        double block = (double)c->DCT_scaled_size / DCTSIZE;
        planes[i].width = (int)c->downsampled_width;
        planes[i].height = (int)c->downsampled_height;
        planes[i].extent_x = (double)d->width * c->h_samp_factor / jpeg->max_h_samp_factor * block;
        planes[i].extent_y = (double)d->height * c->v_samp_factor / jpeg->max_v_samp_factor * block;
    }
    if (!raw_memory(s, raw))
        longjmp(s->back, 1);
    if (!gtv_resampler_begin(d->resampler, d->geometry, d->info->orientation, color, planes, d->pixels))
        give_up(s, GTV_E_UNAVAILABLE, "there is no memory for a picture of this size");
    JDIMENSION lines = (JDIMENSION)(jpeg->max_v_samp_factor * jpeg->min_DCT_scaled_size);
    while (jpeg->output_scanline < jpeg->output_height) {
        (void)jpeg_read_raw_data(jpeg, raw->planes, lines);
        int64_t start = gtv_mono_ns();
        for (int i = 0; i < jpeg->num_components; i++) {
            for (int y = 0; y < raw->rows[i]; y++)
                gtv_resampler_row(d->resampler, i, raw->row[i][y]);
        }
        gtv_resampler_drain(d->resampler);
        d->prepare_ns += gtv_mono_ns() - start;
    }
    gtv_resampler_end(d->resampler);
}

// ---- Rows of RGB ----

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
    struct gtv_decode *d = s->d;
    (void)jpeg_start_decompress(jpeg);
    int columns = (int)jpeg->output_width, first = 0, last = (int)jpeg->output_height;
    if (!gtv_decode_rows_begin(d, columns, last, (double)d->width / d->by, (double)d->height / d->by))
        longjmp(s->back, 1);
    JDIMENSION x = 0;
    if (d->image && (d->part.width < d->width || d->part.height < d->height)) {
        x = (JDIMENSION)d->part.x;
        JDIMENSION width = (JDIMENSION)d->part.width;
        jpeg_crop_scanline(jpeg, &x, &width);
        columns = (int)width;
        first = d->part.y;
        last = first + d->part.height;
        if (first > 0)
            (void)jpeg_skip_scanlines(jpeg, (JDIMENSION)first);
    }
    // libjpeg's own memory, which goes with it.
    JSAMPARRAY inks = NULL;
    if (jpeg->out_color_space == JCS_CMYK)
        inks = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, (JDIMENSION)columns * 4, 1);
    for (int y = first; y < last; y++) {
        uint8_t *room = gtv_decode_row_room(d, y);
        JSAMPROW into = inks ? inks[0] : room;
        (void)jpeg_read_scanlines(jpeg, &into, 1);
        if (inks)
            convert_row(into, room, columns, jpeg->saw_Adobe_marker);
        gtv_decode_row(d, y, (int)x, room);
    }
    gtv_decode_rows_end(d, (int)jpeg->output_height);
}

// The session lives in the caller's frame, so that what changed after setjmp is whole after the jump.
static bool decode(struct session *s, struct raw *raw)
{
    if (setjmp(s->back) != 0)
        return false;
    begin(s);
    read_header(s);
    enum gtv_resample_color color;
    if (!s->d->image && plane_color(&s->jpeg, &color))
        read_planes(s, raw, color);
    else
        read_rows(s);
    return true;
}

bool gtv_decode_jpeg(struct gtv_decode *d)
{
    struct session s = {.d = d};
    struct raw raw;
    bool ok = decode(&s, &raw);
    jpeg_destroy_decompress(&s.jpeg);
    return ok;
}
