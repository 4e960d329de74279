#include "services/ai/picture/draw.h"

#include "services/ai/picture/font.h"

enum {
    ADVANCE = GTV_FONT_WIDTH + 1, // from letter to letter
    LINE = GTV_FONT_HEIGHT + 2,   // with a point above and below
    FAR = 1 << 28,                // coordinates beyond it mean the same, and sums of them do not overflow
};

static int tame(int v)
{
    return v < -FAR ? -FAR : v > FAR ? FAR : v;
}

static void fill(struct gtv_image *image, int x0, int y0, int x1, int y1, struct gtv_draw_color color)
{
    x0 = x0 < 0 ? 0 : x0;
    y0 = y0 < 0 ? 0 : y0;
    x1 = x1 > image->width ? image->width : x1;
    y1 = y1 > image->height ? image->height : y1;
    for (int y = y0; y < y1; y++) {
        uint8_t *p = image->rgb + (size_t)y * image->stride + (size_t)x0 * 3;
        for (int x = x0; x < x1; x++, p += 3) {
            p[0] = color.r;
            p[1] = color.g;
            p[2] = color.b;
        }
    }
}

int gtv_draw_text_height(int scale)
{
    return LINE * scale;
}

int gtv_draw_text_width(struct gtv_str text, int scale)
{
    return text.n > 256 ? 256 * ADVANCE * scale : (int)text.n * ADVANCE * scale;
}

int gtv_draw_scale(int width, int height)
{
    int side = width < height ? width : height;
    int scale = (side + 180) / 360;
    return scale < 1 ? 1 : scale > 12 ? 12 : scale;
}

void gtv_draw_rect(struct gtv_image *image, int x, int y, int w, int h, int thickness,
                   struct gtv_draw_color color)
{
    x = tame(x);
    y = tame(y);
    int right = x + tame(w), bottom = y + tame(h), t = tame(thickness);
    if (right <= x || bottom <= y || t < 1)
        return;
    if (right - x <= 2 * t || bottom - y <= 2 * t) {
        fill(image, x, y, right, bottom, color);
        return;
    }
    fill(image, x, y, right, y + t, color);
    fill(image, x, bottom - t, right, bottom, color);
    fill(image, x, y + t, x + t, bottom - t, color);
    fill(image, right - t, y + t, right, bottom - t, color);
}

void gtv_draw_text(struct gtv_image *image, int x, int y, int scale, struct gtv_str text,
                   struct gtv_draw_color color)
{
    static const uint8_t unknown[GTV_FONT_HEIGHT] = {0x1f, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1f};
    x = tame(x);
    y = tame(y);
    for (size_t i = 0; i < text.n && i < 256 && x < image->width; i++, x += ADVANCE * scale) {
        char c = text.p[i];
        bool known = c >= GTV_FONT_FIRST && c <= GTV_FONT_LAST;
        const uint8_t *glyph = known ? gtv_font[c - GTV_FONT_FIRST] : unknown;
        for (int row = 0; row < GTV_FONT_HEIGHT; row++) {
            for (int col = 0; col < GTV_FONT_WIDTH; col++) {
                if (!(glyph[row] & 1 << (GTV_FONT_WIDTH - 1 - col)))
                    continue;
                int left = x + col * scale, top = y + (row + 1) * scale;
                fill(image, left, top, left + scale, top + scale, color);
            }
        }
    }
}

// Black or white, whichever is read more easily on the colour.
static struct gtv_draw_color ink_on(struct gtv_draw_color c)
{
    int light = 299 * c.r + 587 * c.g + 114 * c.b;
    return light > 128000 ? (struct gtv_draw_color){0, 0, 0} : (struct gtv_draw_color){255, 255, 255};
}

void gtv_draw_box(struct gtv_image *image, int x, int y, int w, int h, struct gtv_str label,
                  struct gtv_draw_color color)
{
    int scale = gtv_draw_scale(image->width, image->height);
    gtv_draw_rect(image, x, y, w, h, scale + 1, color);
    if (label.n == 0)
        return;
    x = tame(x);
    y = tame(y);
    int wide = gtv_draw_text_width(label, scale) + scale, high = gtv_draw_text_height(scale);
    int left = x + wide > image->width ? image->width - wide : x;
    left = left < 0 ? 0 : left;
    int top = y >= high ? y - high : y < 0 ? 0 : y;
    fill(image, left, top, left + wide, top + high, color);
    gtv_draw_text(image, left + scale, top, scale, label, ink_on(color));
}

struct gtv_draw_color gtv_draw_kind_color(int kind)
{
    // Blue, orange, green and pink that people with any colour vision tell apart.
    static const struct gtv_draw_color colors[] = {
        {0, 114, 178}, {230, 159, 0}, {0, 158, 115}, {204, 121, 167}};
    return colors[(unsigned)kind % (sizeof(colors) / sizeof(colors[0]))];
}
