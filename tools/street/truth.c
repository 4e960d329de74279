#include "truth.h"

#include <stdio.h>
#include <stdlib.h>

#include "backdrop.h"

// Less of a vehicle than this does not count as being there.
#define VISIBLE_LEAST 0.005

// The counting lines lie across the road at these distances along the street, in metres.
static const double LINE_AT[] = {9.5, 14.0};
#define LINES ((int)(sizeof LINE_AT / sizeof LINE_AT[0]))

struct gtv_truth {
    const struct gtv_film *film;
    double line[LINES][4];
    struct gtv_seen *seen; // a row of passes for each frame
};

static struct gtv_seen *seen_at(const struct gtv_truth *truth, int frame, int pass)
{
    return &truth->seen[frame * gtv_pass_count + pass];
}

struct gtv_truth *gtv_truth_create(const struct gtv_film *film)
{
    struct gtv_truth *truth = gtv_street_alloc(1, sizeof *truth);
    truth->film = film;
    truth->seen = gtv_street_alloc((size_t)(GTV_STREET_FRAMES * gtv_pass_count), sizeof *truth->seen);
    for (int i = 0; i < LINES; i++) {
        double depth, *l = truth->line[i];
        const struct gtv_camera *camera = gtv_film_camera(film);
        gtv_camera_project(camera, gtv_vec_make(LINE_AT[i], GTV_ROAD_NEAR, 0), &l[0], &l[1], &depth);
        gtv_camera_project(camera, gtv_vec_make(LINE_AT[i], GTV_ROAD_FAR, 0), &l[2], &l[3], &depth);
    }
    return truth;
}

void gtv_truth_destroy(struct gtv_truth *truth)
{
    if (truth == NULL)
        return;
    free(truth->seen);
    free(truth);
}

void gtv_truth_add(struct gtv_truth *truth, int frame, const struct gtv_seen *seen)
{
    for (int i = 0; i < gtv_pass_count; i++) {
        struct gtv_seen *to = seen_at(truth, frame, i);
        *to = seen[i];
        if (to->visible < VISIBLE_LEAST)
            to->present = false;
    }
}

// Which side of the line the middle of the whole box's lower edge is on, in pixels off the line.
static double side_of(const double l[4], const struct gtv_seen *s)
{
    double x = (s->whole[0] + s->whole[2]) / 2, y = s->whole[3], dx = l[2] - l[0], dy = l[3] - l[1];
    return ((x - l[0]) * dy - (y - l[1]) * dx) / hypot(dx, dy);
}

static void write_crossings(const struct gtv_truth *truth, int pass, FILE *out)
{
    const char *comma = "";
    for (int i = 0; i < LINES; i++) {
        for (int f = 1; f < GTV_STREET_FRAMES; f++) {
            const struct gtv_seen *before = seen_at(truth, f - 1, pass), *now = seen_at(truth, f, pass);
            if (!before->present || !now->present)
                continue;
            double a = side_of(truth->line[i], before), b = side_of(truth->line[i], now);
            if ((a < 0.0) == (b < 0.0))
                continue;
            double t = ((double)(f - 1) + a / (a - b)) / GTV_STREET_FPS;
            fprintf(out, "%s{\"line\":\"line_%d\",\"t_s\":%.3f}", comma, i + 1, t);
            comma = ",";
        }
    }
}

static void write_plate(const struct gtv_seen *s, FILE *out)
{
    if (!s->plate) {
        fputs("null", out);
        return;
    }
    double box[4] = {1e9, 1e9, -1e9, -1e9};
    for (int k = 0; k < 4; k++) {
        box[0] = fmin(box[0], s->corner[k][0]);
        box[1] = fmin(box[1], s->corner[k][1]);
        box[2] = fmax(box[2], s->corner[k][0]);
        box[3] = fmax(box[3], s->corner[k][1]);
    }
    fprintf(out, "{\"x\":%.1f,\"y\":%.1f,\"w\":%.1f,\"h\":%.1f,\"corners\":[", box[0], box[1],
            box[2] - box[0], box[3] - box[1]);
    for (int k = 0; k < 4; k++)
        fprintf(out, "%s[%.1f,%.1f]", k ? "," : "", s->corner[k][0], s->corner[k][1]);
    fputs("]}", out);
}

