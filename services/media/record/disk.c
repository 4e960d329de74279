#include "services/media/record/disk.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/metrics/disk.h"
#include "services/media/record/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    KEEP_MS = 1000,  // between two looks at ages, quotas and free room
    DELETIONS = 16,  // at most at such a look: a deletion of a large file takes the disk for a while
    SYNC_MS = 200,   // parts wait at most so long for the disk to have them
    SCAN_FILES = 16, // between two looks at the queue
    ROOM_MS = 1000,  // between two looks at the room on a file's disk
};

enum job_kind { JOB_PART, JOB_CLOSE, JOB_SCAN, JOB_DELETE };

struct job {
    struct job *next;
    enum job_kind kind;
    struct gtv_recfile *file; // PART and CLOSE: a reference
    size_t bytes, n;
    int64_t key, end;
    char *name, *pattern; // SCAN and DELETE
    int64_t start;
    struct gtv_loop *loop;
    void (*done)(void *arg, const struct gtv_error *err);
    void *arg;
    struct gtv_error result;
    struct gtv_bytes *pieces[];
};

struct gtv_disk {
    struct gtv_log log;
    struct gtv_record_index *index;
    struct gtv_loop *loop;
    char *root;
    int64_t max_bytes, min_free_bytes;
    size_t max_queue_bytes;
    pthread_t thread;
    pthread_mutex_t lock; // guards the next four
    pthread_cond_t more;
    struct job *first, **last;
    size_t queued;
    bool stopping;
    // The thread's own.
    struct gtv_recfile *dirty; // written, but not yet on the disk
    int64_t dirty_since_ms;
    struct job *scans, **scans_last; // that wait
    struct gtv_scan *scan;
    int64_t kept_ms;
    struct gtv_counter *parts, *written, *deleted, *failed;
    struct gtv_gauge *waiting, *total;
    struct gtv_disk_gauges room;
    struct gtv_histogram *sync_seconds;
};

// ---- Queue ----

static void push(struct gtv_disk *d, struct job *j)
{
    pthread_mutex_lock(&d->lock);
    *d->last = j;
    d->last = &j->next;
    d->queued += j->bytes;
    pthread_cond_signal(&d->more);
    pthread_mutex_unlock(&d->lock);
}

static void job_free(struct job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        gtv_bytes_unref(j->pieces[i]);
    }
    gtv_recfile_unref(j->file);
    free(j->name);
    free(j->pattern);
    free(j);
}

bool gtv_disk_part(struct gtv_disk *d, struct gtv_recfile *f, struct gtv_bytes *const *pieces, size_t n,
                   int64_t key, int64_t end)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += pieces[i]->len + sizeof(struct gtv_bytes);
    }
    pthread_mutex_lock(&d->lock);
    bool fits = d->queued + bytes <= d->max_queue_bytes;
    pthread_mutex_unlock(&d->lock);
    if (!fits) {
        return false;
    }
    struct job *j = gtv_alloc(sizeof *j + n * sizeof(struct gtv_bytes *));
    *j = (struct job){
        .kind = JOB_PART, .file = gtv_recfile_ref(f), .bytes = bytes, .n = n, .key = key, .end = end};
    for (size_t i = 0; i < n; i++) {
        j->pieces[i] = gtv_bytes_ref(pieces[i]);
    }
    push(d, j);
    return true;
}

void gtv_disk_close(struct gtv_disk *d, struct gtv_recfile *f)
{
    struct job *j = GTV_NEW(struct job);
    *j = (struct job){.kind = JOB_CLOSE, .file = f};
    push(d, j);
}

void gtv_disk_scan(struct gtv_disk *d, const char *name, const char *pattern)
{
    struct job *j = GTV_NEW(struct job);
    *j = (struct job){.kind = JOB_SCAN, .name = gtv_strdup(name), .pattern = gtv_strdup(pattern)};
    push(d, j);
}

void gtv_disk_delete(struct gtv_disk *d, struct gtv_str name, int64_t start,
                     void (*done)(void *arg, const struct gtv_error *err), void *arg)
{
    struct job *j = GTV_NEW(struct job);
    *j = (struct job){.kind = JOB_DELETE,
                      .name = gtv_strndup(name),
                      .start = start,
                      .loop = d->loop,
                      .done = done,
                      .arg = arg};
    push(d, j);
}

