// The figures: /stats, streaming:stats, the dashboard. Any thread.
#ifndef GTV_STREAMING_STATS_H
#define GTV_STREAMING_STATS_H

#include "services/streaming/app.h"

struct gtv_stats *gtv_stats_create(void);
void gtv_stats_destroy(struct gtv_stats *s);

// The stats JSON, at most a second old; a reference for the caller. NULL without memory.
struct gtv_bytes *gtv_stats_get(struct gtv_app *app) GTV_WARN_UNUSED;
// Something changed that the next answer must show.
void gtv_stats_stale(struct gtv_app *app);

// {"type":"dashboard","data":{...},"timestamp":...}
struct gtv_bytes *gtv_stats_dashboard(struct gtv_app *app) GTV_WARN_UNUSED;

// One stream as in /stats: {path,source{},ready,readers,bytes_received,bytes_sent,...}
void gtv_stats_add_stream(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app,
                          const struct gtv_path_state *state, int64_t now_ms);

// To four places; whole is not 0.
double gtv_stats_ratio(uint64_t part, uint64_t whole);
// What is sent now, and how much of it came out of the cache: {bitrate,requests,hit_ratio}; the ratio is null
// before the first request.
void gtv_stats_add_figures(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_viewed_stream *viewed);

#endif