static void write_boxes(const struct gtv_truth *truth, int pass, FILE *out)
{
    const char *comma = "";
    for (int f = 0; f < GTV_STREET_FRAMES; f++) {
        const struct gtv_seen *s = seen_at(truth, f, pass);
        if (!s->present)
            continue;
        bool whole =
            s->whole[0] >= 0 && s->whole[1] >= 0 && s->whole[2] == s->box[2] && s->whole[3] == s->box[3];
        fprintf(out,
                "%s\n{\"frame\":%d,\"t\":%.3f,\"x\":%.1f,\"y\":%.1f,\"w\":%.1f,\"h\":%.1f,\"whole\":%s,"
                "\"visible\":%.3f,\"plate\":",
                comma, f, (double)f / GTV_STREET_FPS, s->box[0], s->box[1], s->box[2] - s->box[0],
                s->box[3] - s->box[1], whole ? "true" : "false", s->visible);
        write_plate(s, out);
        fputc('}', out);
        comma = ",";
    }
}

static void write_vehicle(const struct gtv_truth *truth, int pass, FILE *out)
{
    const struct gtv_pass *p = &gtv_passes[pass];
    int first = -1, last = -1;
    for (int f = 0; f < GTV_STREET_FRAMES; f++) {
        if (!seen_at(truth, f, pass)->present)
            continue;
        first = first < 0 ? f : first;
        last = f;
    }
    fprintf(out,
            "{\"id\":\"v%02d\",\"class\":\"%s\",\"colour\":\"%s\",\"plate\":\"%s\",\"plate_format\":\"%s\","
            "\"plate_lines\":%d,\"direction\":\"%s\",\"enter_s\":%.3f,\"leave_s\":%.3f,\"crossings\":[",
            pass + 1, gtv_film_vehicle(truth->film, pass)->class_name, p->colour, p->order.plate,
            p->order.format == GTV_PLATE_OLD ? "old" : "mercosul",
            p->order.model == GTV_MODEL_MOTORCYCLE ? 2 : 1, p->away ? "away" : "toward",
            (double)first / GTV_STREET_FPS, (double)(last + 1) / GTV_STREET_FPS);
    write_crossings(truth, pass, out);
    fputs("],\"boxes\":[", out);
    write_boxes(truth, pass, out);
    fputs("]}", out);
}

bool gtv_truth_write(const struct gtv_truth *truth, const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "gtv-street: cannot write %s\n", path);
        return false;
    }
    const struct gtv_camera *camera = gtv_film_camera(truth->film);
    fprintf(
        out,
        "{\"version\":1,\"fps\":%d,\"width\":%d,\"height\":%d,\"duration_s\":%.3f,\"frames\":%d,\"lines\":[",
        GTV_STREET_FPS, camera->width, camera->height, (double)GTV_STREET_FRAMES / GTV_STREET_FPS,
        GTV_STREET_FRAMES);
    for (int i = 0; i < LINES; i++)
        fprintf(out, "%s{\"id\":\"line_%d\",\"x1\":%.1f,\"y1\":%.1f,\"x2\":%.1f,\"y2\":%.1f}", i ? "," : "",
                i + 1, truth->line[i][0], truth->line[i][1], truth->line[i][2], truth->line[i][3]);
    fputs("],\"vehicles\":[\n", out);
    for (int i = 0; i < gtv_pass_count; i++) {
        fputs(i ? ",\n" : "", out);
        write_vehicle(truth, i, out);
    }
    fputs("]}\n", out);
    bool good = !ferror(out);
    if (fclose(out) != 0 || !good) {
        fprintf(stderr, "gtv-street: cannot write %s\n", path);
        return false;
    }
    return true;
}
