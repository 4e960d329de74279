// Work waits in a queue for each client, the clients of a kind in a ring. A worker takes from the kind whose
// turn it is the first work of the client whose turn it is, and moves both turns on.
#include "services/ai/engine/engine.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUCKET_BITS = 8,
    AVERAGE_SPAN = 16, // pictures over which the moving averages run, roughly
};

const char *const gtv_work_kind_names[GTV_WORK_KINDS] = {"request", "job", "look"};

// Exists while something of it waits.
struct client {
    uint64_t id;
    struct gtv_work *first, *last;
    size_t count;
    struct client *next, *before; // in the ring
    struct client *chained;       // in its bucket, or in the list of spares
};

struct queue {
    struct client *turn; // whose turn it is in the ring; NULL: nobody waits
    struct client *buckets[1 << BUCKET_BITS];
    size_t count, client_count, limit;
    struct gtv_histogram *wait_seconds;
    struct gtv_gauge *size;
};

struct worker {
    struct gtv_engine *engine;
    size_t index;
    pthread_t thread;
    // Its thread's alone.
    struct gtv_work **batch;
    struct gtv_detector_input *inputs;
    struct gtv_detections *found;
    // Guarded by the engine's lock.
    struct gtv_engine_worker_stats stats;
    int64_t busy_since_ns;
};

struct gtv_engine {
    pthread_mutex_t lock; // guards what follows up to workers
    pthread_cond_t work;
    struct queue queues[GTV_WORK_KINDS];
    size_t turn; // the kind whose turn it is
    size_t waiting, busy;
    struct client *spare;
    struct gtv_detector *detector;
    bool closing;
    uint64_t done[GTV_WORK_KINDS];
    double done_ms;
    double average_ms[GTV_WORK_KINDS], picture_ms; // moving; 0: none yet
    struct worker *workers;                        // constant from here on, but for their stats
    size_t worker_count, batch;
    int64_t started_ns;
    // All NULL without metrics.
    struct gtv_histogram *batch_size, *infer_seconds, *processing_seconds;
    struct gtv_counter *processed;
    struct gtv_gauge *pictures;
};

// ---- Queues (under the lock) ----

static struct client **bucket_of(struct queue *q, uint64_t id)
{
    return &q->buckets[(id * 0x9e3779b97f4a7c15U) >> (64 - BUCKET_BITS)];
}

static struct client *find(struct queue *q, uint64_t id)
{
    struct client *c = *bucket_of(q, id);
    while (c && c->id != id)
        c = c->chained;
    return c;
}

// A new client comes last in the round.
static struct client *add_client(struct gtv_engine *e, struct queue *q, uint64_t id)
{
    struct client *c = e->spare;
    if (c)
        e->spare = c->chained;
    else
        c = GTV_NEW(struct client);
    *c = (struct client){.id = id, .chained = *bucket_of(q, id)};
    *bucket_of(q, id) = c;
    if (q->turn) {
        c->next = q->turn;
        c->before = q->turn->before;
        c->before->next = c->next->before = c;
    } else {
        q->turn = c->next = c->before = c;
    }
    q->client_count++;
    return c;
}

static void remove_client(struct gtv_engine *e, struct queue *q, struct client *c)
{
    struct client **at = bucket_of(q, c->id);
    while (*at != c)
        at = &(*at)->chained;
    *at = c->chained;
    c->before->next = c->next;
    c->next->before = c->before;
    if (q->turn == c)
        q->turn = c->next == c ? NULL : c->next;
    q->client_count--;
    c->chained = e->spare;
    e->spare = c;
}

static void count(struct gtv_engine *e, struct queue *q, bool more)
{
    q->count = more ? q->count + 1 : q->count - 1;
    e->waiting = more ? e->waiting + 1 : e->waiting - 1;
    if (q->size)
        gtv_gauge_set(q->size, (int64_t)q->count);
    if (e->pictures)
        gtv_gauge_set(e->pictures,
                      (int64_t)(e->queues[GTV_WORK_REQUEST].count + e->queues[GTV_WORK_JOB].count));
}

static void append(struct gtv_engine *e, struct gtv_work *w)
{
    struct queue *q = &e->queues[w->kind];
    struct client *c = find(q, w->client);
    if (!c)
        c = add_client(e, q, w->client);
    w->next = NULL;
    w->before = c->last;
    if (c->last)
        c->last->next = w;
    else
        c->first = w;
    c->last = w;
    c->count++;
    w->waits = true;
    count(e, q, true);
}

static void take_out(struct gtv_engine *e, struct queue *q, struct client *c, struct gtv_work *w)
{
    if (w->before)
        w->before->next = w->next;
    else
        c->first = w->next;
    if (w->next)
        w->next->before = w->before;
    else
        c->last = w->before;
    w->next = w->before = NULL;
    w->waits = false;
    if (--c->count == 0)
        remove_client(e, q, c);
    count(e, q, false);
}

