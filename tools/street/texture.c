#include "texture.h"

#include <math.h>
#include <stdlib.h>

#include "shape.h"

struct gtv_canvas {
    cairo_surface_t *colour_surface, *gloss_surface;
    cairo_t *colour, *gloss;
    int w, h;
    double u0, v1, per_metre;
};

static cairo_t *context(cairo_surface_t *surface, const struct gtv_canvas *canvas)
{
    cairo_t *cr = cairo_create(surface);
    cairo_scale(cr, canvas->per_metre, -canvas->per_metre);
    cairo_translate(cr, -canvas->u0, -canvas->v1);
    return cr;
}

struct gtv_canvas *gtv_canvas_create(double u0, double v0, double u1, double v1, double per_metre,
                                     struct gtv_texel base)
{
    struct gtv_canvas *canvas = gtv_street_alloc(1, sizeof *canvas);
    canvas->w = (int)ceil((u1 - u0) * per_metre);
    canvas->h = (int)ceil((v1 - v0) * per_metre);
    canvas->u0 = u0;
    canvas->v1 = v1;
    canvas->per_metre = per_metre;
    canvas->colour_surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, canvas->w, canvas->h);
    canvas->gloss_surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, canvas->w, canvas->h);
    canvas->colour = context(canvas->colour_surface, canvas);
    canvas->gloss = context(canvas->gloss_surface, canvas);
    cairo_rectangle(canvas->colour, u0, v0, u1 - u0, v1 - v0);
    gtv_canvas_fill(canvas, base);
    return canvas;
}

cairo_t *gtv_canvas_path(struct gtv_canvas *canvas)
{
    return canvas->colour;
}

static void paint(struct gtv_canvas *canvas, double width, struct gtv_texel colour)
{
    cairo_path_t *path = cairo_copy_path(canvas->colour);
    cairo_set_source_rgb(canvas->colour, colour.r, colour.g, colour.b);
    cairo_set_source_rgb(canvas->gloss, colour.gloss, colour.gloss, colour.gloss);
    cairo_append_path(canvas->gloss, path);
    cairo_path_destroy(path);
    cairo_t *both[2] = {canvas->colour, canvas->gloss};
    for (int i = 0; i < 2; i++) {
        if (width > 0.0) {
            cairo_set_line_width(both[i], width);
            cairo_stroke(both[i]);
        } else {
            cairo_fill(both[i]);
        }
    }
}

void gtv_canvas_fill(struct gtv_canvas *canvas, struct gtv_texel colour)
{
    paint(canvas, 0.0, colour);
}

void gtv_canvas_stroke(struct gtv_canvas *canvas, double width, struct gtv_texel colour)
{
    paint(canvas, width, colour);
}

void gtv_canvas_rect(struct gtv_canvas *canvas, double u0, double v0, double u1, double v1, double round,
                     struct gtv_texel colour)
{
    cairo_t *cr = canvas->colour;
    if (round <= 0.0) {
        cairo_rectangle(cr, u0, v0, u1 - u0, v1 - v0);
    } else {
        cairo_new_sub_path(cr);
        cairo_arc(cr, u1 - round, v1 - round, round, 0.0, M_PI / 2);
        cairo_arc(cr, u0 + round, v1 - round, round, M_PI / 2, M_PI);
        cairo_arc(cr, u0 + round, v0 + round, round, M_PI, 1.5 * M_PI);
        cairo_arc(cr, u1 - round, v0 + round, round, 1.5 * M_PI, 2.0 * M_PI);
        cairo_close_path(cr);
    }
    gtv_canvas_fill(canvas, colour);
}

void gtv_canvas_disc(struct gtv_canvas *canvas, double u, double v, double radius, struct gtv_texel colour)
{
    cairo_new_sub_path(canvas->colour);
    cairo_arc(canvas->colour, u, v, radius, 0.0, 2.0 * M_PI);
    gtv_canvas_fill(canvas, colour);
}

void gtv_canvas_polygon(struct gtv_canvas *canvas, const double (*corner)[2], size_t n,
                        struct gtv_texel colour)
{
    for (size_t i = 0; i < n; i++)
        cairo_line_to(canvas->colour, corner[i][0], corner[i][1]);
    cairo_close_path(canvas->colour);
    gtv_canvas_fill(canvas, colour);
}

void gtv_canvas_line(struct gtv_canvas *canvas, double u0, double v0, double u1, double v1, double width,
                     struct gtv_texel colour)
{
    cairo_move_to(canvas->colour, u0, v0);
    cairo_line_to(canvas->colour, u1, v1);
    gtv_canvas_stroke(canvas, width, colour);
}

