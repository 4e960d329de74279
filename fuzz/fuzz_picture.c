// What clients of the ai service post: base64, multipart bodies, pictures. The first byte chooses the parser.
#include "services/ai/picture/base64.h"
#include "services/ai/picture/image.h"
#include "services/ai/picture/multipart.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_base64(struct gtv_str text)
{
    uint8_t *out = NULL;
    size_t n = 0;
    struct gtv_error err = {0};
    if (!gtv_base64_decode(text, &out, &n, &err))
        return;
    if (n > text.n)
        abort();
    free(out);
}

// The line before the body is its Content-Type.
static void find_file(struct gtv_str body)
{
    struct gtv_str type = gtv_str_cut(&body, '\n'), file = {0};
    struct gtv_error err = {0};
    if (gtv_multipart_find(type, body, "file", &file, &err) &&
        (file.p < body.p || file.p + file.n > body.p + body.n))
        abort();
}

static void decode_image(struct gtv_str data, int want)
{
    struct gtv_image image;
    struct gtv_error err = {0};
    if (!gtv_image_decode(data, want, want, &image, &err))
        return;
    if (image.stride < (size_t)image.width * 3 || image.full_width < image.width)
        abort();
    gtv_image_finish(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct gtv_str rest = {(const char *)data + 1, size - 1};
    switch (data[0] % 4) {
    case 0:
        decode_base64(rest);
        break;
    case 1:
        find_file(rest);
        break;
    case 2:
        decode_image(rest, 0);
        break;
    default:
        decode_image(rest, 24);
    }
    return 0;
}
