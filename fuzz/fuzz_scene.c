// A camera's analysis settings and a scene's saved state. What is accepted must be written and read back to
// the same text, and must carry vehicles across without harm.
#include "services/ai/scene/scene.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(const struct gtv_scene_settings *s)
{
    static struct gtv_scene_settings again;
    struct gtv_error err = {0};
    struct gtv_bytes *text = gtv_scene_settings_text(s);
    if (!text)
        return;
    if (!gtv_scene_settings_read(gtv_bytes_str(text), &again, &err))
        abort();
    struct gtv_bytes *same = gtv_scene_settings_text(&again);
    if (!same || same->len != text->len || memcmp(same->data, text->data, text->len) != 0)
        abort();
    gtv_bytes_unref(same);
    gtv_bytes_unref(text);
}

static void drive(struct gtv_scene *scene)
{
    static struct gtv_happening out[GTV_SCENE_MAX_HAPPENINGS];
    struct gtv_track t = {.id = 5, .vehicle = GTV_BUS, .confidence = 0.5, .first_ms = 1000};
    for (int i = 0; i < 8; i++) {
        t.box = (struct gtv_track_box){i * 50.0 - 40, 60 - i * 5.0, 60, 40};
        if (i == 0)
            t.first = t.box;
        struct gtv_track_event e = {i == 7 ? GTV_TRACK_ENDED : GTV_TRACK_UPDATED, &t};
        if (gtv_scene_update(scene, &e, 1, 1000 + i * 4000, 320, 240, out) > GTV_SCENE_MAX_HAPPENINGS)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gtv_scene_settings s;
    static uint8_t rgb[32 * 24 * 3];
    struct gtv_error err = {0};
    if (size == 0)
        return 0;
    struct gtv_str text = {(const char *)data + 1, size - 1};
    bool state = data[0] == 's';
    if (state)
        gtv_scene_settings_init(&s);
    else if (!gtv_scene_settings_read(text, &s, &err))
        return 0;
    struct gtv_scene *scene = gtv_scene_create(&s);
    if (!state)
        write_and_read(&s);
    else if (!gtv_scene_load(scene, text, &err) && !err.code)
        abort();
    gtv_scene_blacken(&s, rgb, 32, 24, 96, 0, 0, 1, 1);
    drive(scene);
    struct gtv_bytes *saved = gtv_scene_save(scene);
    if (!saved || !gtv_scene_load(scene, gtv_bytes_str(saved), &err))
        abort();
    gtv_bytes_unref(saved);
    gtv_scene_destroy(scene);
    return 0;
}
