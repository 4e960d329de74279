#include "services/media/record/recfile.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COPIES_MAX = 1000, VECTORS = 256 };

struct gtv_recfile *gtv_recfile_create(struct gtv_str name, const char *pattern, struct gtv_bytes *init,
                                       const struct gtv_mp4_mark *mark)
{
    struct gtv_mp4_head head;
    if (!gtv_mp4_parse_head(gtv_bytes_str(init), &head)) {
        return NULL;
    }
    struct gtv_recfile *f = GTV_NEW(struct gtv_recfile);
    f->refs = 1;
    f->name = gtv_strndup(name);
    f->pattern = gtv_strdup(pattern);
    f->init = gtv_bytes_ref(init);
    f->mark = *mark;
    f->head = head;
    f->head.marked = true;
    f->head.mark_at = head.init_len;
    f->head.fragments_at = head.init_len + GTV_MP4_MARK_BYTES;
    f->head.mark = *mark;
    f->fd = -1;
    return f;
}

struct gtv_recfile *gtv_recfile_ref(struct gtv_recfile *f)
{
    f->refs++;
    return f;
}

void gtv_recfile_unref(struct gtv_recfile *f)
{
    if (f == NULL || --f->refs > 0) {
        return;
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    gtv_mp4_keys_finish(&f->keys);
    gtv_bytes_unref(f->init);
    free(f->name);
    free(f->pattern);
    free(f->file);
    free(f);
}

// ---- Making ----

static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); // where it cannot be done the file is there all the same, but for a power cut
        close(fd);
    }
}

// All folders above a file; those made are on the disk when it returns.
static bool make_folders(char *file)
{
    struct stat st;
    char *end = strrchr(file, '/');
    if (end == NULL || end == file) {
        return true;
    }
    *end = '\0';
    bool ok = stat(file, &st) == 0;
    if (ok && !S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        ok = false;
    } else if (!ok && errno == ENOENT) {
        ok = make_folders(file) && (mkdir(file, 0750) == 0 || errno == EEXIST);
        char *above = strrchr(file, '/');
        if (ok && above != NULL && above != file) {
            *above = '\0';
            sync_folder(file);
            *above = '/';
        }
    }
    *end = '/';
    return ok;
}

static bool write_at(int fd, const void *data, size_t n, uint64_t at)
{
    const char *p = data;
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, (off_t)at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            errno = done == 0 ? ENOSPC : errno;
            return false;
        }
        p += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return true;
}

static bool write_head(struct gtv_recfile *f)
{
    struct gtv_buf mark;
    gtv_buf_init(&mark, 0);
    gtv_mp4_mark_write(&mark, &f->mark);
    bool ok =
        write_at(f->fd, f->init->data, f->init->len, 0) && write_at(f->fd, mark.data, mark.len, f->init->len);
    f->size = f->init->len + mark.len;
    gtv_buf_finish(&mark);
    return ok;
}

bool gtv_recfile_open(struct gtv_recfile *f, const char *root)
{
    char file[GTV_RECORD_FILE_MAX];
    for (unsigned copy = 0; copy < COPIES_MAX && f->fd < 0; copy++) {
        if (!gtv_record_pattern_write(root, f->pattern, f->name, gtv_ticks_to_us(f->mark.start), copy,
                                      file)) {
            errno = ENAMETOOLONG;
            return false;
        }
        if (copy == 0 && !make_folders(file)) {
            return false;
        }
        f->fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        if (f->fd < 0 && errno != EEXIST) {
            return false;
        }
    }
    if (f->fd < 0) {
        return false;
    }
    f->file = gtv_strdup(file);
    if (!write_head(f)) {
        int why = errno;
        close(f->fd);
        f->fd = -1;
        unlink(f->file);
        errno = why;
        return false;
    }
    char *slash = strrchr(file, '/');
    if (slash != NULL && slash != file) {
        *slash = '\0';
        sync_folder(file);
    }
    return true;
}

// ---- Appending ----

