// A database in a folder of its own, gone afterwards.
#ifndef GTV_TESTS_UNIT_CONSOLE_FOLDER_H
#define GTV_TESTS_UNIT_CONSOLE_FOLDER_H

#include "services/console/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct folder {
    char path[64];
    char url[128];
};

static inline void folder_make(struct folder *f)
{
    snprintf(f->path, sizeof f->path, "/tmp/gtv-console-XXXXXX");
    if (!mkdtemp(f->path))
        abort();
    snprintf(f->url, sizeof f->url, "sqlite:%s/sub/console.db", f->path);
}

static inline void folder_remove(const struct folder *f)
{
    static const char *const files[] = {"/sub/console.db", "/sub/console.db-wal", "/sub/console.db-shm",
                                        "/sub", ""};
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s%s", f->path, files[i]);
        (void)remove(path);
    }
}

static inline struct gtv_db_detection row(int64_t camera, int64_t ms, const char *type, const char *plate,
                                          const char *event, int index)
{
    struct gtv_db_detection d = {.camera_id = camera,
                                 .wall_ms = ms,
                                 .object = {.confidence = 0.75, .x = 1, .y = 2, .w = 3, .h = 4},
                                 .frame_width = 1280,
                                 .frame_height = 720,
                                 .event_index = index};
    snprintf(d.camera_name, sizeof d.camera_name, "Câmera %d", (int)camera);
    snprintf(d.object.object_type, sizeof d.object.object_type, "%s", type);
    snprintf(d.plate, sizeof d.plate, "%s", plate);
    snprintf(d.event, sizeof d.event, "%s", event);
    return d;
}

#endif
