#include "services/ai/watch/plate_teller.h"

#include "lib/contract/plate.h"
#include "services/ai/picture/jpeg_write.h"

#include <stdlib.h>

enum {
    QUALITY = 88,
    MAX_PIXELS = 16 << 20, // of a part of the frame
};

// ---- Parts ----

bool gtv_plate_part_cut(const AVFrame *frame, const int box[4], int margin_percent,
                        const struct gtv_scene_settings *settings, struct gtv_plate_part *part)
{
    int mx = box[2] * margin_percent / 100, my = box[3] * margin_percent / 100;
    int left = box[0] - mx, top = box[1] - my, right = box[0] + box[2] + mx, bottom = box[1] + box[3] + my;
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    right = right > frame->width ? frame->width : right;
    bottom = bottom > frame->height ? frame->height : bottom;
    *part = (struct gtv_plate_part){.x = left, .y = top, .w = right - left, .h = bottom - top};
    if (part->w < 16 || part->h < 16 || (int64_t)part->w * part->h > MAX_PIXELS)
        return false;
    part->rgb = malloc((size_t)part->w * (size_t)part->h * 3);
    if (!part->rgb || !gtv_frame_crop(frame, part->x, part->y, part->w, part->h, part->rgb)) {
        free(part->rgb);
        return false;
    }
    gtv_scene_blacken(settings, part->rgb, part->w, part->h, (size_t)part->w * 3,
                      (double)part->x / frame->width, (double)part->y / frame->height,
                      (double)part->w / frame->width, (double)part->h / frame->height);
    return true;
}

// The plate with half its width and its whole height around it.
static struct gtv_bytes *close_up(const struct gtv_plate_part *part, const struct gtv_plate *plate)
{
    int left = plate->x - plate->w / 2, right = plate->x + plate->w + plate->w / 2;
    int top = plate->y - plate->h, bottom = plate->y + 2 * plate->h;
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    right = right > part->w ? part->w : right;
    bottom = bottom > part->h ? part->h : bottom;
    if (right <= left || bottom <= top)
        return NULL;
    size_t stride = (size_t)part->w * 3;
    return gtv_jpeg_encode(part->rgb + (size_t)top * stride + (size_t)left * 3, right - left, bottom - top,
                           stride, QUALITY);
}

// ---- The best reading ----

void gtv_plate_best_note(struct gtv_plate_best *b, const struct gtv_plates_look *look,
                         const struct gtv_plate_part *part, const int box[4], const struct gtv_plate *plate,
                         bool picture)
{
    const int at[4] = {plate->x + part->x, plate->y + part->y, plate->w, plate->h};
    b->wall_ms = look->wall_ms;
    b->width = look->frame->width;
    b->height = look->frame->height;
    memcpy(b->plate, at, sizeof(b->plate));
    memcpy(b->box, box ? box : at, sizeof(b->box));
    gtv_bytes_unref(b->jpeg);
    b->jpeg = picture ? close_up(part, plate) : NULL;
}

void gtv_plate_best_finish(struct gtv_plate_best *b)
{
    gtv_bytes_unref(b->jpeg);
    *b = (struct gtv_plate_best){0};
}

// ---- Telling ----

static void tell_new(struct gtv_plate_teller *t, const struct gtv_plate_best *best,
                     const struct gtv_happening_event *about, uint64_t name,
                     const struct gtv_scene_settings *settings, const struct gtv_plate_verdict *verdict)
{
    const struct gtv_track_plates_config *config = t->config;
    char plate_key[GTV_PLATE_KEY_MAX + 1], crop[GTV_STORE_NAME_CAP], close[GTV_STORE_NAME_CAP];
    bool crops = config->store && settings->crops;
    bool brazilian = verdict->format >= GTV_PLATE_FORMAT_OLD;
    struct gtv_plate_said said = {
        .number = verdict->text,
        .format = gtv_plate_format_names[verdict->format],
        .key = gtv_plate_key(gtv_str_of(verdict->text), plate_key) ? plate_key : NULL,
        .confidence = verdict->confidence,
        .uncertain = !verdict->sure,
        .votes = brazilian ? verdict->readings : verdict->votes,
        .box = best->plate,
    };
    if (crops && best->jpeg) {
        gtv_store_plate_name(config->camera_id, best->wall_ms, name, close);
        if (gtv_store_put(config->store, close, best->jpeg))
            said.crop = close;
    }
    if (crops && about->track)
        gtv_shots_keep(config->shots, about->track);
    struct gtv_happening_event e = *about;
    e.type = "plate.read";
    e.camera_id = config->camera_id;
    e.wall_ms = best->wall_ms;
    e.width = best->width;
    e.height = best->height;
    e.x = best->box[0];
    e.y = best->box[1];
    e.w = best->box[2];
    e.h = best->box[3];
    e.seconds = -1;
    e.degrees = -1;
    // Where there is no picture of a vehicle the plate's own stands in: an alert has something to look at.
    e.crop = crops && about->track && gtv_shots_name(config->shots, about->track, crop) ? crop : said.crop;
    e.plate = &said;
    gtv_counter_add(verdict->sure ? config->meters->sure : config->meters->uncertain, 1);
    config->tell(config->arg, &e);
}

void gtv_plate_tell(struct gtv_plate_teller *t, const struct gtv_plate_best *best,
                    const struct gtv_happening_event *about, uint64_t name,
                    const struct gtv_scene_settings *settings, const struct gtv_plate_verdict *verdict,
                    int64_t wall_ms, char text[GTV_PLATE_TEXT_CAP])
{
    bool was_sure = false;
    const char *before = gtv_plate_recent_find(&t->recent, verdict, wall_ms, &was_sure);
    if (before) {
        char same[GTV_PLATE_TEXT_CAP];
        memcpy(same, before, sizeof(same));
        gtv_plate_recent_note(&t->recent, same, was_sure, wall_ms);
        if (was_sure)
            memcpy(text, same, sizeof(same));
        gtv_counter_add(t->config->meters->again, 1);
    } else {
        tell_new(t, best, about, name, settings, verdict);
        if (verdict->sure)
            memcpy(text, verdict->text, GTV_PLATE_TEXT_CAP);
        gtv_plate_recent_note(&t->recent, verdict->text, verdict->sure, wall_ms);
    }
}
