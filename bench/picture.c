// How long a posted picture takes to become the network's input: `gtv-bench-picture [PICTURE]` encodes it (or
// a made-up street) at 1280x720 with about 50 KB and 190 KB and prints the CPU time of each way, in
// milliseconds.
#include "services/ai/picture/picture.h"
#include "services/ai/picture/base64.h"
#include "services/ai/picture/jpeg_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WIDTH = 1280, HEIGHT = 720, SIDE = 416, ROUNDS = 15, RUNS = 40 };

static double cpu_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

// Blocks of colour with edges and noise, so that it takes as many bytes as a street does.
static void invent(struct gtv_image *image)
{
    unsigned seed = 1;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            seed = seed * 1103515245U + 12345U;
            unsigned block = (unsigned)(x / 40) * 73856093U ^ (unsigned)(y / 30) * 19349663U;
            uint8_t *p = image->rgb + (size_t)y * image->stride + (size_t)x * 3;
            for (unsigned c = 0; c < 3; c++)
                p[c] = (uint8_t)(40 + (block >> (8 * c)) % 160 + (seed >> 20) % 20);
        }
    }
}

static bool load(const char *path, struct gtv_image *image)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t cap = 64U << 20;
    char *data = malloc(cap);
    size_t n = data ? fread(data, 1, cap, f) : 0;
    (void)fclose(f);
    struct gtv_error err = {0};
    bool ok = gtv_picture_decode((struct gtv_str){data, n}, image, &err);
    if (!ok)
        fprintf(stderr, "%s: %s\n", path, err.message);
    free(data);
    return ok && image->width == WIDTH && image->height == HEIGHT;
}

// The quality whose size comes nearest.
static struct gtv_bytes *encode(const struct gtv_image *image, size_t wanted)
{
    struct gtv_bytes *best = NULL;
    for (int quality = 5; quality <= 100; quality++) {
        struct gtv_bytes *b = gtv_jpeg_encode(image->rgb, WIDTH, HEIGHT, image->stride, quality);
        if (!b)
            continue;
        size_t off = b->len > wanted ? b->len - wanted : wanted - b->len;
        size_t best_off = !best ? SIZE_MAX : best->len > wanted ? best->len - wanted : wanted - best->len;
        if (off < best_off) {
            gtv_bytes_unref(best);
            best = b;
        } else {
            gtv_bytes_unref(b);
        }
    }
    return best;
}

static double to_input(struct gtv_picture_scratch *s, struct gtv_str file, enum gtv_resize resize,
                       uint8_t *pixels, struct gtv_picture_info *info)
{
    struct gtv_model model = {.input = {.width = SIDE, .height = SIDE}, .resize = resize, .pad = 114};
    struct gtv_geometry g;
    struct gtv_error err = {0};
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double start = cpu_ms();
        for (int i = 0; i < RUNS; i++) {
            if (!gtv_picture_to_input(s, file, &model, pixels, &g, info, &err)) {
                fprintf(stderr, "%s\n", err.message);
                exit(1);
            }
        }
        double each = (cpu_ms() - start) / RUNS;
        best = each < best ? each : best;
    }
    return best;
}

static void time_base64(struct gtv_picture_scratch *s)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 256 * 1024;
    char *text = malloc(n);
    if (!text)
        return;
    for (size_t i = 0; i < n; i++)
        text[i] = alphabet[i * 2654435761U >> 7 & 63];
    struct gtv_str file;
    struct gtv_error err = {0};
    double start = cpu_ms();
    for (int i = 0; i < 2000; i++)
        (void)!gtv_picture_from_base64(s, (struct gtv_str){text, n}, &file, &err);
    double ms = cpu_ms() - start;
    printf("base64: %.2f GB/s of text\n", (double)n * 2000 / ms / 1e6);
    free(text);
}

int main(int argc, char **argv)
{
    struct gtv_image image = {0};
    struct gtv_error err = {0};
    if (argc > 1 ? !load(argv[1], &image) : !gtv_image_alloc(&image, WIDTH, HEIGHT, &err)) {
        fprintf(stderr, "a picture of %d x %d is needed\n", WIDTH, HEIGHT);
        return 1;
    }
    if (argc == 1)
        invent(&image);
    struct gtv_picture_scratch *s = gtv_picture_scratch_create();
    uint8_t *pixels = malloc((size_t)SIDE * SIDE * 3);
    static const size_t sizes[] = {50000, 190000};
    for (size_t i = 0; pixels && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct gtv_bytes *b = encode(&image, sizes[i]);
        if (!b)
            break;
        struct gtv_picture_info info = {0};
        double letterbox = to_input(s, gtv_bytes_str(b), GTV_RESIZE_LETTERBOX_CENTER, pixels, &info);
        double stretch = to_input(s, gtv_bytes_str(b), GTV_RESIZE_STRETCH, pixels, &info);
        printf("%zu KB: stretched %.3f ms (of it resampling %.3f), letterboxed %.3f ms\n", b->len / 1000,
               stretch, info.prepare_ms, letterbox);
        gtv_bytes_unref(b);
    }
    time_base64(s);
    free(pixels);
    gtv_picture_scratch_destroy(s);
    gtv_image_finish(&image);
    return 0;
}