void gtv_canvas_text(struct gtv_canvas *canvas, const char *text, double u, double v, double height,
                     double width, struct gtv_texel colour)
{
    cairo_t *cr = canvas->colour;
    cairo_save(cr);
    cairo_select_font_face(cr, "DejaVu Sans Mono", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
    // Capitals of this family are .729 of its size.
    cairo_set_font_size(cr, 100.0);
    cairo_text_extents_t box;
    // Measured at a size that the font library can hold, not at 100 metres.
    cairo_save(cr);
    cairo_identity_matrix(cr);
    cairo_text_extents(cr, text, &box);
    cairo_restore(cr);
    cairo_translate(cr, u, v);
    cairo_scale(cr, 1.0, -1.0);
    double up = height / 72.9, across = width > 0.0 ? width / box.width : up;
    cairo_scale(cr, across, up);
    cairo_move_to(cr, -box.width / 2 - box.x_bearing, 72.9 / 2);
    cairo_text_path(cr, text);
    cairo_restore(cr);
    gtv_canvas_fill(canvas, colour);
}

static void shrink(struct gtv_texture *t, int level)
{
    int w = t->level[level - 1].w, h = t->level[level - 1].h;
    const uint8_t *from = t->level[level - 1].rgba;
    int nw = w > 1 ? w / 2 : 1, nh = h > 1 ? h / 2 : 1;
    uint8_t *to = gtv_street_alloc((size_t)nw * (size_t)nh, 4);
    for (int y = 0; y < nh; y++)
        for (int x = 0; x < nw; x++)
            for (int k = 0; k < 4; k++) {
                int x1 = 2 * x + 1 < w ? 2 * x + 1 : w - 1, y1 = 2 * y + 1 < h ? 2 * y + 1 : h - 1;
                int x0 = 2 * x < w ? 2 * x : w - 1, y0 = 2 * y < h ? 2 * y : h - 1;
                int sum = from[(y0 * w + x0) * 4 + k] + from[(y0 * w + x1) * 4 + k] +
                          from[(y1 * w + x0) * 4 + k] + from[(y1 * w + x1) * 4 + k];
                to[(y * nw + x) * 4 + k] = (uint8_t)((sum + 2) / 4);
            }
    t->level[level].w = nw;
    t->level[level].h = nh;
    t->level[level].rgba = to;
}

struct gtv_texture *gtv_canvas_finish(struct gtv_canvas *canvas)
{
    struct gtv_texture *t = gtv_street_alloc(1, sizeof *t);
    t->u0 = canvas->u0;
    t->v1 = canvas->v1;
    t->per_metre = canvas->per_metre;
    t->level[0].w = canvas->w;
    t->level[0].h = canvas->h;
    t->level[0].rgba = gtv_street_alloc((size_t)canvas->w * (size_t)canvas->h, 4);
    cairo_surface_flush(canvas->colour_surface);
    cairo_surface_flush(canvas->gloss_surface);
    int stride = cairo_image_surface_get_stride(canvas->colour_surface);
    const unsigned char *colour = cairo_image_surface_get_data(canvas->colour_surface);
    const unsigned char *gloss = cairo_image_surface_get_data(canvas->gloss_surface);
    for (int y = 0; y < canvas->h; y++)
        for (int x = 0; x < canvas->w; x++) {
            // Cairo keeps a pixel as one native word: blue is its lowest byte on this machine's order.
            const unsigned char *c = colour + y * stride + x * 4;
            uint8_t *to = t->level[0].rgba + (y * canvas->w + x) * 4;
            to[0] = c[2];
            to[1] = c[1];
            to[2] = c[0];
            to[3] = gloss[y * stride + x * 4];
        }
    for (t->levels = 1; t->levels < GTV_TEXTURE_LEVELS; t->levels++)
        shrink(t, t->levels);
    cairo_destroy(canvas->colour);
    cairo_destroy(canvas->gloss);
    cairo_surface_destroy(canvas->colour_surface);
    cairo_surface_destroy(canvas->gloss_surface);
    free(canvas);
    return t;
}

void gtv_texture_destroy(struct gtv_texture *texture)
{
    if (texture == NULL)
        return;
    for (int i = 0; i < texture->levels; i++)
        free(texture->level[i].rgba);
    free(texture);
}

int gtv_texture_level(const struct gtv_texture *texture, double pixels_per_metre)
{
    double ratio = texture->per_metre / gtv_most(pixels_per_metre, 1e-6);
    int level = ratio <= 1.0 ? 0 : (int)floor(log2(ratio) + 0.3);
    return level < texture->levels ? level : texture->levels - 1;
}

struct gtv_texel gtv_texture_sample(const struct gtv_texture *t, int level, double u, double v)
{
    int w = t->level[level].w, h = t->level[level].h;
    double scale = t->per_metre / (double)(1 << level);
    double x = gtv_clamp((u - t->u0) * scale - 0.5, 0.0, (double)w - 1.001);
    double y = gtv_clamp((t->v1 - v) * scale - 0.5, 0.0, (double)h - 1.001);
    int xi = w > 1 ? (int)x : 0, yi = h > 1 ? (int)y : 0;
    double fx = x - (double)xi, fy = y - (double)yi;
    const uint8_t *p = t->level[level].rgba + (yi * w + xi) * 4;
    const uint8_t *q = p + (h > 1 ? w * 4 : 0);
    int right = w > 1 ? 4 : 0;
    double c[4];
    for (int k = 0; k < 4; k++)
        c[k] = ((p[k] * (1.0 - fx) + p[k + right] * fx) * (1.0 - fy) +
                (q[k] * (1.0 - fx) + q[k + right] * fx) * fy) /
               255.0;
    return (struct gtv_texel){c[0], c[1], c[2], c[3]};
}
