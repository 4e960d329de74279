// PNG (ISO/IEC 15948) by libpng, row by row: palettes, greys and 16 bits become 8-bit RGB, what is
// transparent lies on black.
#include "services/ai/picture/decode.h"

#include <png.h>
#include <setjmp.h>

enum {
    INPUT_STEP = 1024, // bytes given to zlib at once: so much of a cut file's end is lost at most
    ROWS_A_LOOK = 64,  // rows between two looks at the clock
    LAST_PASS = 6,     // of an interlaced picture: all but every second row are there by then
};

struct session {
    struct gtv_decode *d;
    jmp_buf back;
    png_structp png;
    png_infop info;
    size_t at;       // in the file
    uint8_t *pixels; // a row as libpng gives it; all of them when they come interlaced
    size_t channels;
    bool begun;
    int row, pass, passes;
};

static __attribute__((noreturn)) void on_error(png_structp png, png_const_charp message)
{
    struct session *s = png_get_error_ptr(png);
    if (!s->d->err->code)
        gtv_error_set(s->d->err, GTV_E_INVALID, NULL,
                      s->d->info->cut_off ? "the PNG is cut off: %.100s" : "the PNG is broken: %.100s",
                      message);
    longjmp(s->back, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    // Nothing that matters here.
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    struct session *s = png_get_io_ptr(png);
    if (n > s->d->file.n - s->at) {
        s->d->info->cut_off = true;
        png_error(png, "its data ends too early");
    }
    memcpy(to, s->d->file.p + s->at, n);
    s->at += n;
}

static void begin(struct session *s)
{
    struct gtv_decode *d = s->d;
    png_set_read_fn(s->png, s, on_read);
    png_set_compression_buffer_size(s->png, INPUT_STEP);
    // Texts and colour profiles, which may be bombs of their own, are passed over.
    png_set_keep_unknown_chunks(s->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_user_limits(s->png, (png_uint_32)d->width, (png_uint_32)d->height);
    png_read_info(s->png, s->info);
    png_set_expand(s->png);
    png_set_scale_16(s->png);
    png_set_gray_to_rgb(s->png);
    s->passes = png_set_interlace_handling(s->png);
    png_read_update_info(s->png, s->info);
    s->channels = png_get_channels(s->png, s->info);
    if (s->channels < 3 || png_get_bit_depth(s->png, s->info) != 8)
        png_error(s->png, "its colours are unknown");
    size_t rows = s->passes > 1 ? (size_t)d->height : 1;
    s->pixels = png_malloc_warn(s->png, rows * (size_t)d->width * s->channels);
    if (!s->pixels) {
        gtv_error_set(d->err, GTV_E_UNAVAILABLE, NULL, "there is no memory for a picture of this size");
        longjmp(s->back, 1);
    }
    if (!gtv_decode_rows_begin(d, d->width, d->height, d->width, d->height))
        longjmp(s->back, 1);
    s->begun = true;
}

static void hand_on(struct session *s, int y, const uint8_t *p)
{
    struct gtv_decode *d = s->d;
    uint8_t *to = gtv_decode_row_room(d, y);
    if (s->channels == 3) {
        memcpy(to, p, (size_t)d->width * 3);
    } else {
        for (int x = 0; x < d->width; x++, p += 4) {
            for (int c = 0; c < 3; c++)
                to[3 * x + c] = (uint8_t)((p[c] * p[3] + 127) / 255);
        }
    }
    gtv_decode_row(d, y, 0, to);
}

static int last_row(const struct gtv_decode *d)
{
    return d->image ? d->part.y + d->part.height : d->height;
}

static void read_rows(struct session *s)
{
    struct gtv_decode *d = s->d;
    bool interlaced = s->passes > 1;
    int rows = interlaced ? d->height : last_row(d);
    for (s->pass = 0; s->pass < s->passes; s->pass++) {
        for (s->row = 0; s->row < rows; s->row++) {
            uint8_t *row = s->pixels + (interlaced ? (size_t)s->row * (size_t)d->width * s->channels : 0);
            if (s->row % ROWS_A_LOOK == 0 && gtv_decode_late(d))
                longjmp(s->back, 1);
            // The second way to give a row fills in what later passes have not brought yet.
            png_read_row(s->png, interlaced ? NULL : row, interlaced ? row : NULL);
            if (!interlaced)
                hand_on(s, s->row, row);
        }
    }
}

static bool decode(struct session *s)
{
    if (setjmp(s->back) != 0)
        return false;
    begin(s);
    read_rows(s);
    return true;
}

// Whether what came before the end of a cut file is enough.
static bool mostly_there(const struct session *s)
{
    if (!s->begun || !s->d->info->cut_off)
        return false;
    return s->passes > 1 ? s->pass >= LAST_PASS
                         : (int64_t)s->row * 100 >= (int64_t)s->d->height * GTV_IMAGE_MIN_PERCENT_OF_ROWS;
}

bool gtv_decode_png(struct gtv_decode *d)
{
    struct session s = {.d = d};
    s.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    s.info = s.png ? png_create_info_struct(s.png) : NULL;
    bool ok = false;
    if (!s.info) {
        gtv_error_set(d->err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this picture");
    } else {
        ok = decode(&s);
        if (!ok && mostly_there(&s)) {
            memset(d->err, 0, sizeof(*d->err));
            ok = true;
        }
    }
    if (ok) {
        bool interlaced = s.passes > 1;
        for (int y = 0; interlaced && y < d->height; y++)
            hand_on(&s, y, s.pixels + (size_t)y * (size_t)d->width * s.channels);
        gtv_decode_rows_end(d, interlaced ? d->height : d->info->cut_off ? s.row : d->height);
    }
    if (s.png)
        png_free(s.png, s.pixels);
    png_destroy_read_struct(&s.png, &s.info, NULL);
    return ok;
}