// ---- Writing ----

static void fail_file(struct gtv_disk *d, struct gtv_recfile *f, int error)
{
    f->error = error != 0 ? error : EIO;
    gtv_counter_add(d->failed, 1);
}

static void remove_victim(struct gtv_disk *d, const struct gtv_record_victim *v)
{
    if (unlink(v->file) != 0 && errno != ENOENT) {
        gtv_log_warn(&d->log, "a recorded file could not be deleted", "path=%s file=\"%s\" errno=%d", v->name,
                     v->file, errno);
    } else {
        gtv_log_debug(&d->log, "a recorded file was deleted", "path=%s file=\"%s\" reason=%s", v->name,
                      v->file, v->reason);
        gtv_counter_add(d->deleted, 1);
    }
    // One that cannot be deleted is forgotten as well, or it would be tried for ever.
    gtv_record_index_remove(d->index, gtv_str_of(v->name), v->start);
}

// False when less is free than the floor and nothing is left to delete.
static bool has_room(struct gtv_disk *d, struct gtv_recfile *f)
{
    struct statvfs st;
    struct gtv_record_victim victim;
    int64_t now = gtv_mono_ms();
    if (d->min_free_bytes == 0 || (f->checked_ms != 0 && now - f->checked_ms < ROOM_MS)) {
        return true;
    }
    f->checked_ms = now;
    for (int i = 0; i < DELETIONS; i++) {
        if (fstatvfs(f->fd, &st) != 0 || st.f_bavail * st.f_frsize >= (uint64_t)d->min_free_bytes) {
            return true;
        }
        if (!gtv_record_index_oldest(d->index, &victim)) {
            return false;
        }
        remove_victim(d, &victim);
    }
    return true;
}

static void mark_dirty(struct gtv_disk *d, struct gtv_recfile *f)
{
    if (!f->dirty) {
        f->dirty = true;
        f->next_dirty = d->dirty;
        d->dirty_since_ms = d->dirty == NULL ? gtv_mono_ms() : d->dirty_since_ms;
        d->dirty = gtv_recfile_ref(f);
    }
}

static void sync_dirty(struct gtv_disk *d)
{
    while (d->dirty != NULL) {
        struct gtv_recfile *f = d->dirty;
        d->dirty = f->next_dirty;
        f->dirty = false;
        if (f->fd >= 0) {
            int64_t before = gtv_mono_ns();
            if (fdatasync(f->fd) != 0 && f->error == 0) {
                fail_file(d, f, errno);
            }
            gtv_histogram_observe(d->sync_seconds, (double)(gtv_mono_ns() - before) / 1e9);
        }
        gtv_recfile_unref(f);
    }
}

static void index_part(struct gtv_disk *d, struct gtv_recfile *f, const struct gtv_mp4_key *key)
{
    struct gtv_str name = gtv_str_of(f->name);
    int64_t duration = f->mark.origin + f->end - f->mark.start;
    if (!f->indexed) {
        struct gtv_record_info info = {f->mark.start, duration, f->size,
                                       gtv_record_init_hash(gtv_bytes_str(f->init), &f->head)};
        f->indexed = gtv_record_index_add(d->index, name, f->file, &info, true);
        f->start = info.start;
    }
    if (f->indexed) {
        gtv_record_index_grow(d->index, name, f->start, f->size, duration, key);
    }
}

static void end_file(struct gtv_disk *d, struct gtv_recfile *f)
{
    bool empty = f->keys.n == 0;
    if (f->fd < 0) {
        return;
    }
    gtv_recfile_close(f);
    if (f->indexed && empty) {
        gtv_record_index_remove(d->index, gtv_str_of(f->name), f->start);
    } else if (f->indexed) {
        gtv_record_index_close(d->index, gtv_str_of(f->name), f->start, f->size);
    }
}

