// Tidying runs on a thread of its own: at the start, every few minutes, and when more was written than may be
// kept: the oldest files are removed first. The same thread sends them to the store behind, the oldest first,
// when something was written, and again after a failure.
#include "services/ai/watch/store.h"

#include "lib/base/mem.h"
#include "lib/contract/contract.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TIDY_EVERY_S = 300,
    MAX_PICTURE = 8 << 20,
    MAX_FILES = 200000, // that one tidying looks at; the rest is for the next
    RETRY_FIRST_S = 1,
    RETRY_MAX_S = 60,
};

struct gtv_store {
    char *dir;
    uint64_t max_bytes;
    int64_t max_age_s;
    bool (*send)(void *arg, const char *name, const struct gtv_bytes *picture, struct gtv_error *err);
    void *arg;
    struct gtv_log log;
    pthread_mutex_t files; // held while files come and go, so that no folder goes under a file that comes
    atomic_ullong bytes;
    atomic_uint serial; // of files in the making
    pthread_t thread;
    pthread_mutex_t lock; // guards what follows
    pthread_cond_t wake;
    bool stopping, full, fresh;   // fresh: something is to be sent
    struct gtv_store_stats stats; // bytes are not used
};

struct file {
    int64_t mtime;
    uint64_t size;
    char name[GTV_STORE_NAME_CAP];
};

static const char *name_of(int64_t camera_id, int64_t wall_ms, uint64_t track, const char *what,
                           char out[GTV_STORE_NAME_CAP])
{
    time_t at = (time_t)(wall_ms / 1000);
    struct tm day;
    (void)gmtime_r(&at, &day);
    snprintf(out, GTV_STORE_NAME_CAP, "cam_%lld/%04d%02d%02d/%llu%s.jpg", (long long)camera_id,
             (day.tm_year + 1900) % 10000, (day.tm_mon + 1) % 100, day.tm_mday % 100,
             (unsigned long long)track, what);
    return out;
}

const char *gtv_store_name(int64_t camera_id, int64_t wall_ms, uint64_t track, char out[GTV_STORE_NAME_CAP])
{
    return name_of(camera_id, wall_ms, track, "", out);
}

const char *gtv_store_plate_name(int64_t camera_id, int64_t wall_ms, uint64_t track,
                                 char out[GTV_STORE_NAME_CAP])
{
    return name_of(camera_id, wall_ms, track, "-plate", out);
}

// cam_<digits>/<8 digits>/<digits>.jpg or <digits>-plate.jpg, and nothing else.
bool gtv_store_is_name(const char *name)
{
    struct gtv_str rest = gtv_str_of(name);
    struct gtv_str camera = gtv_str_cut(&rest, '/'), day = gtv_str_cut(&rest, '/'), file = rest;
    int64_t n;
    if (!gtv_camera_path_parse(camera, &n) || day.n != 8 || !gtv_str_ends(file, GTV_STR(".jpg")))
        return false;
    file.n -= 4;
    if (gtv_str_ends(file, GTV_STR("-plate")))
        file.n -= 6;
    for (size_t i = 0; i < 8; i++)
        if (day.p[i] < '0' || day.p[i] > '9')
            return false;
    return file.n > 0 && file.p[0] >= '0' && file.p[0] <= '9' && gtv_parse_int(file, 0, INT64_MAX, &n);
}

static bool make_parents(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        bool ok = mkdir(path, 0755) == 0 || errno == EEXIST;
        *p = '/';
        if (!ok)
            return false;
    }
    return true;
}

// ---- Put, get, remove ----

static bool write_file(const char *path, const struct gtv_bytes *picture)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool ok = write(fd, picture->data, picture->len) == (ssize_t)picture->len;
    return close(fd) == 0 && ok;
}

bool gtv_store_put(struct gtv_store *s, const char *name, const struct gtv_bytes *picture)
{
    if (!gtv_store_is_name(name) || picture->len > MAX_PICTURE)
        return false;
    char *path = gtv_asprintf("%s/%s", s->dir, name);
    char *made = gtv_asprintf("%s.%u", path, atomic_fetch_add(&s->serial, 1));
    (void)pthread_mutex_lock(&s->files);
    bool ok =
        write_file(made, picture) || (errno == ENOENT && make_parents(made) && write_file(made, picture));
    ok = ok && rename(made, path) == 0;
    if (!ok)
        (void)unlink(made);
    (void)pthread_mutex_unlock(&s->files);
    free(made);
    free(path);
    bool full = ok && atomic_fetch_add(&s->bytes, picture->len) + picture->len > s->max_bytes;
    if (full || (ok && s->send)) {
        (void)pthread_mutex_lock(&s->lock);
        s->full |= full;
        s->fresh = true;
        (void)pthread_cond_signal(&s->wake);
        (void)pthread_mutex_unlock(&s->lock);
    }
    return ok;
}

