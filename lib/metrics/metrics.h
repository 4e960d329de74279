// Prometheus metrics (text exposition format 0.0.4). Registered once at start; updates are lock-free and
// allowed on any thread.
#ifndef GTV_METRICS_METRICS_H
#define GTV_METRICS_METRICS_H

#include "lib/base/buf.h"

struct gtv_metrics;
struct gtv_counter;   // monotonic, unsigned 64 bit
struct gtv_gauge;     // signed 64 bit
struct gtv_histogram; // fixed bucket bounds, observations in seconds or whatever the name says

struct gtv_metrics *gtv_metrics_create(void);
void gtv_metrics_destroy(struct gtv_metrics *m);

// name by Prometheus' rules; labels is "" or a ready list as `method="GET",route="/x"`; the same name with
// other labels is one family. Asking twice for the same name and labels gives the same object. At most 2,000
// series; beyond that the family's overflow series is returned (labels overflow="true").
struct gtv_counter *gtv_metrics_counter(struct gtv_metrics *m, const char *name, const char *labels,
                                        const char *help);
struct gtv_gauge *gtv_metrics_gauge(struct gtv_metrics *m, const char *name, const char *labels,
                                    const char *help);
struct gtv_histogram *gtv_metrics_histogram(struct gtv_metrics *m, const char *name, const char *labels,
                                            const char *help, const double *bounds,
                                            size_t n); // bounds ascending, n <= 24, without +Inf

// Values of this counter or gauge, which is registered, are whole parts of its unit: with 1,000 parts the
// value 1,500 is written 1.5. For what Prometheus wants in seconds and we count in milliseconds.
void gtv_metrics_parts(struct gtv_metrics *m, const char *name, unsigned parts);
// gtv_build_info{program,version} 1.
void gtv_metrics_build_info(struct gtv_metrics *m, const char *program, const char *version);

void gtv_counter_add(struct gtv_counter *c, uint64_t n);
uint64_t gtv_counter_get(const struct gtv_counter *c);
void gtv_gauge_set(struct gtv_gauge *g, int64_t v);
void gtv_gauge_add(struct gtv_gauge *g, int64_t d);
int64_t gtv_gauge_get(const struct gtv_gauge *g);
void gtv_histogram_observe(struct gtv_histogram *h, double v);

// Appends all families, sorted by name, and the process's own (process_resident_memory_bytes,
// process_cpu_seconds_total, process_open_fds, process_max_fds, process_start_time_seconds).
void gtv_metrics_write(struct gtv_metrics *m, struct gtv_buf *out);

#endif