// The next one by the turns; something waits.
static struct gtv_work *take(struct gtv_engine *e)
{
    while (!e->queues[e->turn].count)
        e->turn = (e->turn + 1) % GTV_WORK_KINDS;
    struct queue *q = &e->queues[e->turn];
    e->turn = (e->turn + 1) % GTV_WORK_KINDS;
    struct client *c = q->turn;
    struct gtv_work *w = c->first;
    q->turn = c->next;
    take_out(e, q, c, w);
    w->wait_ms = (double)(gtv_mono_ns() - w->posted_ns) / 1e6;
    return w;
}

// Most pictures of one run. One where the device gains nothing by more: the first of several would only wait
// for the decoding of the others.
static size_t most_at_once(const struct gtv_engine *e)
{
    size_t step = gtv_detector_step(e->detector);
    return step < e->batch ? step : e->batch;
}

// A worker's share of what waits: the others shall have theirs.
static size_t share(const struct gtv_engine *e)
{
    size_t most = most_at_once(e);
    size_t n = (e->waiting + e->worker_count - 1) / e->worker_count;
    return n < most ? n : most;
}

// ---- A worker ----

static void follow(double *average, double value)
{
    *average = *average > 0 ? *average + (value - *average) / AVERAGE_SPAN : value;
}

// Gives a work back. ms: a worker's time for it; negative: there is no result to be counted.
static void release(struct worker *wk, struct gtv_work *w, double ms)
{
    struct gtv_engine *e = wk->engine;
    if (ms >= 0) {
        (void)pthread_mutex_lock(&e->lock);
        wk->stats.pictures++;
        e->done[w->kind]++;
        e->done_ms += ms;
        follow(&e->picture_ms, ms);
        follow(&e->average_ms[w->kind], ms);
        if (e->processed) {
            gtv_counter_add(e->processed, 1);
            gtv_histogram_observe(e->processing_seconds, ms / 1000);
        }
        (void)pthread_mutex_unlock(&e->lock);
    }
    w->ops->release(w, wk->index);
}

static double ms_since(int64_t ns)
{
    return (double)(gtv_mono_ns() - ns) / 1e6;
}

static void refuse_all(struct worker *wk, size_t n, const struct gtv_detector *d)
{
    struct gtv_error err = {0};
    const char *message = gtv_detector_message(d);
    gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "%s", message ? message : "there is no network");
    for (size_t i = 0; i < n; i++) {
        wk->batch[i]->ops->finish(wk->batch[i], wk->index, NULL, NULL, &err);
        release(wk, wk->batch[i], -1);
    }
}

// Those that are ready come to the front of the batch. Returns how many.
static size_t prepare(struct worker *wk, size_t n, struct gtv_detector *d, const struct gtv_model *model)
{
    size_t ready = 0;
    for (size_t i = 0; i < n; i++) {
        struct gtv_work *w = wk->batch[i];
        struct gtv_detector_input *in = &wk->inputs[ready];
        *in = (struct gtv_detector_input){.min_confidence = w->min_confidence, .vehicles = w->vehicles};
        int64_t start = gtv_mono_ns();
        bool ok = w->ops->prepare(w, wk->index, model, gtv_detector_pixels(d, wk->index, ready), &in->at);
        w->prepare_ms = ms_since(start);
        if (ok) {
            wk->batch[ready++] = w;
        } else {
            w->ops->finish(w, wk->index, model, NULL, NULL);
            release(wk, w, -1);
        }
    }
    return ready;
}

static void run(struct worker *wk, size_t n, struct gtv_detector *d)
{
    const struct gtv_engine *e = wk->engine;
    const struct gtv_model *model = gtv_detector_model(d);
    if (!model) {
        refuse_all(wk, n, d);
        return;
    }
    n = prepare(wk, n, d, model);
    if (!n)
        return;
    struct gtv_error err = {0};
    double infer_ms = 0;
    bool ok = gtv_detector_run(d, wk->index, wk->inputs, n, wk->found, &infer_ms, &err);
    if (e->batch_size) {
        gtv_histogram_observe(e->batch_size, (double)n);
        gtv_histogram_observe(e->infer_seconds, infer_ms / 1000);
    }
    for (size_t i = 0; i < n; i++) {
        struct gtv_work *w = wk->batch[i];
        w->infer_ms = infer_ms;
        w->batch = n;
        int64_t start = gtv_mono_ns();
        w->ops->finish(w, wk->index, model, ok ? &wk->found[i] : NULL, ok ? NULL : &err);
        release(wk, w, ok ? w->prepare_ms + infer_ms / (double)n + ms_since(start) : -1);
    }
}

