#include "services/media/record/index.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
    int64_t start;
    uint64_t size;
    uint32_t duration_ms;
    uint32_t init;
    uint32_t other; // its name's place in others; 0: the pattern's with the start
};

struct path {
    char *name, *pattern;
    struct gtv_record_limits limits;
    struct entry *list; // ascending by start
    size_t n, cap;
    char **others; // from 1
    size_t other_count;
    uint64_t bytes;
    bool growing;
    int64_t grows; // start of the growing file
    struct gtv_mp4_keys keys;
};

struct gtv_record_index {
    pthread_mutex_t lock; // guards all below
    char *root;
    struct gtv_map *paths;
    uint64_t bytes;
};

enum { NO_OTHERS = 1000000 }; // names that differ from the pattern, a path; beyond it they are not listed

uint32_t gtv_record_hash(struct gtv_str data)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < data.n; i++) {
        hash = (hash ^ (uint8_t)data.p[i]) * 16777619U;
    }
    return hash;
}

void gtv_record_spans_free(struct gtv_record_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(spans[i].file);
        gtv_mp4_keys_finish(&spans[i].keys);
    }
    free(spans);
}

struct gtv_record_index *gtv_record_index_create(const char *root)
{
    struct gtv_record_index *x = GTV_NEW(struct gtv_record_index);
    pthread_mutex_init(&x->lock, NULL);
    x->root = gtv_strdup(root);
    x->paths = gtv_map_create();
    return x;
}

static void forget_files(struct gtv_record_index *x, struct path *p)
{
    for (size_t i = 1; i <= p->other_count; i++) {
        free(p->others[i]);
    }
    free(p->others);
    free(p->list);
    x->bytes -= p->bytes;
    p->others = NULL;
    p->list = NULL;
    p->n = p->cap = p->other_count = 0;
    p->bytes = 0;
}

static void path_free(struct gtv_record_index *x, struct path *p)
{
    forget_files(x, p);
    gtv_mp4_keys_finish(&p->keys);
    free(p->name);
    free(p->pattern);
    free(p);
}

void gtv_record_index_destroy(struct gtv_record_index *x)
{
    if (x == NULL) {
        return;
    }
    size_t it = 0;
    void *value;
    while (gtv_map_next(x->paths, &it, NULL, &value)) {
        path_free(x, value);
    }
    gtv_map_destroy(x->paths, NULL);
    pthread_mutex_destroy(&x->lock);
    free(x->root);
    free(x);
}

// ---- Entries ----

