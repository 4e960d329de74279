#include "services/ai/watch/spool.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 64, PIECE = 65536, MAX_LINE = 256 * 1024 };

struct gtv_spool {
    int fd;
    size_t max, read_at, end; // bytes; lines from read_at on wait
    size_t peeked;            // bytes of the line that was peeked, with its line feed; 0: none
};

static bool make_folder(const char *dir)
{
    char *path = gtv_strdup(dir);
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        (void)mkdir(path, 0755);
        *p = '/';
    }
    bool ok = mkdir(path, 0755) == 0 || errno == EEXIST;
    free(path);
    return ok;
}

static int open_one(const char *dir, struct gtv_error *err)
{
    for (int i = 0; i < MAX_FILES; i++) {
        char *path = gtv_asprintf("%s/events-%d.spool", dir, i);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        free(path);
        if (fd < 0) {
            gtv_error_set(err, GTV_E_IO, NULL, "%s cannot be written: %s", dir, strerror(errno));
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        (void)close(fd);
    }
    gtv_error_set(err, GTV_E_IO, NULL, "%d programs use %s already", MAX_FILES, dir);
    return -1;
}

struct gtv_spool *gtv_spool_open(const char *dir, size_t max_bytes, struct gtv_error *err)
{
    if (!make_folder(dir)) {
        gtv_error_set(err, GTV_E_IO, NULL, "%s cannot be made: %s", dir, strerror(errno));
        return NULL;
    }
    int fd = open_one(dir, err);
    struct stat st;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0) {
        gtv_error_set(err, GTV_E_IO, NULL, "%s cannot be read: %s", dir, strerror(errno));
        (void)close(fd);
        return NULL;
    }
    struct gtv_spool *s = GTV_NEW(struct gtv_spool);
    s->fd = fd;
    s->max = max_bytes;
    s->end = (size_t)st.st_size;
    // A line that a dying program left unfinished ends here.
    char last;
    if (s->end && pread(fd, &last, 1, (off_t)s->end - 1) == 1 && last != '\n' &&
        pwrite(fd, "\n", 1, (off_t)s->end) == 1)
        s->end++;
    return s;
}

void gtv_spool_close(struct gtv_spool *s)
{
    if (!s)
        return;
    // What was told already must not be there at the next start.
    if (s->read_at > 0 && s->read_at < s->end) {
        size_t left = s->end - s->read_at, done = 0;
        char *piece = malloc(PIECE);
        while (piece && done < left) {
            ssize_t n = pread(s->fd, piece, PIECE, (off_t)(s->read_at + done));
            if (n <= 0 || pwrite(s->fd, piece, (size_t)n, (off_t)done) != n)
                break;
            done += (size_t)n;
        }
        if (done == left)
            (void)!ftruncate(s->fd, (off_t)left);
        free(piece);
    }
    (void)close(s->fd);
    free(s);
}

bool gtv_spool_put(struct gtv_spool *s, struct gtv_str line)
{
    if (line.n + 1 > MAX_LINE || s->end + line.n + 1 > s->max)
        return false;
    char *text = malloc(line.n + 1);
    if (!text)
        return false;
    memcpy(text, line.p, line.n);
    text[line.n] = '\n';
    bool ok = pwrite(s->fd, text, line.n + 1, (off_t)s->end) == (ssize_t)(line.n + 1);
    free(text);
    if (ok)
        s->end += line.n + 1;
    else
        (void)!ftruncate(s->fd, (off_t)s->end);
    return ok;
}

bool gtv_spool_peek(struct gtv_spool *s, struct gtv_buf *out)
{
    char *piece = malloc(PIECE);
    gtv_buf_reset(out);
    s->peeked = 0;
    while (piece && s->read_at + out->len < s->end && out->len < MAX_LINE) {
        ssize_t n = pread(s->fd, piece, PIECE, (off_t)(s->read_at + out->len));
        if (n <= 0)
            break;
        const char *lf = memchr(piece, '\n', (size_t)n);
        (void)gtv_buf_append(out, piece, lf ? (size_t)(lf - piece) : (size_t)n);
        if (lf) {
            s->peeked = out->len + 1;
            break;
        }
    }
    free(piece);
    return s->peeked > 0;
}

void gtv_spool_drop(struct gtv_spool *s)
{
    s->read_at += s->peeked;
    s->peeked = 0;
    if (s->read_at >= s->end && ftruncate(s->fd, 0) == 0)
        s->read_at = s->end = 0;
}

size_t gtv_spool_bytes(const struct gtv_spool *s)
{
    return s->end - s->read_at;
}
