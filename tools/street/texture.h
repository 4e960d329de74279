// Pictures painted in metres with cairo, carrying a gloss beside their colour.
#ifndef GTV_STREET_TEXTURE_H
#define GTV_STREET_TEXTURE_H

#include <cairo.h>
#include <stddef.h>
#include <stdint.h>

#define GTV_TEXTURE_LEVELS 8

// Colour in 0..1 (as seen, not linear) and gloss in 0..1.
struct gtv_texel {
    double r, g, b, gloss;
};

struct gtv_texture {
    double u0, v1, per_metre; // the upper left corner, and texels a metre
    int levels;
    struct {
        int w, h;
        uint8_t *rgba; // red, green, blue, gloss
    } level[GTV_TEXTURE_LEVELS];
};

struct gtv_canvas;

// A canvas over u0..u1 (to the right) and v0..v1 (upwards), in metres, filled with one colour.
struct gtv_canvas *gtv_canvas_create(double u0, double v0, double u1, double v1, double per_metre,
                                     struct gtv_texel base);

// The cairo context on which paths are made, in metres.
cairo_t *gtv_canvas_path(struct gtv_canvas *canvas);

// Fill, or stroke with a line of `width` metres, the path made; the path is then gone.
void gtv_canvas_fill(struct gtv_canvas *canvas, struct gtv_texel colour);
void gtv_canvas_stroke(struct gtv_canvas *canvas, double width, struct gtv_texel colour);

// Shapes, filled.
void gtv_canvas_rect(struct gtv_canvas *canvas, double u0, double v0, double u1, double v1, double round,
                     struct gtv_texel colour);
void gtv_canvas_disc(struct gtv_canvas *canvas, double u, double v, double radius, struct gtv_texel colour);
void gtv_canvas_polygon(struct gtv_canvas *canvas, const double (*corner)[2], size_t n,
                        struct gtv_texel colour);
void gtv_canvas_line(struct gtv_canvas *canvas, double u0, double v0, double u1, double v1, double width,
                     struct gtv_texel colour);

// Text centred on (u, v), `height` metres tall (capital letters) and, if not 0, fitted to `width`.
void gtv_canvas_text(struct gtv_canvas *canvas, const char *text, double u, double v, double height,
                     double width, struct gtv_texel colour);

// The finished texture with its smaller levels; the canvas is gone.
struct gtv_texture *gtv_canvas_finish(struct gtv_canvas *canvas);

void gtv_texture_destroy(struct gtv_texture *texture);

// The texel at (u, v) metres on a level, blended between neighbours.
struct gtv_texel gtv_texture_sample(const struct gtv_texture *texture, int level, double u, double v);

// The level that fits a picture of so many pixels a metre.
int gtv_texture_level(const struct gtv_texture *texture, double pixels_per_metre);

#endif
