// Boxes and labels on RGB pictures.
#ifndef GTV_AI_DRAW_H
#define GTV_AI_DRAW_H

#include "services/ai/picture/image.h"

struct gtv_draw_color {
    uint8_t r, g, b;
};

// Height of a line of text at a scale (whole factor of the built-in 5x7 letters, 1 or more), and of a text's
// width, in pixels.
int gtv_draw_text_height(int scale);
int gtv_draw_text_width(struct gtv_str text, int scale);
// The scale at which labels are readable on a picture of this size.
int gtv_draw_scale(int width, int height);

// Everything is cut at the picture's edges; any coordinates are accepted.
void gtv_draw_rect(struct gtv_image *image, int x, int y, int w, int h, int thickness,
                   struct gtv_draw_color color);
// Upper-left corner of the text at x,y. Printable ASCII; anything else appears as a box.
void gtv_draw_text(struct gtv_image *image, int x, int y, int scale, struct gtv_str text,
                   struct gtv_draw_color color);
// A box with its label on a bar of the same colour: above the box where there is room, else inside it.
void gtv_draw_box(struct gtv_image *image, int x, int y, int w, int h, struct gtv_str label,
                  struct gtv_draw_color color);
// One colour for each kind of vehicle (enum gtv_vehicle), well told apart.
struct gtv_draw_color gtv_draw_kind_color(int kind);

#endif