// Takes its share of what waits and runs it. The lock is held before and after.
static void take_and_run(struct worker *wk)
{
    struct gtv_engine *e = wk->engine;
    size_t n = share(e);
    for (size_t i = 0; i < n; i++)
        wk->batch[i] = take(e);
    struct gtv_detector *d = gtv_detector_ref(e->detector);
    e->busy++;
    wk->stats.runs++;
    wk->stats.busy = true;
    wk->busy_since_ns = gtv_mono_ns();
    (void)pthread_mutex_unlock(&e->lock);
    for (size_t i = 0; i < n && e->batch_size; i++)
        gtv_histogram_observe(e->queues[wk->batch[i]->kind].wait_seconds, wk->batch[i]->wait_ms / 1000);
    run(wk, n, d);
    gtv_detector_unref(d);
    (void)pthread_mutex_lock(&e->lock);
    e->busy--;
    wk->stats.busy = false;
    wk->stats.busy_ms += ms_since(wk->busy_since_ns);
}

static void *work(void *arg)
{
    struct worker *wk = arg;
    struct gtv_engine *e = wk->engine;
    char name[16];
    snprintf(name, sizeof(name), "ai-worker-%zu", wk->index % 1000);
    (void)pthread_setname_np(pthread_self(), name);
    (void)pthread_mutex_lock(&e->lock);
    while (e->waiting || !e->closing) {
        if (e->waiting)
            take_and_run(wk);
        else
            (void)pthread_cond_wait(&e->work, &e->lock);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return NULL;
}

// ---- From outside ----

static void register_metrics(struct gtv_engine *e, struct gtv_metrics *m)
{
    static const double seconds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05,
                                     0.075,  0.1,   0.2,   0.5,   1,    2,    5,    10};
    static const double sizes[] = {1, 2, 4, 8, 16, 32, 64};
    e->processed =
        gtv_metrics_counter(m, "detections_processed_total", "", "Pictures and frames that were analysed.");
    e->pictures = gtv_metrics_gauge(m, "detection_queue_size", "", "Posted and queued pictures that wait.");
    e->processing_seconds = gtv_metrics_histogram(
        m, "detection_processing_seconds", "", "A worker's time for one picture or frame, without waiting.",
        seconds, sizeof(seconds) / sizeof(seconds[0]));
    for (size_t k = 0; k < GTV_WORK_KINDS; k++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "kind=\"%s\"", gtv_work_kind_names[k]);
        e->queues[k].size =
            gtv_metrics_gauge(m, "gtv_ai_queue_size", labels, "Pictures and looks that wait.");
        e->queues[k].wait_seconds =
            gtv_metrics_histogram(m, "gtv_ai_queue_wait_seconds", labels, "From posting to a worker.",
                                  seconds, sizeof(seconds) / sizeof(seconds[0]));
    }
    e->batch_size = gtv_metrics_histogram(m, "gtv_ai_batch_size", "", "Pictures of one run of the network.",
                                          sizes, sizeof(sizes) / sizeof(sizes[0]));
    e->infer_seconds = gtv_metrics_histogram(m, "gtv_ai_inference_seconds", "", "Runs of the network.",
                                             seconds, sizeof(seconds) / sizeof(seconds[0]));
}

static void start_worker(struct gtv_engine *e, size_t i)
{
    struct worker *wk = &e->workers[i];
    *wk = (struct worker){
        .engine = e,
        .index = i,
        .batch = gtv_alloc(e->batch * sizeof(struct gtv_work *)),
        .inputs = gtv_alloc(e->batch * sizeof(struct gtv_detector_input)),
        .found = gtv_alloc(e->batch * sizeof(struct gtv_detections)),
    };
    if (pthread_create(&wk->thread, NULL, work, wk) != 0)
        abort(); // at start, with nothing to fall back to
}

struct gtv_engine *gtv_engine_create(const struct gtv_engine_config *config)
{
    struct gtv_engine *e = GTV_NEW(struct gtv_engine);
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_cond_init(&e->work, NULL);
    for (size_t k = 0; k < GTV_WORK_KINDS; k++)
        e->queues[k].limit = config->limit[k];
    if (config->metrics)
        register_metrics(e, config->metrics);
    e->detector = gtv_detector_ref(config->detector);
    e->batch = config->batch ? config->batch : 1;
    e->started_ns = gtv_mono_ns();
    e->worker_count = config->workers;
    e->workers = gtv_alloc(config->workers * sizeof(*e->workers));
    for (size_t i = 0; i < config->workers; i++)
        start_worker(e, i);
    return e;
}