// The first entry whose start is not before `start`.
static size_t place(const struct path *p, int64_t start)
{
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->list[middle].start < start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct entry *at(const struct path *p, int64_t start)
{
    size_t i = place(p, start);
    return i < p->n && p->list[i].start == start ? &p->list[i] : NULL;
}

static int64_t duration_of(const struct entry *e)
{
    return (int64_t)e->duration_ms * 90;
}

static uint32_t to_ms(int64_t duration)
{
    int64_t ms = duration / 90;
    return ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static bool name_of(const struct gtv_record_index *x, const struct path *p, const struct entry *e,
                    char out[GTV_RECORD_FILE_MAX])
{
    if (e->other != 0) {
        return gtv_str_copy(out, GTV_RECORD_FILE_MAX, gtv_str_of(p->others[e->other]));
    }
    return gtv_record_pattern_write(x->root, p->pattern, p->name, gtv_ticks_to_us(e->start), 0, out);
}

static uint32_t remember_name(struct path *p, const char *file)
{
    if (p->other_count >= NO_OTHERS) {
        return 0;
    }
    p->others = gtv_realloc(p->others, (p->other_count + 2) * sizeof *p->others);
    p->others[0] = NULL;
    p->others[++p->other_count] = gtv_strdup(file);
    return (uint32_t)p->other_count;
}

static void insert(struct path *p, size_t i, const struct entry *e)
{
    if (p->n == p->cap) {
        p->cap = p->cap > 0 ? p->cap + p->cap / 2 : 8;
        p->list = gtv_realloc(p->list, p->cap * sizeof *p->list);
    }
    memmove(p->list + i + 1, p->list + i, (p->n - i) * sizeof *p->list);
    p->list[i] = *e;
    p->n++;
}

static void drop(struct gtv_record_index *x, struct path *p, size_t i)
{
    struct entry *e = &p->list[i];
    p->bytes -= e->size;
    x->bytes -= e->size;
    if (e->other != 0) {
        // The place stays taken until the path is forgotten; its text does not.
        free(p->others[e->other]);
        p->others[e->other] = gtv_strdup("");
    }
    memmove(e, e + 1, (p->n - i - 1) * sizeof *e);
    p->n--;
}

// ---- Paths ----

bool gtv_record_index_path_set(struct gtv_record_index *x, struct gtv_str name, const char *pattern,
                               const struct gtv_record_limits *limits)
{
    pthread_mutex_lock(&x->lock);
    struct path *p = gtv_map_get(x->paths, name);
    bool look = p == NULL;
    if (p == NULL) {
        p = GTV_NEW(struct path);
        p->name = gtv_strndup(name);
        p->pattern = gtv_strdup(pattern);
        gtv_map_put(x->paths, name, p);
    } else if (strcmp(p->pattern, pattern) != 0) {
        const struct entry *grows = p->growing ? at(p, p->grows) : NULL;
        char file[GTV_RECORD_FILE_MAX];
        struct entry kept = grows != NULL ? *grows : (struct entry){0};
        bool keep = grows != NULL && name_of(x, p, grows, file);
        forget_files(x, p);
        free(p->pattern);
        p->pattern = gtv_strdup(pattern);
        if (keep) {
            kept.other = remember_name(p, file);
            insert(p, 0, &kept);
            p->bytes += kept.size;
            x->bytes += kept.size;
        }
        look = true;
    }
    p->limits = *limits;
    pthread_mutex_unlock(&x->lock);
    return look;
}

void gtv_record_index_path_remove(struct gtv_record_index *x, struct gtv_str name)
{
    pthread_mutex_lock(&x->lock);
    struct path *p = gtv_map_remove(x->paths, name);
    if (p != NULL) {
        path_free(x, p);
    }
    pthread_mutex_unlock(&x->lock);
}

// ---- Changes ----

bool gtv_record_index_add(struct gtv_record_index *x, struct gtv_str name, const char *file,
                          struct gtv_record_info *info, bool growing)
{
    char known[GTV_RECORD_FILE_MAX];
    bool added = false;
    pthread_mutex_lock(&x->lock);
    struct path *p = gtv_map_get(x->paths, name);
    if (p == NULL) {
        goto unlock;
    }
    const struct entry *same;
    while ((same = at(p, info->start)) != NULL) {
        if (name_of(x, p, same, known) && strcmp(known, file) == 0) {
            goto unlock;
        }
        info->start++;
    }
    struct entry e = {
        .start = info->start, .size = info->size, .duration_ms = to_ms(info->duration), .init = info->init};
    if (!name_of(x, p, &e, known) || strcmp(known, file) != 0) {
        e.other = remember_name(p, file);
        if (e.other == 0) {
            goto unlock;
        }
    }
    insert(p, place(p, e.start), &e);
    p->bytes += e.size;
    x->bytes += e.size;
    if (growing) {
        p->growing = true;
        p->grows = e.start;
        p->keys.n = 0;
    }
    added = true;
unlock:
    pthread_mutex_unlock(&x->lock);
    return added;
}

void gtv_record_index_grow(struct gtv_record_index *x, struct gtv_str name, int64_t start, uint64_t size,
                           int64_t duration, const struct gtv_mp4_key *key)
{
    pthread_mutex_lock(&x->lock);
    struct path *p = gtv_map_get(x->paths, name);
    struct entry *e = p != NULL ? at(p, start) : NULL;
    if (e != NULL) {
        p->bytes += size - e->size;
        x->bytes += size - e->size;
        e->size = size;
        e->duration_ms = to_ms(duration);
        if (key != NULL && p->growing && p->grows == start) {
            (void)gtv_mp4_keys_add(&p->keys, *key); // without memory a seek goes to an earlier one
        }
    }
    pthread_mutex_unlock(&x->lock);
}

void gtv_record_index_close(struct gtv_record_index *x, struct gtv_str name, int64_t start, uint64_t size)
{
    pthread_mutex_lock(&x->lock);
    struct path *p = gtv_map_get(x->paths, name);
    struct entry *e = p != NULL ? at(p, start) : NULL;
    if (e != NULL) {
        p->bytes += size - e->size;
        x->bytes += size - e->size;
        e->size = size;
    }
    if (p != NULL && p->growing && p->grows == start) {
        p->growing = false;
        gtv_mp4_keys_finish(&p->keys);
    }
    pthread_mutex_unlock(&x->lock);
}

void gtv_record_index_remove(struct gtv_record_index *x, struct gtv_str name, int64_t start)
{
    pthread_mutex_lock(&x->lock);
    struct path *p = gtv_map_get(x->paths, name);
    const struct entry *e = p != NULL ? at(p, start) : NULL;
    if (e != NULL) {
        if (p->growing && p->grows == start) {
            p->growing = false;
            gtv_mp4_keys_finish(&p->keys);
        }
        drop(x, p, (size_t)(e - p->list));
    }
    pthread_mutex_unlock(&x->lock);
}

bool gtv_record_index_knows(struct gtv_record_index *x, struct gtv_str name, const char *file,
                            int64_t named_us)
{
    char known[GTV_RECORD_FILE_MAX];
    bool found = false;
    pthread_mutex_lock(&x->lock);
    struct path *p = gtv_map_get(x->paths, name);
    if (p != NULL) {
        // Names say the microsecond or, without %f, the second.
        int64_t from = gtv_us_to_ticks(named_us) - 1, to = gtv_us_to_ticks(named_us + 1000000) + 1;
        for (size_t i = place(p, from); i < p->n && p->list[i].start <= to && !found; i++) {
            found = name_of(x, p, &p->list[i], known) && strcmp(known, file) == 0;
        }
        const struct entry *grows = !found && p->growing ? at(p, p->grows) : NULL;
        found = found || (grows != NULL && name_of(x, p, grows, known) && strcmp(known, file) == 0);
    }
    pthread_mutex_unlock(&x->lock);
    return found;
}

// ---- Questions ----

// Entries that overlap [from, to) begin here or later: files may overlap one another (a clock stepped back),
// so the search goes back as far as any file reaches.
static size_t first_overlap(const struct path *p, int64_t from)
{
    size_t i = place(p, from);
    const int64_t longest = (int64_t)UINT32_MAX * 90;
    size_t first = i;
    // The one before is the only candidate unless clocks stepped; a handful more is looked at for that.
    for (size_t back = 0; i > 0 && back < 64 && from - p->list[i - 1].start < longest; back++) {
        i--;
        if (p->list[i].start + duration_of(&p->list[i]) > from) {
            first = i;
        }
    }
    return first;
}

static bool overlaps(const struct entry *e, int64_t from, int64_t to)
{
    return e->start < to && e->start + duration_of(e) > from;
}

static struct gtv_record_info info_of(const struct entry *e)
{
    return (struct gtv_record_info){e->start, duration_of(e), e->size, e->init};
}

struct gtv_record_span *gtv_record_index_find(struct gtv_record_index *x, struct gtv_str name, int64_t from,
                                              int64_t to, size_t most, size_t *n)
{
    struct gtv_record_span *spans = NULL;
    char file[GTV_RECORD_FILE_MAX];
    size_t cap = 0;
    *n = 0;
    pthread_mutex_lock(&x->lock);
    const struct path *p = gtv_map_get(x->paths, name);
    for (size_t i = p != NULL ? first_overlap(p, from) : 0;
         p != NULL && i < p->n && p->list[i].start < to && *n < most; i++) {
        const struct entry *e = &p->list[i];
        if (!overlaps(e, from, to) || !name_of(x, p, e, file)) {
            continue;
        }
        if (*n == cap) {
            cap = cap > 0 ? cap * 2 : 8;
            spans = gtv_realloc(spans, cap * sizeof *spans);
        }
        struct gtv_record_span *s = &spans[(*n)++];
        *s = (struct gtv_record_span){
            .file = gtv_strdup(file), .info = info_of(e), .growing = p->growing && p->grows == e->start};
        for (size_t k = 0; s->growing && k < p->keys.n; k++) {
            (void)gtv_mp4_keys_add(&s->keys, p->keys.list[k]);
        }
    }
    pthread_mutex_unlock(&x->lock);
    return spans;
}

struct gtv_record_info *gtv_record_index_list(struct gtv_record_index *x, struct gtv_str name, int64_t from,
                                              int64_t to, size_t *n)
{
    struct gtv_record_info *list = NULL;
    *n = 0;
    pthread_mutex_lock(&x->lock);
    const struct path *p = gtv_map_get(x->paths, name);
    if (p != NULL && p->n > 0) {
        size_t first = first_overlap(p, from), last = place(p, to);
        list = last > first ? reallocarray(NULL, last - first, sizeof *list) : NULL;
        for (size_t i = first; list != NULL && i < last; i++) {
            if (overlaps(&p->list[i], from, to)) {
                list[(*n)++] = info_of(&p->list[i]);
            }
        }
    }
    pthread_mutex_unlock(&x->lock);
    if (*n == 0) {
        free(list);
        return NULL;
    }
    return list;
}

bool gtv_record_index_totals(struct gtv_record_index *x, struct gtv_str name, uint64_t *files,
                             uint64_t *bytes)
{
    pthread_mutex_lock(&x->lock);
    const struct path *p = gtv_map_get(x->paths, name);
    *files = p != NULL ? p->n : 0;
    *bytes = p != NULL ? p->bytes : 0;
    pthread_mutex_unlock(&x->lock);
    return p != NULL;
}

uint64_t gtv_record_index_bytes(struct gtv_record_index *x)
{
    pthread_mutex_lock(&x->lock);
    uint64_t bytes = x->bytes;
    pthread_mutex_unlock(&x->lock);
    return bytes;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **gtv_record_index_names(struct gtv_record_index *x, size_t *n)
{
    size_t it = 0, text = 0;
    void *value;
    *n = 0;
    pthread_mutex_lock(&x->lock);
    while (gtv_map_next(x->paths, &it, NULL, &value)) {
        const struct path *p = value;
        *n += p->n > 0;
        text += p->n > 0 ? strlen(p->name) + 1 : 0;
    }
    char **names = *n > 0 ? gtv_alloc(*n * sizeof *names + text) : NULL;
    char *next = *n > 0 ? (char *)(names + *n) : NULL;
    size_t i = 0;
    it = 0;
    while (names != NULL && gtv_map_next(x->paths, &it, NULL, &value)) {
        const struct path *p = value;
        if (p->n > 0) {
            size_t len = strlen(p->name) + 1;
            memcpy(next, p->name, len);
            names[i++] = next;
            next += len;
        }
    }
    pthread_mutex_unlock(&x->lock);
    if (names != NULL) {
        qsort(names, *n, sizeof *names, by_name);
    }
    return names;
}

// ---- What has to go ----

static bool to_victim(const struct gtv_record_index *x, const struct path *p, const struct entry *e,
                      const char *reason, struct gtv_record_victim *out)
{
    out->start = e->start;
    out->size = e->size;
    out->reason = reason;
    return gtv_str_copy(out->name, sizeof out->name, gtv_str_of(p->name)) && name_of(x, p, e, out->file);
}

static const struct entry *oldest(const struct path *p)
{
    for (size_t i = 0; i < p->n && i < 2; i++) {
        if (!p->growing || p->list[i].start != p->grows) {
            return &p->list[i];
        }
    }
    return NULL;
}

bool gtv_record_index_condemned(struct gtv_record_index *x, int64_t now, struct gtv_record_victim *out)
{
    bool found = false;
    size_t it = 0;
    void *value;
    pthread_mutex_lock(&x->lock);
    while (!found && gtv_map_next(x->paths, &it, NULL, &value)) {
        const struct path *p = value;
        const struct entry *e = oldest(p);
        if (e == NULL) {
            continue;
        }
        int64_t after = p->limits.delete_after_ms;
        if (after > 0 && e->start + duration_of(e) < now - after * 90) {
            found = to_victim(x, p, e, "age", out);
        } else if (p->limits.max_bytes > 0 && p->bytes > (uint64_t)p->limits.max_bytes) {
            found = to_victim(x, p, e, "quota", out);
        }
    }
    pthread_mutex_unlock(&x->lock);
    return found;
}

bool gtv_record_index_oldest(struct gtv_record_index *x, struct gtv_record_victim *out)
{
    const struct path *best_path = NULL;
    const struct entry *best = NULL;
    size_t it = 0;
    void *value;
    pthread_mutex_lock(&x->lock);
    while (gtv_map_next(x->paths, &it, NULL, &value)) {
        const struct entry *e = oldest(value);
        if (e != NULL && (best == NULL || e->start < best->start)) {
            best = e;
            best_path = value;
        }
    }
    bool found = best != NULL && to_victim(x, best_path, best, "room", out);
    pthread_mutex_unlock(&x->lock);
    return found;
}

bool gtv_record_index_at(struct gtv_record_index *x, struct gtv_str name, int64_t start,
                         struct gtv_record_victim *out, bool *growing)
{
    pthread_mutex_lock(&x->lock);
    const struct path *p = gtv_map_get(x->paths, name);
    const struct entry *e = p != NULL ? at(p, start) : NULL;
    bool found = e != NULL && to_victim(x, p, e, "request", out);
    if (growing != NULL) {
        *growing = found && p->growing && p->grows == start;
    }
    pthread_mutex_unlock(&x->lock);
    return found;
}
