#include "services/ai/picture/jpeg_write.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

// One compression. libjpeg reports a failure by a call that must not return: it jumps back.
struct session {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jmp_buf back;
    unsigned char *data;
    unsigned long n;
};

static __attribute__((noreturn)) void on_error(j_common_ptr common)
{
    longjmp(((struct session *)(void *)common)->back, 1);
}

static void on_text(j_common_ptr common)
{
    // libjpeg would print to standard error.
}

static bool encode(struct session *s, const uint8_t *rgb, int width, int height, size_t stride, int quality)
{
    s->jpeg.err = jpeg_std_error(&s->errors);
    s->errors.error_exit = on_error;
    s->errors.output_message = on_text;
    if (setjmp(s->back) != 0)
        return false;
    jpeg_create_compress(&s->jpeg);
    jpeg_mem_dest(&s->jpeg, &s->data, &s->n);
    s->jpeg.image_width = (JDIMENSION)width;
    s->jpeg.image_height = (JDIMENSION)height;
    s->jpeg.input_components = 3;
    s->jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&s->jpeg);
    jpeg_set_quality(&s->jpeg, quality, TRUE);
    jpeg_start_compress(&s->jpeg, TRUE);
    while (s->jpeg.next_scanline < s->jpeg.image_height) {
        // libjpeg takes pointers to what it only reads.
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (size_t)s->jpeg.next_scanline * stride);
        (void)jpeg_write_scanlines(&s->jpeg, &row, 1);
    }
    jpeg_finish_compress(&s->jpeg);
    return true;
}

struct gtv_bytes *gtv_jpeg_encode(const uint8_t *rgb, int width, int height, size_t stride, int quality)
{
    if (width < 1 || height < 1 || width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION)
        return NULL;
    struct session s = {.n = 0};
    bool ok = encode(&s, rgb, width, height, stride, quality < 1 ? 1 : quality > 100 ? 100 : quality);
    jpeg_destroy_compress(&s.jpeg);
    struct gtv_bytes *out = ok ? gtv_bytes_wrap(s.data, s.n, free, s.data) : NULL;
    if (!out)
        free(s.data);
    return out;
}
