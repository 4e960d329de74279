#include "services/media/store.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 * 1024 * 1024 };

struct waiter {
    struct waiter *next;
    void (*done)(void *arg, const struct gtv_error *err);
    void *arg;
};

struct gtv_store {
    struct gtv_loop *loop;
    struct gtv_log log;
    char *folder;
    int lock_fd;
    struct gtv_bytes *(*snapshot)(void *arg);
    void *arg;
    uv_work_t work;
    bool writing;
    struct waiter *waiting, **waiting_end; // for the next write
    struct waiter *served;                 // by the write on its way
    struct gtv_bytes *text;                // of the write on its way: its thread reads it
    struct gtv_error result;               // written by that thread, read after it
};

static bool fail(struct gtv_error *err, const char *what, const char *path)
{
    gtv_error_set(err, GTV_E_IO, NULL, "cannot %s %s: %s", what, path, strerror(errno));
    return false;
}

// mkdir -p.
static bool make_folder(const char *folder, struct gtv_error *err)
{
    char path[1024];
    if (folder[0] == '\0' || !gtv_str_copy(path, sizeof path, gtv_str_of(folder))) {
        gtv_error_set(err, GTV_E_INVALID, "MEDIA_DATA", "MEDIA_DATA is empty or too long");
        return false;
    }
    for (char *at = path + 1;; at++) {
        char c = *at;
        if (c == '/' || c == '\0') {
            *at = '\0';
            if (mkdir(path, 0700) != 0 && errno != EEXIST) {
                return fail(err, "make the folder", path);
            }
            *at = c;
        }
        if (c == '\0') {
            return true;
        }
    }
}

struct gtv_store *gtv_store_open(struct gtv_loop *loop, const char *folder,
                                 struct gtv_bytes *(*snapshot)(void *arg), void *arg,
                                 const struct gtv_log *log, struct gtv_error *err)
{
    if (!make_folder(folder, err)) {
        return NULL;
    }
    char *lock = gtv_asprintf("%s/lock", folder);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        fail(err, "open", lock);
        goto free_lock;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        gtv_error_set(err, GTV_E_CONFLICT, "MEDIA_DATA", "%s is in use by another media node", folder);
        goto close_lock;
    }
    free(lock);
    struct gtv_store *s = GTV_NEW(struct gtv_store);
    *s = (struct gtv_store){.loop = loop,
                            .log = *log,
                            .folder = gtv_strdup(folder),
                            .lock_fd = fd,
                            .snapshot = snapshot,
                            .arg = arg};
    s->waiting_end = &s->waiting;
    s->work.data = s;
    return s;

close_lock:
    close(fd);
free_lock:
    free(lock);
    return NULL;
}

static void free_waiters(struct waiter *w)
{
    while (w != NULL) {
        struct waiter *next = w->next;
        free(w);
        w = next;
    }
}

void gtv_store_close(struct gtv_store *s)
{
    if (s == NULL) {
        return;
    }
    free_waiters(s->waiting);
    free_waiters(s->served);
    gtv_bytes_unref(s->text);
    close(s->lock_fd);
    free(s->folder);
    free(s);
}

struct gtv_bytes *gtv_store_read(struct gtv_store *s, struct gtv_error *err)
{
    char *path = gtv_asprintf("%s/paths.json", s->folder);
    struct gtv_bytes *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT) {
            gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "no stored paths");
        } else {
            fail(err, "open", path);
        }
        goto free_path;
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size > FILE_MAX) {
        gtv_error_set(err, GTV_E_TOO_LARGE, NULL, "%s is larger than %d bytes", path, FILE_MAX);
        goto close_fd;
    }
    text = gtv_bytes_create((size_t)st.st_size + 1);
    while (text != NULL && text->len < (size_t)st.st_size) {
        ssize_t n = read(fd, text->data + text->len, (size_t)st.st_size - text->len);
        if (n <= 0) {
            fail(err, "read", path);
            gtv_bytes_unref(text);
            text = NULL;
            break;
        }
        text->len += (size_t)n;
    }
