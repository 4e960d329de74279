// Static files of one folder, kept in memory. One lock guards the cache: the files of a page may be served by
// several loops.
#include "lib/http/internal.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CACHED_BYTES = 32 * 1024 * 1024,
    MAX_FILE_BYTES = 64 * 1024 * 1024, // a bigger one is not served: this is for pages, not for recordings
    MAX_CACHED_FILES = 2048,
    RECHECK_MS = 1000, // between two looks at a file's mtime
    OWN_HEADERS = 5,
    MAX_EXTRA_HEADERS = 8,
};

struct cached {
    struct gtv_bytes *bytes;
    struct timespec mtime;
    int64_t checked_ms;
    char etag[48];
    char last_modified[GTV_ISO8601_CAP];
    const char *type;
};

struct gtv_http_files {
    char root[PATH_MAX];  // resolved, without a slash at its end
    pthread_mutex_t lock; // guards cache and bytes
    struct gtv_map *cache;
    size_t bytes;
};

struct gtv_http_files *gtv_http_files_create(const char *root)
{
    struct gtv_http_files *f = GTV_NEW(struct gtv_http_files);
    // A folder that is not there yet answers 404 until it is.
    if (!realpath(root, f->root) && !gtv_str_copy(f->root, sizeof(f->root), gtv_str_of(root))) {
        f->root[0] = '\0';
    }
    (void)pthread_mutex_init(&f->lock, NULL);
    f->cache = gtv_map_create();
    return f;
}

static void free_cached(void *value)
{
    struct cached *entry = value;
    if (entry) {
        gtv_bytes_unref(entry->bytes);
        free(entry);
    }
}

