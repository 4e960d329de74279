#include "plate.h"

#include <string.h>

static const struct gtv_texel BLACK = {0.05, 0.05, 0.06, 0.1};
static const struct gtv_texel BLUE = {0.05, 0.16, 0.52, 0.1};
static const struct gtv_texel PLAIN = {0.95, 0.95, 0.95, 0.1};
static const struct gtv_texel GREY = {0.74, 0.75, 0.76, 0.1};

// One or two lines of text between the heights `low` and `high`.
static void letters(struct gtv_canvas *canvas, const char *text, bool two_lines, bool dash, double w,
                    double low, double high)
{
    char upper[4] = {text[0], text[1], text[2], 0};
    double room = high - low;
    if (two_lines) {
        gtv_canvas_text(canvas, upper, 0, high - room * 0.27, room * 0.40, w * 0.70, BLACK);
        gtv_canvas_text(canvas, text + 3, 0, low + room * 0.27, room * 0.40, w * 0.86, BLACK);
        return;
    }
    if (dash) {
        gtv_canvas_text(canvas, upper, -w * 0.262, low + room / 2, room * 0.74, w * 0.37, BLACK);
        gtv_canvas_text(canvas, text + 3, w * 0.215, low + room / 2, room * 0.74, w * 0.49, BLACK);
        gtv_canvas_rect(canvas, -w * 0.055, low + room * 0.46, -w * 0.035, low + room * 0.54, 0, BLACK);
        return;
    }
    gtv_canvas_text(canvas, text, 0, low + room / 2, room * 0.78, w * 0.90, BLACK);
}

struct gtv_texture *gtv_plate_paint(const char *text, enum gtv_plate_format format, bool two_lines, double *w,
                                    double *h)
{
    bool old = format == GTV_PLATE_OLD;
    *w = two_lines ? 0.26 * GTV_PLATE_ENLARGED_SMALL : 0.40 * GTV_PLATE_ENLARGED;
    *h = two_lines ? 0.22 * GTV_PLATE_ENLARGED_SMALL : 0.135 * GTV_PLATE_ENLARGED;
    double x = *w / 2, y = *h / 2, edge = *h * 0.03, band = *h * (two_lines ? 0.17 : 0.22);
    struct gtv_canvas *canvas = gtv_canvas_create(-x, -y, x, y, 900.0, BLACK);
    gtv_canvas_rect(canvas, -x + edge, -y + edge, x - edge, y - edge, edge, old ? GREY : PLAIN);
    if (old) {
        gtv_canvas_text(canvas, "SP-SAO PAULO", 0, y - band * 0.60, band * 0.42, *w * 0.48, BLACK);
    } else {
        gtv_canvas_rect(canvas, -x + edge, y - band, x - edge, y - edge, 0, BLUE);
        gtv_canvas_text(canvas, "BRASIL", 0, y - band * 0.56, band * 0.50, *w * 0.26, PLAIN);
    }
    letters(canvas, text, two_lines, old && !two_lines, *w, -y + edge * 2, y - band);
    return gtv_canvas_finish(canvas);
}