close_fd:
    close(fd);
free_path:
    free(path);
    return text;
}

void gtv_store_set_aside(struct gtv_store *s)
{
    char *from = gtv_asprintf("%s/paths.json", s->folder), *to = gtv_asprintf("%s/paths.json.bad", s->folder);
    if (rename(from, to) != 0) {
        gtv_log_error(&s->log, "cannot set the stored paths aside", "error=\"%s\"", strerror(errno));
    }
    free(from);
    free(to);
}

static bool write_all(int fd, struct gtv_str text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        text.p += n;
        text.n -= (size_t)n;
    }
    return true;
}

bool gtv_store_write_file(const char *folder, struct gtv_str text, struct gtv_error *err)
{
    bool ok = false;
    char *path = gtv_asprintf("%s/paths.json", folder), *partial = gtv_asprintf("%s/paths.json.new", folder);
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        fail(err, "open", partial);
        goto free_paths;
    }
    ok = fchmod(fd, 0600) == 0 && write_all(fd, text) && fsync(fd) == 0;
    if (!ok) {
        fail(err, "write", partial);
    }
    if (close(fd) != 0 && ok) {
        ok = fail(err, "write", partial);
    }
    if (ok && rename(partial, path) != 0) {
        ok = fail(err, "replace", path);
    }
    if (!ok) {
        unlink(partial);
        goto free_paths;
    }
    // The new name itself is only safe once the folder is.
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) != 0) {
        ok = fail(err, "sync", folder);
    }
    if (dir >= 0) {
        close(dir);
    }
free_paths:
    free(partial);
    free(path);
    return ok;
}

static void write_in_pool(uv_work_t *work)
{
    struct gtv_store *s = work->data;
    s->result = (struct gtv_error){0};
    if (!gtv_store_write_file(s->folder, gtv_bytes_str(s->text), &s->result) && s->result.code == GTV_OK) {
        s->result.code = GTV_E_IO;
    }
}

static void start_write(struct gtv_store *s);

static void after_write(uv_work_t *work, int status)
{
    struct gtv_store *s = work->data;
    struct waiter *w = s->served;
    s->served = NULL;
    s->writing = false;
    gtv_bytes_unref(s->text);
    s->text = NULL;
    struct gtv_error result = s->result;
    if (status != 0) {
        gtv_error_set(&result, GTV_E_CANCELLED, NULL, "the write was cancelled");
    }
    if (result.code != GTV_OK) {
        gtv_log_error(&s->log, "the paths could not be stored", "error=\"%s\"", result.message);
    }
    if (s->waiting != NULL) {
        start_write(s);
    }
    while (w != NULL) {
        struct waiter *next = w->next;
        w->done(w->arg, result.code == GTV_OK ? NULL : &result);
        free(w);
        w = next;
    }
}

static void start_write(struct gtv_store *s)
{
    s->served = s->waiting;
    s->waiting = NULL;
    s->waiting_end = &s->waiting;
    s->writing = true;
    s->text = s->snapshot(s->arg);
    int failed = s->text == NULL ? UV_ENOMEM
                                 : uv_queue_work(gtv_loop_uv(s->loop), &s->work, write_in_pool, after_write);
    if (failed != 0) {
        gtv_error_set(&s->result, GTV_E_UNAVAILABLE, NULL, "the paths could not be written: %s",
                      uv_strerror(failed));
        after_write(&s->work, 0);
    }
}

void gtv_store_save(struct gtv_store *s, void (*done)(void *arg, const struct gtv_error *err), void *arg)
{
    struct waiter *w = GTV_NEW(struct waiter);
    *w = (struct waiter){.done = done, .arg = arg};
    *s->waiting_end = w;
    s->waiting_end = &w->next;
    if (!s->writing) {
        start_write(s);
    }
}

bool gtv_store_busy(const struct gtv_store *s)
{
    return s->writing;
}
