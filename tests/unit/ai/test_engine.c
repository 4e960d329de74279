// The engine over a detector of our own: it finds in each picture as many cars as its first byte says.
#include "services/ai/engine/engine.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/metrics/metrics.h"

#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { SLOTS = 3, BATCH = 4, PIXELS = 16 };

struct gtv_detector {
    atomic_int refs;
    bool has_network, fails;
    size_t batch;
    struct gtv_model model;
    uint8_t pixels[SLOTS][BATCH][PIXELS];
    atomic_bool running[SLOTS];
    atomic_int runs, most;
};

struct gtv_detector *gtv_detector_ref(struct gtv_detector *d)
{
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void gtv_detector_unref(struct gtv_detector *d)
{
    if (d)
        assert_true(atomic_fetch_sub(&d->refs, 1) > 1); // the test holds one
}

const struct gtv_model *gtv_detector_model(const struct gtv_detector *d)
{
    return d->has_network ? &d->model : NULL;
}

const char *gtv_detector_message(const struct gtv_detector *d)
{
    return d->has_network ? NULL : "no network here";
}

uint8_t *gtv_detector_pixels(struct gtv_detector *d, size_t slot, size_t picture)
{
    assert_true(slot < SLOTS && picture < BATCH);
    return d->pixels[slot][picture];
}

size_t gtv_detector_step(const struct gtv_detector *d)
{
    return d->batch;
}

bool gtv_detector_run(struct gtv_detector *d, size_t slot, const struct gtv_detector_input *inputs,
                      size_t count, struct gtv_detections *out, double *infer_ms, struct gtv_error *err)
{
    assert_false(atomic_exchange(&d->running[slot], true));
    atomic_fetch_add(&d->runs, 1);
    if ((int)count > atomic_load(&d->most))
        atomic_store(&d->most, (int)count);
    for (size_t i = 0; i < count; i++)
        out[i].count = d->pixels[slot][i][0];
    *infer_ms = 2;
    if (d->fails)
        gtv_error_set(err, GTV_E_IO, NULL, "the run failed");
    atomic_store(&d->running[slot], false);
    return !d->fails;
}

struct note {
    struct gtv_work work;
    uint8_t value;
    bool refuses; // prepare says no
    atomic_int prepared, finished, released;
    int order;
    size_t found; // what finish was told; SIZE_MAX: nothing
    enum gtv_code code;
    bool had_model;
};

static atomic_int sequence;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_int at_gate;

static bool prepare(struct gtv_work *w, size_t worker, const struct gtv_model *model, uint8_t *pixels,
                    struct gtv_geometry *g)
{
    struct note *n = (struct note *)(void *)w;
    assert_non_null(model);
    n->order = atomic_fetch_add(&sequence, 1);
    atomic_fetch_add(&n->prepared, 1);
    pixels[0] = n->value;
    return !n->refuses;
}

static bool prepare_at_gate(struct gtv_work *w, size_t worker, const struct gtv_model *model, uint8_t *pixels,
                            struct gtv_geometry *g)
{
    atomic_fetch_add(&at_gate, 1);
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
    return prepare(w, worker, model, pixels, g);
}

static void finish(struct gtv_work *w, size_t worker, const struct gtv_model *model,
                   const struct gtv_detections *found, const struct gtv_error *err)
{
    struct note *n = (struct note *)(void *)w;
    n->found = found ? found->count : SIZE_MAX;
    n->code = err ? err->code : GTV_OK;
    n->had_model = model != NULL;
    atomic_fetch_add(&n->finished, 1);
}

static void release(struct gtv_work *w, size_t worker)
{
    struct note *n = (struct note *)(void *)w;
    atomic_fetch_add(&n->released, 1);
}

static const struct gtv_work_ops ops = {prepare, finish, release};
static const struct gtv_work_ops gate_ops = {prepare_at_gate, finish, release};

static struct gtv_detector *new_detector(size_t batch)
{
    struct gtv_detector *d = GTV_NEW(struct gtv_detector);
    atomic_init(&d->refs, 1);
    d->has_network = true;
    d->batch = batch;
    return d;
}

static struct gtv_engine *new_engine(struct gtv_detector *d, size_t workers, size_t limit)
{
    return gtv_engine_create(&(struct gtv_engine_config){
        .workers = workers, .batch = BATCH, .limit = {limit, limit, 0}, .detector = d});
}

static void post(struct gtv_engine *e, struct note *n, enum gtv_work_kind kind, uint64_t client)
{
    n->work = (struct gtv_work){.ops = &ops, .kind = kind, .client = client};
    assert_true(gtv_engine_post(e, &n->work));
}

// Until the one worker stands at the gate, which is locked.
static void hold(struct gtv_engine *e, struct note *n)
{
    atomic_store(&at_gate, 0);
    (void)pthread_mutex_lock(&gate);
    n->work = (struct gtv_work){.ops = &gate_ops, .kind = GTV_WORK_LOOK};
    assert_true(gtv_engine_post(e, &n->work));
    while (!atomic_load(&at_gate))
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    atomic_store(&sequence, 0);
}

static void open_gate(void)
{
    (void)pthread_mutex_unlock(&gate);
}

struct poster {
    struct gtv_engine *engine;
    struct note *notes;
    size_t count;
    enum gtv_work_kind kind;
};

static void *post_many(void *arg)
{
    struct poster *p = arg;
    for (size_t i = 0; i < p->count; i++) {
        p->notes[i].value = (uint8_t)(i % 50);
        post(p->engine, &p->notes[i], p->kind, i % 7);
    }
    return NULL;
}

static void everything_runs_once_with_its_own_result(void **state)
{
    enum { N = 1500 };
    static struct note notes[GTV_WORK_KINDS][N];
    struct gtv_detector *d = new_detector(BATCH);
    struct gtv_metrics *m = gtv_metrics_create();
    struct gtv_engine *e = gtv_engine_create(&(struct gtv_engine_config){
        .workers = SLOTS, .batch = BATCH, .limit = {N, N, 0}, .detector = d, .metrics = m});
    struct poster posters[GTV_WORK_KINDS];
    pthread_t threads[GTV_WORK_KINDS];
    for (size_t k = 0; k < GTV_WORK_KINDS; k++) {
        posters[k] = (struct poster){e, notes[k], N, (enum gtv_work_kind)k};
        assert_int_equal(pthread_create(&threads[k], NULL, post_many, &posters[k]), 0);
    }
    for (size_t k = 0; k < GTV_WORK_KINDS; k++)
        (void)pthread_join(threads[k], NULL);
    struct gtv_detector *other = new_detector(2); // in the middle of it
    gtv_engine_swap(e, other);
    gtv_engine_destroy(e); // runs what still waits
    for (size_t k = 0; k < GTV_WORK_KINDS; k++)
        for (size_t i = 0; i < N; i++) {
            const struct note *n = &notes[k][i];
            assert_int_equal(atomic_load(&n->prepared), 1);
            assert_int_equal(atomic_load(&n->finished), 1);
            assert_int_equal(atomic_load(&n->released), 1);
            assert_int_equal(n->found, n->value);
            assert_true(n->work.batch >= 1 && n->work.batch <= BATCH && n->work.infer_ms > 1);
        }
    assert_int_equal(gtv_counter_get(gtv_metrics_counter(m, "detections_processed_total", "", "")), 3 * N);
    assert_int_equal(atomic_load(&d->refs), 1);
    assert_int_equal(atomic_load(&other->refs), 1);
    gtv_metrics_destroy(m);
    free(d);
    free(other);
}

static void kinds_and_clients_take_turns(void **state)
{
    struct gtv_detector *d = new_detector(1);
    struct gtv_engine *e = new_engine(d, 1, 100);
    struct note first = {0}, greedy[8] = {0}, modest[2] = {0}, looks[3] = {0}, jobs[3] = {0};
    hold(e, &first);
    for (int i = 0; i < 8; i++)
        post(e, &greedy[i], GTV_WORK_REQUEST, 1);
    for (int i = 0; i < 2; i++)
        post(e, &modest[i], GTV_WORK_REQUEST, 2);
    for (int i = 0; i < 3; i++) {
        post(e, &jobs[i], GTV_WORK_JOB, 5);
        post(e, &looks[i], GTV_WORK_LOOK, (uint64_t)i);
    }
    struct gtv_engine_stats stats;
    gtv_engine_get_stats(e, &stats);
    assert_int_equal(stats.waiting[GTV_WORK_REQUEST], 10);
    assert_int_equal(stats.clients[GTV_WORK_REQUEST], 2);
    assert_int_equal(stats.clients[GTV_WORK_LOOK], 3);
    assert_int_equal(stats.busy, 1);
    open_gate();
    gtv_engine_destroy(e);
    // After the first, which is number 0: request, job, look, and so on; among the requests turn about.
    for (int i = 0; i < 3; i++) {
        assert_int_equal(jobs[i].order, 2 + 3 * i);
        assert_int_equal(looks[i].order, 3 + 3 * i);
    }
    assert_int_equal(greedy[0].order, 1);
    assert_int_equal(modest[0].order, 4);
    assert_int_equal(greedy[1].order, 7);
    assert_int_equal(modest[1].order, 10);
    for (int i = 2; i < 8; i++)
        assert_int_equal(greedy[i].order, 9 + i);
    free(d);
}

static void each_kind_is_bounded_by_itself(void **state)
{
    struct gtv_detector *d = new_detector(1);
    struct gtv_engine *e = new_engine(d, 1, 2);
    struct note first = {0}, requests[2] = {0}, job = {0}, looks[5] = {0};
    hold(e, &first);
    for (int i = 0; i < 2; i++)
        post(e, &requests[i], GTV_WORK_REQUEST, (uint64_t)i);
    struct note refused = {.work = {.ops = &ops, .kind = GTV_WORK_REQUEST, .client = 9}};
    assert_false(gtv_engine_post(e, &refused.work));
    post(e, &job, GTV_WORK_JOB, 1);
    for (int i = 0; i < 5; i++)
        post(e, &looks[i], GTV_WORK_LOOK, (uint64_t)i);
    open_gate();
    gtv_engine_destroy(e);
    assert_int_equal(atomic_load(&refused.released), 0);
    assert_int_equal(atomic_load(&job.released), 1);
    free(d);
}

static void what_waits_can_be_withdrawn(void **state)
{
    struct gtv_detector *d = new_detector(1);
    struct gtv_engine *e = new_engine(d, 1, 10);
    struct note first = {0}, notes[4] = {0};
    hold(e, &first);
    for (int i = 0; i < 4; i++)
        post(e, &notes[i], GTV_WORK_REQUEST, i == 3 ? 2 : 1);
    assert_true(gtv_engine_withdraw(e, &notes[1].work)); // in the middle
    assert_false(gtv_engine_withdraw(e, &notes[1].work));
    assert_true(gtv_engine_withdraw(e, &notes[0].work)); // at the front
    assert_true(gtv_engine_withdraw(e, &notes[3].work)); // the client's last
    assert_false(gtv_engine_withdraw(e, &first.work));   // a worker has it
    struct gtv_engine_stats stats;
    gtv_engine_get_stats(e, &stats);
    assert_int_equal(stats.waiting[GTV_WORK_REQUEST], 1);
    assert_int_equal(stats.clients[GTV_WORK_REQUEST], 1);
    post(e, &notes[3], GTV_WORK_REQUEST, 2); // and posted again
    open_gate();
    gtv_engine_destroy(e);
    const int released[] = {0, 0, 1, 1};
    for (int i = 0; i < 4; i++)
        assert_int_equal(atomic_load(&notes[i].released), released[i]);
    free(d);
}

static void a_queue_is_gathered_up_to_the_detector_s_batch(void **state)
{
    struct gtv_detector *d = new_detector(3);
    struct gtv_engine *e = new_engine(d, 1, 20);
    struct note first = {0}, notes[7] = {0};
    hold(e, &first);
    for (int i = 0; i < 7; i++) {
        notes[i].value = (uint8_t)(10 + i);
        notes[i].refuses = i == 1;
        post(e, &notes[i], GTV_WORK_REQUEST, 1);
    }
    open_gate();
    gtv_engine_destroy(e);
    assert_int_equal(first.work.batch, 1);
    assert_int_equal(atomic_load(&d->most), 3);
    assert_int_equal(atomic_load(&d->runs), 4); // first, 3 without the one that refuses, 3, 1
    for (int i = 0; i < 7; i++) {
        assert_int_equal(notes[i].found, i == 1 ? SIZE_MAX : (size_t)(10 + i));
        assert_int_equal(atomic_load(&notes[i].released), 1);
        assert_int_equal(notes[i].code, GTV_OK);
    }
    free(d);
}

static void failures_are_told(void **state)
{
    struct gtv_detector *fails = new_detector(2), *none = new_detector(1);
    fails->fails = true;
    none->has_network = false;
    struct note a = {0}, b = {0};
    struct gtv_engine *e = new_engine(fails, 1, 10);
    post(e, &a, GTV_WORK_JOB, 1);
    while (!atomic_load(&a.released))
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    gtv_engine_swap(e, none);
    post(e, &b, GTV_WORK_JOB, 1);
    while (!atomic_load(&b.released))
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    struct gtv_engine_stats stats;
    gtv_engine_get_stats(e, &stats);
    assert_int_equal(stats.done[GTV_WORK_JOB], 0);
    assert_true(stats.picture_ms <= 0);
    gtv_engine_destroy(e);
    assert_int_equal(a.code, GTV_E_IO);
    assert_true(a.had_model && a.found == SIZE_MAX);
    assert_int_equal(b.code, GTV_E_UNAVAILABLE);
    assert_true(!b.had_model && atomic_load(&b.prepared) == 0);
    free(fails);
    free(none);
}

static void the_wait_is_foreseen(void **state)
{
    struct gtv_detector *d = new_detector(1);
    struct gtv_engine *e = new_engine(d, 1, 100);
    struct note first = {0}, before = {0}, greedy[40] = {0};
    post(e, &before, GTV_WORK_REQUEST, 1);
    while (!atomic_load(&before.released))
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    struct gtv_engine_worker_stats worker;
    gtv_engine_get_worker(e, 0, &worker);
    assert_int_equal(worker.pictures, 1);
    assert_int_equal(worker.runs, 1);
    hold(e, &first);
    for (int i = 0; i < 40; i++)
        post(e, &greedy[i], GTV_WORK_REQUEST, 1);
    struct gtv_engine_stats stats;
    gtv_engine_get_stats(e, &stats);
    assert_true(stats.picture_ms >= 2 && stats.done_ms >= 2);
    double own = gtv_engine_expected_wait_ms(e, GTV_WORK_REQUEST, 1),
           other = gtv_engine_expected_wait_ms(e, GTV_WORK_REQUEST, 2),
           look = gtv_engine_expected_wait_ms(e, GTV_WORK_LOOK, 1);
    assert_true(own >= 40 * stats.picture_ms && own < 42 * stats.picture_ms);
    assert_true(other >= stats.picture_ms &&
                other < 3 * stats.picture_ms); // one of the greedy one's, and what runs
    assert_true(look < 3 * stats.picture_ms);
    open_gate();
    gtv_engine_destroy(e);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_runs_once_with_its_own_result),
        cmocka_unit_test(kinds_and_clients_take_turns),
        cmocka_unit_test(each_kind_is_bounded_by_itself),
        cmocka_unit_test(what_waits_can_be_withdrawn),
        cmocka_unit_test(a_queue_is_gathered_up_to_the_detector_s_batch),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(the_wait_is_foreseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