void gtv_engine_destroy(struct gtv_engine *e)
{
    if (!e)
        return;
    (void)pthread_mutex_lock(&e->lock);
    e->closing = true;
    (void)pthread_cond_broadcast(&e->work);
    (void)pthread_mutex_unlock(&e->lock);
    for (size_t i = 0; i < e->worker_count; i++) {
        (void)pthread_join(e->workers[i].thread, NULL);
        free(e->workers[i].batch);
        free(e->workers[i].inputs);
        free(e->workers[i].found);
    }
    while (e->spare) {
        struct client *c = e->spare;
        e->spare = c->chained;
        free(c);
    }
    gtv_detector_unref(e->detector);
    (void)pthread_cond_destroy(&e->work);
    (void)pthread_mutex_destroy(&e->lock);
    free(e->workers);
    free(e);
}

bool gtv_engine_post(struct gtv_engine *e, struct gtv_work *w)
{
    w->posted_ns = gtv_mono_ns();
    w->wait_ms = w->prepare_ms = w->infer_ms = 0;
    w->batch = 0;
    (void)pthread_mutex_lock(&e->lock);
    const struct queue *q = &e->queues[w->kind];
    bool ok = !e->closing && (!q->limit || q->count < q->limit);
    if (ok) {
        append(e, w);
        (void)pthread_cond_signal(&e->work);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return ok;
}

bool gtv_engine_withdraw(struct gtv_engine *e, struct gtv_work *w)
{
    (void)pthread_mutex_lock(&e->lock);
    bool waited = w->waits;
    if (waited) {
        struct queue *q = &e->queues[w->kind];
        take_out(e, q, find(q, w->client), w);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return waited;
}

// What comes before a new work of this client: all of its own, and of each other client as many as have
// their turn until then; of the other kinds as many again.
static double milliseconds_before(struct gtv_engine *e, enum gtv_work_kind kind, uint64_t client)
{
    struct queue *q = &e->queues[kind];
    const struct client *own = find(q, client);
    size_t rounds = own ? own->count + 1 : 1, before = rounds - 1;
    const struct client *c = q->turn;
    while (c) {
        if (c != own)
            before += c->count < rounds ? c->count : rounds;
        c = c->next == q->turn ? NULL : c->next;
    }
    double ms = 0;
    for (size_t k = 0; k < GTV_WORK_KINDS; k++) {
        size_t n = e->queues[k].count;
        if (k == kind)
            n = before;
        else if (n > before + 1)
            n = before + 1;
        ms += (double)n * (e->average_ms[k] > 0 ? e->average_ms[k] : e->picture_ms);
    }
    return ms;
}

double gtv_engine_expected_wait_ms(struct gtv_engine *e, enum gtv_work_kind kind, uint64_t client)
{
    (void)pthread_mutex_lock(&e->lock);
    double ms = 0;
    if (e->waiting || e->busy == e->worker_count) // those that run have half of their time before them
        ms = (milliseconds_before(e, kind, client) + (double)e->busy * e->picture_ms / 2) /
             (double)e->worker_count;
    (void)pthread_mutex_unlock(&e->lock);
    return ms;
}

struct gtv_detector *gtv_engine_detector(struct gtv_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    struct gtv_detector *d = gtv_detector_ref(e->detector);
    (void)pthread_mutex_unlock(&e->lock);
    return d;
}

void gtv_engine_swap(struct gtv_engine *e, struct gtv_detector *detector)
{
    (void)gtv_detector_ref(detector);
    (void)pthread_mutex_lock(&e->lock);
    struct gtv_detector *old = e->detector;
    e->detector = detector;
    (void)pthread_mutex_unlock(&e->lock);
    gtv_detector_unref(old);
}

void gtv_engine_get_stats(struct gtv_engine *e, struct gtv_engine_stats *out)
{
    (void)pthread_mutex_lock(&e->lock);
    *out = (struct gtv_engine_stats){
        .workers = e->worker_count,
        .busy = e->busy,
        .batch = most_at_once(e),
        .done_ms = e->done_ms,
        .picture_ms = e->picture_ms,
        .uptime_ms = (gtv_mono_ns() - e->started_ns) / 1000000,
    };
    for (size_t k = 0; k < GTV_WORK_KINDS; k++) {
        out->waiting[k] = e->queues[k].count;
        out->clients[k] = e->queues[k].client_count;
        out->done[k] = e->done[k];
    }
    (void)pthread_mutex_unlock(&e->lock);
}

void gtv_engine_get_worker(struct gtv_engine *e, size_t worker, struct gtv_engine_worker_stats *out)
{
    (void)pthread_mutex_lock(&e->lock);
    const struct worker *wk = &e->workers[worker];
    *out = wk->stats;
    if (wk->stats.busy)
        out->busy_ms += ms_since(wk->busy_since_ns);
    (void)pthread_mutex_unlock(&e->lock);
}