static void write_part(struct gtv_disk *d, struct job *j)
{
    struct gtv_recfile *f = j->file;
    if (f->error != 0) {
        return; // the recorder will see it, and make another
    }
    if (f->fd < 0 && !gtv_recfile_open(f, d->root)) {
        fail_file(d, f, errno);
        return;
    }
    uint64_t at = f->size;
    bool room = has_room(d, f);
    if (!room || !gtv_recfile_append(f, j->pieces, j->n)) {
        fail_file(d, f, room ? errno : ENOSPC);
        end_file(d, f);
        return;
    }
    struct gtv_mp4_key key = {j->key, at};
    bool is_key = j->key != INT64_MIN;
    if (is_key && !gtv_mp4_keys_add(&f->keys, key)) {
        fail_file(d, f, ENOMEM);
    }
    f->end = j->end > f->end ? j->end : f->end;
    mark_dirty(d, f);
    index_part(d, f, is_key ? &key : NULL);
    gtv_counter_add(d->parts, 1);
    gtv_counter_add(d->written, f->size - at);
}

// ---- Other jobs ----

static void report(void *arg)
{
    struct job *j = arg;
    j->done(j->arg, j->result.code == GTV_OK ? NULL : &j->result);
    job_free(j);
}

static void delete_segment(struct gtv_disk *d, struct job *j)
{
    struct gtv_record_victim victim;
    bool growing = false;
    if (!gtv_record_index_at(d->index, gtv_str_of(j->name), j->start, &victim, &growing)) {
        gtv_error_set(&j->result, GTV_E_NOT_FOUND, "start", "segment not found");
    } else if (growing) {
        gtv_error_set(&j->result, GTV_E_CONFLICT, "start", "the segment is being written");
    } else if (unlink(victim.file) != 0 && errno != ENOENT) {
        gtv_error_set(&j->result, GTV_E_IO, NULL, "the segment could not be deleted: %s",
                      gtv_record_cause(errno));
    } else {
        gtv_record_index_remove(d->index, gtv_str_of(j->name), j->start);
        gtv_counter_add(d->deleted, 1);
    }
    if (!gtv_loop_post(j->loop, report, j)) {
        job_free(j); // the loop has ended: nobody waits any more
    }
}

static void run_job(struct gtv_disk *d, struct job *j)
{
    switch (j->kind) {
    case JOB_PART:
        write_part(d, j);
        break;
    case JOB_CLOSE:
        end_file(d, j->file);
        break;
    case JOB_SCAN:
        j->next = NULL;
        *d->scans_last = j;
        d->scans_last = &j->next;
        return;
    case JOB_DELETE:
        delete_segment(d, j);
        return;
    }
    job_free(j);
}

// Some files of the path that is being looked at; false when there is nothing to look for.
static bool scan_some(struct gtv_disk *d)
{
    if (d->scan == NULL && d->scans != NULL) {
        struct job *j = d->scans;
        d->scans = j->next;
        d->scans_last = d->scans == NULL ? &d->scans : d->scans_last;
        d->scan = gtv_scan_create(d->root, j->name, j->pattern);
        job_free(j);
    }
    if (d->scan != NULL && !gtv_scan_step(d->scan, d->index, SCAN_FILES, &d->log)) {
        gtv_scan_destroy(d->scan);
        d->scan = NULL;
    }
    return d->scan != NULL || d->scans != NULL;
}

static void keep_limits(struct gtv_disk *d)
{
    struct gtv_record_victim victim;
    int left = DELETIONS;
    while (left > 0 && gtv_record_index_condemned(d->index, gtv_us_to_ticks(gtv_wall_us()), &victim)) {
        remove_victim(d, &victim);
        left--;
    }
    while (left > 0 && d->max_bytes > 0 && gtv_record_index_bytes(d->index) > (uint64_t)d->max_bytes &&
           gtv_record_index_oldest(d->index, &victim)) {
        remove_victim(d, &victim);
        left--;
    }
    gtv_gauge_set(d->total, (int64_t)gtv_record_index_bytes(d->index));
}

// ---- The thread ----

// Waits for jobs, at most until something else is due. False: the end.
static bool take_jobs(struct gtv_disk *d, bool busy, struct job **jobs)
{
    struct timespec until;
    pthread_mutex_lock(&d->lock);
    if (d->first == NULL && !d->stopping && !busy) {
        int64_t wait_ms = d->dirty != NULL ? SYNC_MS : KEEP_MS;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += wait_ms / 1000;
        until.tv_nsec += wait_ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&d->more, &d->lock, &until);
    }
    *jobs = d->first;
    d->first = NULL;
    d->last = &d->first;
    bool over = d->stopping && *jobs == NULL;
    pthread_mutex_unlock(&d->lock);
    return !over;
}

