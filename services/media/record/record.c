#include "services/media/record/record.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/media/record/internal.h"
#include "services/media/record/recorder.h"
#include "services/media/record/recordings.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Folders of recordings are compared with names found on the disk: one spelling.
static char *whole_root(const char *root)
{
    char here[PATH_MAX];
    while (root[0] == '.' && root[1] == '/') {
        root += 2;
    }
    if (root[0] == '/' || getcwd(here, sizeof here) == NULL) {
        return gtv_strdup(root);
    }
    return strcmp(root, ".") == 0 ? gtv_strdup(here) : gtv_asprintf("%s/%s", here, root);
}

struct gtv_record *gtv_record_create(struct gtv_loop *loop, const struct gtv_record_options *options,
                                     struct gtv_metrics *metrics)
{
    struct gtv_record *r = GTV_NEW(struct gtv_record);
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow is an error of the write, not our end
    char *root = whole_root(options->root);
    r->log = (struct gtv_log){"media", NULL, NULL};
    r->loop = loop;
    r->index = gtv_record_index_create(root);
    struct gtv_disk_config config = {root, options->max_bytes, options->min_free_bytes,
                                     options->max_queue_bytes};
    r->disk = gtv_disk_create(&config, r->index, loop, metrics);
    free(root);
    r->recorders = gtv_map_create();
    r->dropped = gtv_metrics_counter(metrics, "gtv_media_record_dropped_samples_total", "",
                                     "Pictures and sound that could not be recorded.");
    return r;
}

static void free_recorder(void *value)
{
    gtv_path_detach(gtv_recorder_reader(value));
    gtv_recorder_destroy(value);
}

void gtv_record_stop(struct gtv_record *r)
{
    if (r->recorders != NULL) {
        gtv_map_destroy(r->recorders, free_recorder);
        r->recorders = NULL;
        gtv_disk_stop(r->disk);
    }
}

void gtv_record_destroy(struct gtv_record *r)
{
    if (r == NULL) {
        return;
    }
    gtv_record_stop(r);
    gtv_disk_destroy(r->disk);
    gtv_record_index_destroy(r->index);
    free(r);
}

static void set_recorder(struct gtv_record *r, struct gtv_path *p, const struct gtv_pathconf *conf)
{
    struct gtv_str name = gtv_str_of(conf->name);
    struct gtv_recorder *recorder = gtv_map_get(r->recorders, name);
    struct gtv_error err = {0};
    if (!conf->record) {
        if (recorder != NULL) {
            free_recorder(gtv_map_remove(r->recorders, name));
        }
        return;
    }
    if (recorder == NULL) {
        recorder = gtv_recorder_create(r->disk, conf, r->dropped);
        gtv_map_put(r->recorders, name, recorder);
    } else {
        gtv_recorder_configure(recorder, conf);
    }
    if (gtv_recorder_reader(recorder)->path != p) {
        gtv_path_detach(gtv_recorder_reader(recorder));
        if (!gtv_path_attach(p, gtv_recorder_reader(recorder), true, &err)) {
            gtv_log_warn(&r->log, "the path cannot be recorded", "path=%s error=\"%s\"", conf->name,
                         err.message);
        }
    }
}

void gtv_record_path_set(struct gtv_record *r, struct gtv_path *p, const struct gtv_pathconf *conf)
{
    if (r->recorders == NULL) {
        return;
    }
    struct gtv_record_limits limits = {conf->record_delete_after_ms, conf->record_quota};
    if (gtv_record_index_path_set(r->index, gtv_str_of(conf->name), conf->record_path, &limits)) {
        gtv_disk_scan(r->disk, conf->name, conf->record_path);
    }
    set_recorder(r, p, conf);
}

void gtv_record_path_removed(struct gtv_record *r, struct gtv_str name)
{
    struct gtv_recorder *recorder = r->recorders != NULL ? gtv_map_remove(r->recorders, name) : NULL;
    if (recorder != NULL) {
        free_recorder(recorder);
    }
    gtv_record_index_path_remove(r->index, name);
}

void gtv_record_get_status(struct gtv_record *r, struct gtv_str name, struct gtv_record_status *out)
{
    static const char *const names[] = {"off", "waiting", "recording", "failed"};
    *out = (struct gtv_record_status){.state = GTV_RECORD_OFF};
    const struct gtv_recorder *recorder = r->recorders != NULL ? gtv_map_get(r->recorders, name) : NULL;
    if (recorder != NULL) {
        gtv_recorder_get_status(recorder, out);
    }
    (void)gtv_record_index_totals(r->index, name, &out->files, &out->bytes);
    out->state_name = names[out->state];
}

// ---- What the control API asks for ----

char **gtv_recordings_names(struct gtv_record *r, size_t *n)
{
    return gtv_record_index_names(r->index, n);
}

int64_t *gtv_recordings_starts(struct gtv_record *r, struct gtv_str name, size_t *n)
{
    struct gtv_record_info *list = gtv_record_index_list(r->index, name, 0, INT64_MAX, n);
    int64_t *starts = *n > 0 ? gtv_alloc(*n * sizeof *starts) : NULL;
    for (size_t i = 0; i < *n; i++) {
        starts[i] = gtv_ticks_to_us(list[i].start);
    }
    free(list);
    return starts;
}

void gtv_recordings_delete(struct gtv_record *r, struct gtv_str name, int64_t start_us,
                           void (*done)(void *arg, const struct gtv_error *err), void *arg)
{
    gtv_disk_delete(r->disk, name, gtv_us_to_ticks(start_us), done, arg);
}

const char *gtv_record_time_write(int64_t us, char out[GTV_RECORD_TIME_CAP])
{
    char seconds[GTV_ISO8601_CAP], text[64];
    gtv_iso8601_utc(us / 1000000 * 1000, seconds);
    int n = snprintf(text, sizeof text, "%.19s.%06" PRId64, seconds, us % 1000000);
    while (n > 0 && text[n - 1] == '0') {
        n--;
    }
    n -= n > 0 && text[n - 1] == '.';
    snprintf(out, GTV_RECORD_TIME_CAP, "%.*sZ", n, text);
    return out;
}

bool gtv_record_time_parse(struct gtv_str text, int64_t *us)
{
    // The fraction is taken out, for the house's parser knows milliseconds.
    char whole[64];
    ptrdiff_t dot = gtv_str_find(text, '.');
    size_t end = dot < 0 ? text.n : (size_t)dot + 1;
    int64_t fraction = 0, unit = 100000, ms = 0;
    for (; dot >= 0 && end < text.n && text.p[end] >= '0' && text.p[end] <= '9'; end++) {
        fraction += (text.p[end] - '0') * unit;
        unit /= 10;
    }
    size_t before = dot < 0 ? text.n : (size_t)dot, after = text.n - end;
    if (before + after >= sizeof whole || (dot >= 0 && end == (size_t)dot + 1)) {
        return false;
    }
    memcpy(whole, text.p, before);
    memcpy(whole + before, text.p + end, after);
    if (!gtv_iso8601_parse((struct gtv_str){whole, before + after}, &ms) || ms < 0) {
        return false;
    }
    *us = ms * 1000 + fraction;
    return true;
}