static bool append_all(struct gtv_recfile *f, struct gtv_bytes *const *pieces, size_t n, uint64_t at)
{
    struct iovec v[VECTORS];
    size_t i = 0, off = 0;
    while (i < n) {
        int count = 0;
        for (size_t k = i; k < n && count < VECTORS; k++) {
            size_t skip = k == i ? off : 0;
            v[count++] = (struct iovec){pieces[k]->data + skip, pieces[k]->len - skip};
        }
        ssize_t done = pwritev(f->fd, v, count, (off_t)at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            errno = done == 0 ? ENOSPC : errno;
            return false;
        }
        at += (uint64_t)done;
        size_t left = (size_t)done;
        while (i < n && left >= pieces[i]->len - off) {
            left -= pieces[i]->len - off;
            off = 0;
            i++;
        }
        off += left;
    }
    return true;
}

bool gtv_recfile_append(struct gtv_recfile *f, struct gtv_bytes *const *pieces, size_t n)
{
    struct stat st;
    uint64_t size = f->size, more = 0;
    // Somebody removed the file: what is written now would be lost.
    if (fstat(f->fd, &st) == 0 && st.st_nlink == 0) {
        errno = ENOENT;
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        more += pieces[i]->len;
    }
    if (!append_all(f, pieces, n, size)) {
        int why = errno;
        if (ftruncate(f->fd, (off_t)size) != 0) {
            why = errno; // the next start cuts it
        }
        errno = why;
        return false;
    }
    f->size = size + more;
    return true;
}

// ---- Ending ----

bool gtv_recfile_write_end(int fd, uint64_t size, const struct gtv_mp4_head *head,
                           const struct gtv_mp4_keys *keys, int64_t end, uint64_t *new_size)
{
    struct gtv_buf mfra, mark;
    struct gtv_mp4_mark closed = head->mark;
    closed.duration = head->mark.origin + end - head->mark.start;
    closed.duration = closed.duration > 0 ? closed.duration : 1;
    uint64_t ms = (uint64_t)end / 90;
    uint8_t length[4] = {(uint8_t)(ms >> 24), (uint8_t)(ms >> 16), (uint8_t)(ms >> 8), (uint8_t)ms};
    gtv_buf_init(&mfra, 0);
    gtv_buf_init(&mark, 0);
    gtv_mp4_write_mfra(&mfra, keys);
    gtv_mp4_mark_write(&mark, &closed);
    // The mark is last: a file that has it is whole.
    bool ok = !mfra.failed && write_at(fd, mfra.data, mfra.len, size) &&
              (head->mvhd_duration_at == 0 || ms > UINT32_MAX ||
               write_at(fd, length, sizeof length, head->mvhd_duration_at)) &&
              write_at(fd, mark.data, mark.len, head->mark_at);
    if (!ok) {
        int why = errno;
        (void)!ftruncate(fd, (off_t)size); // the next start cuts it otherwise
        errno = why;
    }
    *new_size = ok ? size + mfra.len : size;
    gtv_buf_finish(&mfra);
    gtv_buf_finish(&mark);
    return ok;
}

void gtv_recfile_close(struct gtv_recfile *f)
{
    if (f->fd < 0) {
        return;
    }
    if (f->keys.n == 0) {
        unlink(f->file);
    } else {
        uint64_t size = f->size;
        // Without an end the file plays as well; the next start gives it one.
        (void)!gtv_recfile_write_end(f->fd, size, &f->head, &f->keys, f->end, &size);
        f->size = size;
        (void)fdatasync(f->fd);
    }
    close(f->fd);
    f->fd = -1;
}

uint32_t gtv_record_init_hash(struct gtv_str init, const struct gtv_mp4_head *head)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < head->track_count; i++) {
        const struct gtv_mp4_track *t = &head->tracks[i];
        hash = hash * 31 + gtv_record_hash((struct gtv_str){init.p + t->stsd_at, t->stsd_len}) + t->timescale;
    }
    return hash;
}

// ---- Causes ----

const char *gtv_record_cause_code(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return "disk_full";
    case EACCES:
    case EPERM:
    case EROFS:
        return "permission";
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
        return "folder";
    default:
        return "io";
    }
}

const char *gtv_record_cause(int error)
{
    const char *code = gtv_record_cause_code(error);
    return strcmp(code, "disk_full") == 0    ? "there is no room left on the disk of the recordings"
           : strcmp(code, "permission") == 0 ? "no permission to write into the folder of the recordings"
           : strcmp(code, "folder") == 0     ? "the folder of the recordings cannot be made or has gone"
                                             : "the disk of the recordings failed to write";
}
