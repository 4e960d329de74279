// gtv-street: renders the synthetic street and the truth about it.
#include <cairo.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "encode.h"
#include "truth.h"

static const char USAGE[] =
    "usage: gtv-street --out DIR             write DIR/street.mp4 and DIR/street.json\n"
    "       gtv-street --frame N --png FILE  write one frame as a picture\n"
    "  --quiet   no progress on stderr\n";

struct arguments {
    const char *out, *png;
    long frame;
    bool quiet;
};

static bool parse(int argc, char **argv, struct arguments *a)
{
    static const struct option OPTIONS[] = {
        {"out", required_argument, NULL, 'o'}, {"frame", required_argument, NULL, 'f'},
        {"png", required_argument, NULL, 'p'}, {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0}};
    char *end = NULL;
    *a = (struct arguments){.frame = -1};
    for (int c; (c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (c) {
        case 'o':
            a->out = optarg;
            break;
        case 'p':
            a->png = optarg;
            break;
        case 'f':
            a->frame = strtol(optarg, &end, 10);
            if (*end != '\0' || a->frame < 0 || a->frame >= GTV_STREET_FRAMES) {
                fprintf(stderr, "gtv-street: --frame is 0 to %d\n", GTV_STREET_FRAMES - 1);
                return false;
            }
            break;
        case 'q':
            a->quiet = true;
            break;
        case 'h':
            fputs(USAGE, stdout);
            exit(0);
        default:
            fputs(USAGE, stderr);
            return false;
        }
    }
    if (optind != argc || (a->out == NULL) == (a->png == NULL) || (a->png == NULL) != (a->frame < 0)) {
        fputs(USAGE, stderr);
        return false;
    }
    return true;
}

static bool write_png(const char *path, const float *rgb, int width, int height)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    unsigned char *data = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int k = 0; k < 3; k++) {
                float v = rgb[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)k];
                data[y * stride + x * 4 + 2 - k] = (unsigned char)(v * 255.0F + 0.5F);
            }
    cairo_surface_mark_dirty(surface);
    bool good = cairo_surface_write_to_png(surface, path) == CAIRO_STATUS_SUCCESS;
    cairo_surface_destroy(surface);
    if (!good)
        fprintf(stderr, "gtv-street: cannot write %s\n", path);
    return good;
}

// Render every frame; both files appear only when they are complete.
static bool write_clip(struct gtv_film *film, const struct arguments *a, float *rgb, struct gtv_seen *seen)
{
    const struct gtv_camera *camera = gtv_film_camera(film);
    char clip[4096], partial[4096], json[4096];
    if (snprintf(partial, sizeof partial, "%s/street.part.mp4", a->out) >= (int)sizeof partial) {
        fputs("gtv-street: the folder's name is too long\n", stderr);
        return false;
    }
    snprintf(clip, sizeof clip, "%s/street.mp4", a->out);
    snprintf(json, sizeof json, "%s/street.json", a->out);
    if (mkdir(a->out, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "gtv-street: cannot make %s: %s\n", a->out, strerror(errno));
        return false;
    }
    struct gtv_encoder *encoder = gtv_encoder_create(partial, camera->width, camera->height, GTV_STREET_FPS);
    if (encoder == NULL)
        return false;
    struct gtv_truth *truth = gtv_truth_create(film);
    bool good = true;
    for (int n = 0; n < GTV_STREET_FRAMES && good; n++) {
        gtv_film_frame(film, n, rgb, seen);
        gtv_truth_add(truth, n, seen);
        good = gtv_encoder_write(encoder, rgb);
        if (!a->quiet && (n + 1) % 60 == 0)
            fprintf(stderr, "gtv-street: %d of %d frames\n", n + 1, GTV_STREET_FRAMES);
    }
    good = gtv_encoder_finish(encoder) && good;
    if (!good)
        fprintf(stderr, "gtv-street: cannot write %s\n", partial);
    good = good && gtv_truth_write(truth, json) && rename(partial, clip) == 0;
    if (!good)
        remove(partial);
    gtv_truth_destroy(truth);
    return good;
}

int main(int argc, char **argv)
{
    struct arguments a;
    if (!parse(argc, argv, &a))
        return 2;
    struct gtv_film *film = gtv_film_create();
    const struct gtv_camera *camera = gtv_film_camera(film);
    float *rgb = gtv_street_alloc((size_t)camera->width * (size_t)camera->height * 3, sizeof *rgb);
    struct gtv_seen *seen = gtv_street_alloc((size_t)gtv_pass_count, sizeof *seen);
    bool good;
    if (a.png != NULL) {
        gtv_film_frame(film, (int)a.frame, rgb, seen);
        good = write_png(a.png, rgb, camera->width, camera->height);
    } else {
        good = write_clip(film, &a, rgb, seen);
    }
    free(rgb);
    free(seen);
    gtv_film_destroy(film);
    return good ? 0 : 1;
}