struct gtv_bytes *gtv_store_get(struct gtv_store *s, const char *name)
{
    if (!gtv_store_is_name(name))
        return NULL;
    char *path = gtv_asprintf("%s/%s", s->dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    free(path);
    struct stat st;
    if (fd < 0)
        return NULL;
    struct gtv_bytes *b = NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MAX_PICTURE)
        b = gtv_bytes_create((size_t)st.st_size);
    if (b && read(fd, b->data, b->cap) == (ssize_t)st.st_size) {
        b->len = (size_t)st.st_size;
    } else {
        gtv_bytes_unref(b);
        b = NULL;
    }
    (void)close(fd);
    return b;
}

void gtv_store_remove(struct gtv_store *s, const char *name)
{
    if (!gtv_store_is_name(name))
        return;
    char *path = gtv_asprintf("%s/%s", s->dir, name);
    struct stat st;
    if (stat(path, &st) == 0 && unlink(path) == 0)
        (void)atomic_fetch_sub(&s->bytes, (uint64_t)st.st_size);
    free(path);
}

// ---- Tidying ----

struct listing {
    struct file *files;
    size_t count, cap;
};

static void list_files(struct listing *l, const char *dir, const char *prefix, int depth)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d)) && l->count < MAX_FILES) {
        struct stat st;
        char name[GTV_STORE_NAME_CAP];
        if (e->d_name[0] == '.' ||
            snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "/" : "", e->d_name) >=
                (int)sizeof(name) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < 2) {
            char *below = gtv_asprintf("%s/%s", dir, e->d_name);
            list_files(l, below, name, depth + 1);
            free(below);
        } else if (S_ISREG(st.st_mode) && depth == 2) {
            if (l->count == l->cap) {
                l->cap = l->cap ? l->cap * 2 : 1024;
                l->files = gtv_realloc(l->files, l->cap * sizeof(*l->files));
            }
            struct file *f = &l->files[l->count++];
            f->mtime = st.st_mtime;
            f->size = (uint64_t)st.st_size;
            snprintf(f->name, sizeof(f->name), "%s", name);
        }
    }
    if (d)
        (void)closedir(d);
}

static int by_age(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    return (x->mtime > y->mtime) - (x->mtime < y->mtime);
}

// s->files is held.
static void unlink_file(const char *dir, const char *name)
{
    char *path = gtv_asprintf("%s/%s", dir, name);
    (void)unlink(path);
    for (int i = 0; i < 2; i++) { // the folders of the day and of the camera, when they are empty
        *strrchr(path, '/') = '\0';
        if (rmdir(path) != 0)
            break;
    }
    free(path);
}

static void remove_file(struct gtv_store *s, const char *name)
{
    (void)pthread_mutex_lock(&s->files);
    unlink_file(s->dir, name);
    (void)pthread_mutex_unlock(&s->files);
}

static void tidy(struct gtv_store *s)
{
    struct listing l = {0};
    list_files(&l, s->dir, "", 0);
    if (l.count)
        qsort(l.files, l.count, sizeof(*l.files), by_age);
    uint64_t bytes = 0, limit = s->max_bytes - s->max_bytes / 10;
    int64_t oldest = (int64_t)time(NULL) - s->max_age_s;
    for (size_t i = 0; i < l.count; i++)
        bytes += l.files[i].size;
    bool much = bytes > s->max_bytes;
    size_t removed = 0;
    for (size_t i = 0; i < l.count && (l.files[i].mtime < oldest || (much && bytes > limit));
         i++, removed++) {
        remove_file(s, l.files[i].name);
        bytes -= l.files[i].size;
    }
    atomic_store(&s->bytes, bytes);
    if (removed)
        gtv_log_info(&s->log, "old pictures of tracks removed", "files=%zu kept_bytes=%llu", removed,
                     (unsigned long long)bytes);
    free(l.files);
}

// ---- Sending ----

static bool stopping(struct gtv_store *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool yes = s->stopping;
    (void)pthread_mutex_unlock(&s->lock);
    return yes;
}

static void note_sent(struct gtv_store *s, const struct gtv_error *err)
{
    (void)pthread_mutex_lock(&s->lock);
    bool told = s->stats.problem[0] != '\0';
    s->stats.sent += !err;
    s->stats.failures += err != NULL;
    snprintf(s->stats.problem, sizeof(s->stats.problem), "%.150s", err ? err->message : "");
    (void)pthread_mutex_unlock(&s->lock);
    if (err && !told)
        gtv_log_warn(&s->log, "pictures of tracks wait for their store", "cause=\"%s\"", err->message);
    else if (!err && told)
        gtv_log_info(&s->log, "the store of pictures takes them again", NULL);
}

