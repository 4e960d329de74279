#include "lib/metrics/metrics.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/metrics/process.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_SERIES = 2000, MAX_BOUNDS = 24 };

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct gtv_counter {
    atomic_uint_fast64_t value;
};

struct gtv_gauge {
    atomic_int_fast64_t value;
};

struct gtv_histogram {
    const struct family *family;
    atomic_uint_fast64_t buckets[MAX_BOUNDS + 1]; // not cumulative; the last one is what is beyond all bounds
    atomic_uint_fast64_t sum;                     // the bits of a double
};

struct series {
    struct series *next;
    char *labels;
    union {
        struct gtv_counter counter;
        struct gtv_gauge gauge;
        struct gtv_histogram histogram;
    };
};

struct family {
    char *name, *help;
    enum kind kind;
    unsigned parts; // values are kept in so many parts of the unit that is written
    double bounds[MAX_BOUNDS];
    size_t bound_count;
    struct series *first, *last; // in order of registration
};

struct gtv_metrics {
    pthread_mutex_t lock; // guards the tree of families and series; their values are atomic
    struct gtv_map *families;
    size_t series_count;
    int64_t start_ms;
};

struct gtv_metrics *gtv_metrics_create(void)
{
    struct gtv_metrics *m = GTV_NEW(struct gtv_metrics);
    pthread_mutex_init(&m->lock, NULL);
    m->families = gtv_map_create();
    m->start_ms = gtv_wall_ms();
    return m;
}

static void free_family(void *value)
{
    struct family *f = value;
    for (struct series *s = f->first; s;) {
        struct series *next = s->next;
        free(s->labels);
        free(s);
        s = next;
    }
    free(f->name);
    free(f->help);
    free(f);
}