static void *run_thread(void *arg)
{
    struct gtv_disk *d = arg;
    struct job *jobs;
    bool busy = false;
    pthread_setname_np(pthread_self(), "record-disk");
    while (take_jobs(d, busy, &jobs)) {
        while (jobs != NULL) {
            struct job *j = jobs;
            size_t bytes = j->bytes;
            jobs = j->next;
            run_job(d, j);
            pthread_mutex_lock(&d->lock);
            d->queued -= bytes;
            size_t waiting = d->queued;
            pthread_mutex_unlock(&d->lock);
            gtv_gauge_set(d->waiting, (int64_t)waiting);
            if (d->dirty != NULL && gtv_mono_ms() - d->dirty_since_ms >= SYNC_MS) {
                sync_dirty(d);
            }
        }
        // Parts that come together are made safe together; there is time for it until the next ones.
        if (d->dirty != NULL && gtv_mono_ms() - d->dirty_since_ms >= SYNC_MS) {
            sync_dirty(d);
        }
        busy = scan_some(d);
        if (gtv_mono_ms() - d->kept_ms >= KEEP_MS) {
            d->kept_ms = gtv_mono_ms();
            gtv_disk_gauges_look(&d->room, d->root);
            keep_limits(d);
        }
    }
    sync_dirty(d);
    return NULL;
}

// ---- Life ----

static void register_metrics(struct gtv_disk *d, struct gtv_metrics *m)
{
    static const double bounds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2};
    d->parts =
        gtv_metrics_counter(m, "gtv_media_record_parts_total", "", "Parts of recordings that were written.");
    d->written =
        gtv_metrics_counter(m, "gtv_media_record_written_bytes_total", "", "Bytes of recordings written.");
    d->deleted = gtv_metrics_counter(m, "gtv_media_record_deleted_files_total", "",
                                     "Recorded files that were deleted, by age, quota, room or request.");
    d->failed =
        gtv_metrics_counter(m, "gtv_media_record_failures_total", "", "Files that could not be written on.");
    gtv_disk_gauges_init(&d->room, m, "recordings");
    d->waiting = gtv_metrics_gauge(m, "gtv_media_record_queue_bytes", "", "Bytes that wait for the disk.");
    d->total = gtv_metrics_gauge(m, "gtv_media_record_bytes", "", "Bytes of all recordings that are kept.");
    d->sync_seconds = gtv_metrics_histogram(m, "gtv_media_record_sync_seconds", "",
                                            "Time that the disk takes to make a file's new parts safe.",
                                            bounds, sizeof bounds / sizeof bounds[0]);
}

struct gtv_disk *gtv_disk_create(const struct gtv_disk_config *config, struct gtv_record_index *index,
                                 struct gtv_loop *loop, struct gtv_metrics *metrics)
{
    struct gtv_disk *d = GTV_NEW(struct gtv_disk);
    d->log = (struct gtv_log){"media", NULL, NULL};
    d->index = index;
    d->loop = loop;
    d->root = gtv_strdup(config->root);
    d->max_bytes = config->max_bytes;
    d->min_free_bytes = config->min_free_bytes;
    d->max_queue_bytes = (size_t)config->max_queue_bytes;
    d->last = &d->first;
    d->scans_last = &d->scans;
    register_metrics(d, metrics);
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&d->more, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&d->thread, NULL, run_thread, d) != 0) {
        abort(); // at start, without memory for a stack
    }
    return d;
}

void gtv_disk_stop(struct gtv_disk *d)
{
    pthread_mutex_lock(&d->lock);
    bool already = d->stopping;
    d->stopping = true;
    pthread_cond_signal(&d->more);
    pthread_mutex_unlock(&d->lock);
    if (!already) {
        pthread_join(d->thread, NULL);
    }
}

void gtv_disk_destroy(struct gtv_disk *d)
{
    if (d == NULL) {
        return;
    }
    gtv_disk_stop(d);
    while (d->first != NULL) {
        struct job *j = d->first;
        d->first = j->next;
        job_free(j);
    }
    while (d->scans != NULL) {
        struct job *j = d->scans;
        d->scans = j->next;
        job_free(j);
    }
    gtv_scan_destroy(d->scan);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->more);
    free(d->root);
    free(d);
}