// A picture that has arrived leaves the folder, unless another one of that name came meanwhile.
static void forget(struct gtv_store *s, const char *name, const struct stat *sent)
{
    char *path = gtv_asprintf("%s/%s", s->dir, name);
    struct stat now;
    (void)pthread_mutex_lock(&s->files);
    if (stat(path, &now) == 0 && now.st_ino == sent->st_ino && now.st_mtim.tv_sec == sent->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == sent->st_mtim.tv_nsec) {
        unlink_file(s->dir, name);
        (void)atomic_fetch_sub(&s->bytes, (uint64_t)sent->st_size);
    }
    (void)pthread_mutex_unlock(&s->files);
    free(path);
}

static bool send_one(struct gtv_store *s, const char *name)
{
    char *path = gtv_asprintf("%s/%s", s->dir, name);
    struct stat st;
    struct gtv_error err = {0};
    bool there = stat(path, &st) == 0;
    free(path);
    struct gtv_bytes *picture = there ? gtv_store_get(s, name) : NULL;
    if (!picture)
        return true; // it was removed meanwhile
    bool ok = s->send(s->arg, name, picture, &err);
    gtv_bytes_unref(picture);
    note_sent(s, ok ? NULL : &err);
    if (ok)
        forget(s, name, &st);
    return ok;
}

// Sends what waits; false when the store behind did not take something.
static bool send_all(struct gtv_store *s)
{
    struct listing l = {0};
    list_files(&l, s->dir, "", 0);
    if (l.count)
        qsort(l.files, l.count, sizeof(*l.files), by_age);
    bool ok = true;
    for (size_t i = 0; i < l.count && ok && !stopping(s); i++)
        if (gtv_store_is_name(l.files[i].name))
            ok = send_one(s, l.files[i].name);
    free(l.files);
    return ok;
}

// ---- The thread ----

// Until there is something to do, or for that long.
static void wait_for_work(struct gtv_store *s, int64_t seconds, bool sends)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    while (!s->stopping && !s->full && !(s->fresh && sends) &&
           pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
        ;
}

static void *run(void *arg)
{
    struct gtv_store *s = arg;
    int64_t retry_s = 0; // 0: the last attempt was good
    (void)pthread_setname_np(pthread_self(), "ai-crops");
    (void)pthread_mutex_lock(&s->lock);
    time_t tidied = 0;
    while (!s->stopping) {
        bool must = s->full || time(NULL) - tidied >= TIDY_EVERY_S;
        s->full = s->fresh = false;
        (void)pthread_mutex_unlock(&s->lock);
        if (must) {
            tidy(s);
            tidied = time(NULL);
        }
        bool good = !s->send || send_all(s);
        retry_s = good ? 0 : !retry_s ? RETRY_FIRST_S : retry_s * 2 < RETRY_MAX_S ? retry_s * 2 : RETRY_MAX_S;
        (void)pthread_mutex_lock(&s->lock);
        wait_for_work(s, good ? TIDY_EVERY_S : retry_s, good && s->send);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

void gtv_store_get_stats(struct gtv_store *s, struct gtv_store_stats *out)
{
    (void)pthread_mutex_lock(&s->lock);
    *out = s->stats;
    (void)pthread_mutex_unlock(&s->lock);
    out->bytes = atomic_load(&s->bytes);
}

struct gtv_store *gtv_store_create(const struct gtv_store_config *config, struct gtv_error *err)
{
    char *path = gtv_asprintf("%s/", config->dir);
    bool ok = make_parents(path) && access(config->dir, W_OK) == 0;
    free(path);
    if (!ok) {
        gtv_error_set(err, GTV_E_IO, NULL, "%s cannot be written: %s", config->dir, strerror(errno));
        return NULL;
    }
    struct gtv_store *s = GTV_NEW(struct gtv_store);
    s->dir = gtv_strdup(config->dir);
    s->max_bytes = config->max_bytes;
    s->max_age_s = config->max_age_s;
    s->send = config->send;
    s->arg = config->arg;
    s->log = (struct gtv_log){.component = "ai"};
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_mutex_init(&s->files, NULL);
    (void)pthread_cond_init(&s->wake, NULL);
    if (pthread_create(&s->thread, NULL, run, s) != 0)
        abort(); // at the program's start
    return s;
}

void gtv_store_destroy(struct gtv_store *s)
{
    if (!s)
        return;
    (void)pthread_mutex_lock(&s->lock);
    s->stopping = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_mutex_destroy(&s->files);
    free(s->dir);
    free(s);
}