void gtv_metrics_destroy(struct gtv_metrics *m)
{
    if (!m)
        return;
    gtv_map_destroy(m->families, free_family);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct family *get_family(struct gtv_metrics *m, const char *name, const char *help, enum kind kind)
{
    struct family *f = gtv_map_get(m->families, gtv_str_of(name));
    if (!f) {
        f = GTV_NEW(struct family);
        f->name = gtv_strdup(name);
        f->help = gtv_strdup(help ? help : "");
        f->kind = kind;
        f->parts = 1;
        void *replaced = gtv_map_put(m->families, gtv_str_of(name), f);
        assert(!replaced);
        (void)replaced;
    }
    assert(f->kind == kind); // one name cannot be two kinds
    return f;
}

static struct series *find_series(struct family *f, const char *labels)
{
    for (struct series *s = f->first; s; s = s->next) {
        if (gtv_str_eq(gtv_str_of(s->labels), gtv_str_of(labels)))
            return s;
    }
    return NULL;
}

static struct series *get_series(struct gtv_metrics *m, struct family *f, const char *labels)
{
    struct series *s = find_series(f, labels ? labels : "");
    if (s)
        return s;
    if (m->series_count >= MAX_SERIES) {
        labels = "overflow=\"true\"";
        s = find_series(f, labels);
        if (s)
            return s;
    }
    m->series_count++;
    s = GTV_NEW(struct series);
    s->labels = gtv_strdup(labels ? labels : "");
    if (f->kind == HISTOGRAM)
        s->histogram.family = f;
    if (f->last)
        f->last->next = s;
    else
        f->first = s;
    f->last = s;
    return s;
}

struct gtv_counter *gtv_metrics_counter(struct gtv_metrics *m, const char *name, const char *labels,
                                        const char *help)
{
    pthread_mutex_lock(&m->lock);
    struct series *s = get_series(m, get_family(m, name, help, COUNTER), labels);
    pthread_mutex_unlock(&m->lock);
    return &s->counter;
}

struct gtv_gauge *gtv_metrics_gauge(struct gtv_metrics *m, const char *name, const char *labels,
                                    const char *help)
{
    pthread_mutex_lock(&m->lock);
    struct series *s = get_series(m, get_family(m, name, help, GAUGE), labels);
    pthread_mutex_unlock(&m->lock);
    return &s->gauge;
}

struct gtv_histogram *gtv_metrics_histogram(struct gtv_metrics *m, const char *name, const char *labels,
                                            const char *help, const double *bounds, size_t n)
{
    assert(n <= MAX_BOUNDS);
    pthread_mutex_lock(&m->lock);
    struct family *f = get_family(m, name, help, HISTOGRAM);
    if (!f->first) {
        memcpy(f->bounds, bounds, n * sizeof(*bounds));
        f->bound_count = n;
    }
    struct series *s = get_series(m, f, labels);
    pthread_mutex_unlock(&m->lock);
    return &s->histogram;
}

void gtv_metrics_parts(struct gtv_metrics *m, const char *name, unsigned parts)
{
    assert(parts > 0);
    pthread_mutex_lock(&m->lock);
    struct family *f = gtv_map_get(m->families, gtv_str_of(name));
    assert(f && f->kind != HISTOGRAM);
    f->parts = parts;
    pthread_mutex_unlock(&m->lock);
}

void gtv_metrics_build_info(struct gtv_metrics *m, const char *program, const char *version)
{
    char labels[160];
    (void)snprintf(labels, sizeof(labels), "program=\"%s\",version=\"%s\"", program, version);
    gtv_gauge_set(
        gtv_metrics_gauge(m, "gtv_build_info", labels, "1; the labels name the program and its version."), 1);
}

void gtv_counter_add(struct gtv_counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

uint64_t gtv_counter_get(const struct gtv_counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

void gtv_gauge_set(struct gtv_gauge *g, int64_t v)
{
    atomic_store_explicit(&g->value, v, memory_order_relaxed);
}

void gtv_gauge_add(struct gtv_gauge *g, int64_t d)
{
    atomic_fetch_add_explicit(&g->value, d, memory_order_relaxed);
}

int64_t gtv_gauge_get(const struct gtv_gauge *g)
{
    return atomic_load_explicit(&g->value, memory_order_relaxed);
}

static double to_double(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static uint64_t to_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

void gtv_histogram_observe(struct gtv_histogram *h, double v)
{
    size_t i = 0;
    while (i < h->family->bound_count && v > h->family->bounds[i])
        i++;
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    uint_fast64_t old = atomic_load_explicit(&h->sum, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&h->sum, &old, to_bits(to_double(old) + v),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static void write_histogram(const struct family *f, struct series *s, struct gtv_buf *out)
{
    const char *comma = s->labels[0] ? "," : "";
    uint64_t total = 0;
    for (size_t i = 0; i <= f->bound_count; i++) {
        total += atomic_load_explicit(&s->histogram.buckets[i], memory_order_relaxed);
        gtv_buf_printf(out, "%s_bucket{%s%sle=\"", f->name, s->labels, comma);
        if (i < f->bound_count)
            gtv_buf_printf(out, "%g", f->bounds[i]);
        else
            gtv_buf_puts(out, "+Inf");
        gtv_buf_printf(out, "\"} %" PRIu64 "\n", total);
    }
    const char *open = s->labels[0] ? "{" : "", *close = s->labels[0] ? "}" : "";
    double sum = to_double(atomic_load_explicit(&s->histogram.sum, memory_order_relaxed));
    gtv_buf_printf(out, "%s_sum%s%s%s %.17g\n", f->name, open, s->labels, close, sum);
    gtv_buf_printf(out, "%s_count%s%s%s %" PRIu64 "\n", f->name, open, s->labels, close, total);
}

static void write_help(struct gtv_buf *out, const char *name, const char *help)
{
    gtv_buf_printf(out, "# HELP %s ", name);
    for (; *help; help++) {
        if (*help == '\n')
            gtv_buf_puts(out, "\\n");
        else if (*help == '\\')
            gtv_buf_puts(out, "\\\\");
        else
            gtv_buf_append(out, help, 1);
    }
    gtv_buf_puts(out, "\n");
}

static double in_parts(const struct family *f, const struct series *s)
{
    return f->kind == COUNTER ? (double)gtv_counter_get(&s->counter) : (double)gtv_gauge_get(&s->gauge);
}

static void write_family(const struct family *f, struct gtv_buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    write_help(out, f->name, f->help);
    gtv_buf_printf(out, "# TYPE %s %s\n", f->name, kinds[f->kind]);
    for (struct series *s = f->first; s; s = s->next) {
        if (f->kind == HISTOGRAM) {
            write_histogram(f, s, out);
            continue;
        }
        const char *open = s->labels[0] ? "{" : "", *close = s->labels[0] ? "}" : "";
        gtv_buf_printf(out, "%s%s%s%s ", f->name, open, s->labels, close);
        if (f->parts > 1)
            gtv_buf_printf(out, "%.15g\n", in_parts(f, s) / f->parts);
        else if (f->kind == COUNTER)
            gtv_buf_printf(out, "%" PRIu64 "\n", gtv_counter_get(&s->counter));
        else
            gtv_buf_printf(out, "%" PRId64 "\n", gtv_gauge_get(&s->gauge));
    }
}

static int by_name(const void *a, const void *b)
{
    const struct family *const *fa = a, *const *fb = b;
    return strcmp((*fa)->name, (*fb)->name);
}

void gtv_metrics_write(struct gtv_metrics *m, struct gtv_buf *out)
{
    pthread_mutex_lock(&m->lock);
    size_t n = 0, it = 0;
    const struct family **sorted = gtv_alloc(gtv_map_count(m->families) * sizeof(const struct family *));
    void *value;
    while (gtv_map_next(m->families, &it, NULL, &value))
        sorted[n++] = value;
    qsort(sorted, n, sizeof(*sorted), by_name); // NOLINT(bugprone-sizeof-expression): pointers are sorted
    for (size_t i = 0; i < n; i++)
        write_family(sorted[i], out);
    pthread_mutex_unlock(&m->lock);
    free(sorted);
    metrics_write_process(out, m->start_ms);
}