void gtv_http_files_destroy(struct gtv_http_files *f)
{
    if (!f) {
        return;
    }
    gtv_map_destroy(f->cache, free_cached);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static const char *media_type(struct gtv_str path)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/markdown; charset=utf-8"},
        {".yaml", "application/yaml"},
        {".mp4", "video/mp4"},
        {".webmanifest", "application/manifest+json"},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (gtv_str_ends(path, gtv_str_of(types[i].suffix))) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

// Parts that are empty, hidden or dots never name a file of the page.
static bool rel_valid(struct gtv_str rel)
{
    if (rel.n >= PATH_MAX / 2 || (rel.n > 0 && memchr(rel.p, '\0', rel.n))) {
        return false;
    }
    while (rel.n > 0) {
        struct gtv_str part = gtv_str_cut(&rel, '/');
        if (part.n == 0 || part.p[0] == '.') {
            return false;
        }
    }
    return true;
}

// Opens root/rel where it is a plain file below root, also after symbolic links.
static int open_below(const struct gtv_http_files *f, struct gtv_str rel, struct stat *st)
{
    char path[PATH_MAX], real[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/" GTV_STR_FMT, f->root, GTV_STR_ARG(rel));
    size_t root_len = strlen(f->root);
    if (n < 0 || (size_t)n >= sizeof(path) || !realpath(path, real) ||
        strncmp(real, f->root, root_len) != 0 || real[root_len] != '/') {
        return -1;
    }
    int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, st) != 0 || !S_ISREG(st->st_mode) || st->st_size < 0 || st->st_size > MAX_FILE_BYTES) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static struct gtv_bytes *read_all(int fd, size_t size)
{
    struct gtv_bytes *bytes = gtv_bytes_create(size);
    while (bytes && bytes->len < size) {
        ssize_t n = read(fd, bytes->data + bytes->len, size - bytes->len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) { // shrank while it was read, or the disc failed
            gtv_bytes_unref(bytes);
            return NULL;
        }
        bytes->len += (size_t)n;
    }
    return bytes;
}

static struct cached *load(const struct gtv_http_files *f, struct gtv_str rel)
{
    struct stat st;
    int fd = open_below(f, rel, &st);
    if (fd < 0) {
        return NULL;
    }
    struct gtv_bytes *bytes = read_all(fd, (size_t)st.st_size);
    (void)close(fd);
    if (!bytes) {
        return NULL;
    }
    struct cached *entry = GTV_NEW(struct cached);
    entry->bytes = bytes;
    entry->mtime = st.st_mtim;
    entry->checked_ms = gtv_mono_ms();
    entry->type = media_type(rel);
    (void)snprintf(entry->etag, sizeof(entry->etag), "\"%llx-%llx%08lx\"", (unsigned long long)st.st_size,
                   (unsigned long long)st.st_mtim.tv_sec, (unsigned long)st.st_mtim.tv_nsec);
    (void)gtv_http_date(st.st_mtim.tv_sec, entry->last_modified);
    return entry;
}

static void drop(struct gtv_http_files *f, struct gtv_str rel)
{
    struct cached *old = gtv_map_remove(f->cache, rel);
    if (old) {
        f->bytes -= old->bytes->len;
        free_cached(old);
    }
}

static bool still_fresh(const struct gtv_http_files *f, struct cached *entry, struct gtv_str rel)
{
    int64_t now = gtv_mono_ms();
    if (now - entry->checked_ms < RECHECK_MS) {
        return true;
    }
    struct stat st;
    int fd = open_below(f, rel, &st);
    if (fd < 0) {
        return false;
    }
    (void)close(fd);
    entry->checked_ms = now;
    return st.st_mtim.tv_sec == entry->mtime.tv_sec && st.st_mtim.tv_nsec == entry->mtime.tv_nsec &&
           (size_t)st.st_size == entry->bytes->len;
}

static void make_room(struct gtv_http_files *f, size_t n)
{
    size_t it = 0;
    struct gtv_str key;
    void *value = NULL;
    while ((f->bytes + n > MAX_CACHED_BYTES || gtv_map_count(f->cache) >= MAX_CACHED_FILES) &&
           gtv_map_next(f->cache, &it, &key, &value)) {
        drop(f, key);
    }
}

// Fills *out with a copy whose bytes are referenced; false when there is no such file.
static bool look_up(struct gtv_http_files *f, struct gtv_str rel, struct cached *out)
{
    struct cached *entry = gtv_map_get(f->cache, rel);
    if (entry && !still_fresh(f, entry, rel)) {
        drop(f, rel);
        entry = NULL;
    }
    if (!entry) {
        entry = load(f, rel);
        if (!entry) {
            return false;
        }
        size_t n = entry->bytes->len;
        if (n > MAX_CACHED_BYTES / 2) { // one file must not empty the cache: it goes straight out
            *out = *entry;
            free(entry);
            return true;
        }
        make_room(f, n);
        (void)gtv_map_put(f->cache, rel, entry);
        f->bytes += n;
    }
    *out = *entry;
    (void)gtv_bytes_ref(out->bytes);
    return true;
}

// RFC 9110, 13.1.2: a list of tags or "*", compared weakly.
static bool etag_matches(struct gtv_str list, const char *etag)
{
    while (list.n > 0) {
        struct gtv_str tag = gtv_str_trim(gtv_str_cut(&list, ','));
        if (gtv_str_starts(tag, GTV_STR("W/"))) {
            tag.p += 2;
            tag.n -= 2;
        }
        if (gtv_str_eq(tag, GTV_STR("*")) || gtv_str_eq(tag, gtv_str_of(etag))) {
            return true;
        }
    }
    return false;
}

static bool not_modified(const struct gtv_http_request *req, const struct cached *entry)
{
    struct gtv_str tags = gtv_http_header(req, "if-none-match");
    if (tags.p) {
        return etag_matches(tags, entry->etag);
    }
    char since[GTV_ISO8601_CAP];
    struct tm tm = {0};
    if (!gtv_str_copy(since, sizeof(since), gtv_http_header(req, "if-modified-since")) ||
        !strptime(since, "%a, %d %b %Y %H:%M:%S GMT", &tm)) {
        return false;
    }
    return entry->mtime.tv_sec <= timegm(&tm);
}

void gtv_http_files_reply(struct gtv_http_files *f, struct gtv_http_request *req, struct gtv_str rel)
{
    gtv_http_files_reply_with(f, req, rel, NULL, 0);
}

void gtv_http_files_reply_with(struct gtv_http_files *f, struct gtv_http_request *req, struct gtv_str rel,
                               const struct gtv_http_header *extra, size_t extra_count)
{
    assert(extra_count <= MAX_EXTRA_HEADERS);
    char index[PATH_MAX / 2 + 16];
    if (rel.n == 0 || rel.p[rel.n - 1] == '/') {
        int n = snprintf(index, sizeof(index), GTV_STR_FMT "index.html", GTV_STR_ARG(rel));
        rel = (struct gtv_str){index, n > 0 && (size_t)n < sizeof(index) ? (size_t)n : 0};
    }
    struct cached entry = {0};
    bool found = false;
    if (rel_valid(rel)) {
        pthread_mutex_lock(&f->lock);
        found = look_up(f, rel, &entry);
        pthread_mutex_unlock(&f->lock);
    }
    if (!found) {
        http_reply_error(req, GTV_E_NOT_FOUND, NULL);
        return;
    }
    struct gtv_http_header headers[OWN_HEADERS + MAX_EXTRA_HEADERS] = {
        {GTV_STR("Content-Type"), gtv_str_of(entry.type)},
        {GTV_STR("Cache-Control"), GTV_STR("no-cache")},
        {GTV_STR("ETag"), gtv_str_of(entry.etag)},
        {GTV_STR("Last-Modified"), gtv_str_of(entry.last_modified)},
        {GTV_STR("X-Content-Type-Options"), GTV_STR("nosniff")},
    };
    if (extra_count > 0) {
        memcpy(headers + OWN_HEADERS, extra, extra_count * sizeof(*extra));
    }
    bool same = not_modified(req, &entry);
    gtv_http_reply(req, same ? 304 : 200, headers, OWN_HEADERS + extra_count, same ? NULL : entry.bytes);
    gtv_bytes_unref(entry.bytes);
}
