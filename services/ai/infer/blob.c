#include "services/ai/infer/blob.h"

#include "lib/base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = {'G', 'T', 'V', 'N', 'E', 'T', '0', '1'};

struct header {
    char magic[8];
    uint64_t sum;      // of the content
    uint64_t size;     // of the content
    uint32_t key_size; // the key follows, then zeros up to the next 64 bytes, then the content
    uint32_t padding;
};

// FNV-1a over eight bytes at a time: against cut and damaged files, not against forgers.
static uint64_t sum_of(const char *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x100000001b3ULL;
        h ^= h >> 29;
    }
    for (; n; p++, n--)
        h = (h ^ (uint8_t)*p) * 0x100000001b3ULL;
    return h;
}

static size_t content_at(size_t key_size)
{
    return (sizeof(struct header) + key_size + 63) / 64 * 64;
}

bool gtv_blob_path(const char *dir, const char *stem, const char *key, char *out, size_t cap)
{
    int n =
        snprintf(out, cap, "%s/%.80s-%016llx.net", dir, stem, (unsigned long long)sum_of(key, strlen(key)));
    return n > 0 && (size_t)n < cap;
}

bool gtv_blob_open(struct gtv_blob *b, const char *path, const char *key)
{
    memset(b, 0, sizeof(*b));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat st;
    struct header h;
    size_t key_size = strlen(key);
    if (fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof(h)) {
        b->map_size = (size_t)st.st_size;
        b->map = mmap(NULL, b->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (b->map == MAP_FAILED)
            b->map = NULL;
    }
    (void)close(fd);
    if (!b->map)
        return false;
    memcpy(&h, b->map, sizeof(h));
    size_t at = content_at(key_size);
    bool ok = memcmp(h.magic, magic, sizeof(magic)) == 0 && h.key_size == key_size && at < b->map_size &&
              h.size == b->map_size - at && memcmp((const char *)b->map + sizeof(h), key, key_size) == 0;
    b->data = (const char *)b->map + at;
    b->size = b->map_size - at;
    if (ok && sum_of(b->data, b->size) == h.sum) {
        (void)utimensat(AT_FDCWD, path, NULL, 0); // used: the sweep takes the oldest
        return true;
    }
    gtv_blob_close(b);
    return false;
}

void gtv_blob_rest(const struct gtv_blob *b)
{
    if (b->map)
        (void)madvise(b->map, b->map_size, MADV_DONTNEED);
}

void gtv_blob_close(struct gtv_blob *b)
{
    if (b->map)
        (void)munmap(b->map, b->map_size);
    memset(b, 0, sizeof(*b));
}

static bool write_sealed(FILE *out, const char *content, size_t size, const char *key)
{
    static const char zeros[64];
    size_t key_size = strlen(key);
    struct header h = {.sum = sum_of(content, size), .size = size, .key_size = (uint32_t)key_size};
    memcpy(h.magic, magic, sizeof(magic));
    size_t gap = content_at(key_size) - sizeof(h) - key_size;
    return fwrite(&h, sizeof(h), 1, out) == 1 && fwrite(key, 1, key_size, out) == key_size &&
           fwrite(zeros, 1, gap, out) == gap && fwrite(content, 1, size, out) == size;
}

void gtv_blob_seal(const char *exported, const char *path, const char *key)
{
    char *part = gtv_asprintf("%s.%ld.part", path, (long)getpid());
    int fd = open(exported, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *map = MAP_FAILED;
    size_t size = 0;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        size = (size_t)st.st_size;
        map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    FILE *out = map == MAP_FAILED ? NULL : fopen(part, "we");
    bool ok = out && write_sealed(out, map, size, key);
    if (out)
        ok = fclose(out) == 0 && ok;
    if (map != MAP_FAILED)
        (void)munmap(map, size);
    if (fd >= 0)
        (void)close(fd);
    if (!ok || rename(part, path) != 0)
        (void)unlink(part);
    (void)unlink(exported);
    free(part);
}

// ---- The sweep ----

struct entry {
    char name[256];
    struct timespec used;
};

static int by_age(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used, *y = &((const struct entry *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

void gtv_blob_sweep(const char *dir)
{
    enum { MOST = 1024 }; // a folder with more is swept over several starts
    DIR *d = opendir(dir);
    if (!d)
        return;
    struct entry *found = gtv_alloc(MOST * sizeof(*found));
    size_t n = 0;
    struct dirent *item;
    while (n < MOST && (item = readdir(d))) { // NOLINT(concurrency-mt-unsafe): a stream of its own
        struct gtv_str name = gtv_str_of(item->d_name);
        struct stat st;
        if (gtv_str_ends(name, GTV_STR(".blob")))
            (void)unlinkat(dirfd(d), item->d_name, 0);
        else if (gtv_str_ends(name, GTV_STR(".net")) &&
                 gtv_str_copy(found[n].name, sizeof(found[n].name), name) &&
                 fstatat(dirfd(d), item->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            found[n++].used = st.st_mtim;
    }
    qsort(found, n, sizeof(*found), by_age);
    for (size_t i = GTV_BLOB_KEEP; i < n; i++)
        (void)unlinkat(dirfd(d), found[i].name, 0);
    (void)closedir(d);
    free(found);
}
