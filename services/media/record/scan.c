#include "services/media/record/scan.h"

#include "lib/base/mem.h"
#include "services/media/record/recfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOUND_MAX = 4000000, // files of one path; those beyond are not listed
    DEPTH_MAX = 32,
    STUB = 2048, // bytes
};

struct found {
    char *file;
    int64_t named_us;
};

struct gtv_scan {
    char *root, *name, *pattern;
    struct found *list; // ascending by the moment
    size_t n, cap, at;
};

static void collect(struct gtv_scan *s, const char *folder, int depth)
{
    DIR *dir = depth < DEPTH_MAX ? opendir(folder) : NULL;
    const struct dirent *e;
    char file[GTV_RECORD_FILE_MAX];
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        int n = snprintf(file, sizeof file, "%s%s%s", folder,
                         folder[1] == '\0' && folder[0] == '/' ? "" : "/", e->d_name);
        if (e->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof file || s->n >= FOUND_MAX) {
            continue;
        }
        int64_t named_us = 0;
        if (gtv_record_pattern_match(s->root, s->pattern, s->name, file, true, &named_us)) {
            if (s->n == s->cap) {
                s->cap = s->cap > 0 ? s->cap * 2 : 64;
                s->list = gtv_realloc(s->list, s->cap * sizeof *s->list);
            }
            s->list[s->n++] = (struct found){gtv_strdup(file), named_us};
        } else if (gtv_record_pattern_match(s->root, s->pattern, s->name, file, false, &named_us)) {
            collect(s, file, depth + 1); // what is no folder cannot be opened as one
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static int by_moment(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->named_us < y->named_us ? -1 : x->named_us > y->named_us;
}

struct gtv_scan *gtv_scan_create(const char *root, const char *name, const char *pattern)
{
    char folder[GTV_RECORD_FILE_MAX];
    if (!gtv_record_pattern_folder(root, pattern, name, folder)) {
        return NULL;
    }
    struct gtv_scan *s = GTV_NEW(struct gtv_scan);
    s->root = gtv_strdup(root);
    s->name = gtv_strdup(name);
    s->pattern = gtv_strdup(pattern);
    collect(s, folder, 0);
    if (s->n == 0) {
        gtv_scan_destroy(s);
        return NULL;
    }
    qsort(s->list, s->n, sizeof *s->list, by_moment);
    return s;
}

void gtv_scan_destroy(struct gtv_scan *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        free(s->list[i].file);
    }
    free(s->list);
    free(s->root);
    free(s->name);
    free(s->pattern);
    free(s);
}

bool gtv_scan_step(struct gtv_scan *s, struct gtv_record_index *index, size_t n, const struct gtv_log *log)
{
    for (; n > 0 && s->at < s->n; n--, s->at++) {
        const struct found *f = &s->list[s->at];
        struct gtv_record_info info;
        if (gtv_record_index_knows(index, gtv_str_of(s->name), f->file, f->named_us)) {
            continue;
        }
        enum gtv_scan_result result = gtv_scan_file(f->file, f->named_us, &info);
        if (result == GTV_SCAN_BAD) {
            gtv_log_warn(log, "a recorded file cannot be read", "path=%s file=\"%s\"", s->name, f->file);
        } else if (result == GTV_SCAN_REMOVED) {
            gtv_log_info(log, "a recorded file without pictures was removed", "path=%s file=\"%s\"", s->name,
                         f->file);
        } else {
            if (result == GTV_SCAN_REPAIRED) {
                gtv_log_info(log, "a recorded file got its end", "path=%s file=\"%s\" seconds=%.1f", s->name,
                             f->file, (double)info.duration / 90000);
            }
            (void)gtv_record_index_add(index, gtv_str_of(s->name), f->file, &info, false);
        }
    }
    return s->at < s->n;
}

// ---- One file ----

static bool is_closed(int fd, uint64_t size, const struct gtv_mp4_head *head)
{
    return head->marked && head->mark.duration > 0 && gtv_mp4_has_mfra(fd, size, NULL);
}

static enum gtv_scan_result repair(int fd, uint64_t size, const struct gtv_mp4_head *head,
                                   struct gtv_record_info *out)
{
    struct gtv_mp4_keys keys = {0};
    int64_t end = 0;
    enum gtv_scan_result result = GTV_SCAN_REMOVED;
    if (gtv_mp4_walk(fd, &size, head, &keys, &end)) {
        bool ok = ftruncate(fd, (off_t)size) == 0 &&
                  gtv_recfile_write_end(fd, size, head, &keys, end, &size) && fdatasync(fd) == 0;
        out->size = size;
        out->duration = head->mark.origin + end - head->mark.start;
        result = ok ? GTV_SCAN_REPAIRED : GTV_SCAN_OK; // without room it plays as it is
    }
    gtv_mp4_keys_finish(&keys);
    return result;
}

// Somebody else's recording: it is read, never changed.
static enum gtv_scan_result measure(int fd, uint64_t size, const struct gtv_mp4_head *head,
                                    struct gtv_record_info *out)
{
    struct gtv_mp4_keys keys = {0};
    int64_t end = 0;
    bool ok = gtv_mp4_walk(fd, &size, head, &keys, &end);
    out->duration = ok ? end - keys.list[0].time : 0;
    gtv_mp4_keys_finish(&keys);
    return ok ? GTV_SCAN_OK : GTV_SCAN_BAD;
}

// A head that was cut while it was written: smaller than any that has pictures behind it.
static bool is_stub(int fd, uint64_t size)
{
    char begin[8];
    return size < STUB && (size < sizeof begin || (gtv_mp4_read_all(fd, begin, sizeof begin, 0) &&
                                                   memcmp(begin + 4, "ftyp", 4) == 0));
}

enum gtv_scan_result gtv_scan_file(const char *file, int64_t named_us, struct gtv_record_info *out)
{
    struct gtv_mp4_head head;
    struct gtv_bytes *init = NULL;
    struct stat st;
    enum gtv_scan_result result = GTV_SCAN_BAD;
    *out = (struct gtv_record_info){0};
    int fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        goto close_file;
    }
    uint64_t size = (uint64_t)st.st_size;
    if (size == 0) {
        result = GTV_SCAN_REMOVED;
    } else if (gtv_mp4_read_head(fd, size, &head, &init)) {
        out->size = size;
        out->init = gtv_record_init_hash(gtv_bytes_str(init), &head);
        out->start = head.marked ? head.mark.start : gtv_us_to_ticks(named_us);
        out->duration = head.marked ? head.mark.duration : 0;
        result = is_closed(fd, size, &head) ? GTV_SCAN_OK
                 : head.marked              ? repair(fd, size, &head, out)
                                            : measure(fd, size, &head, out);
        gtv_bytes_unref(init);
    }
    if (result == GTV_SCAN_BAD && is_stub(fd, size)) {
        result = GTV_SCAN_REMOVED;
    }
    if (result == GTV_SCAN_REMOVED) {
        unlink(file);
    }
close_file:
    if (fd >= 0) {
        close(fd);
    }
    return result;
}
