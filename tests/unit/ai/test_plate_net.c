// One network of the plate chain, over a runtime of our own that counts loads and sees who runs at once.
#include "services/ai/plate/net.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { SLOTS = 2, THREADS = 6, RUNS = 40, OUTPUTS = 9 * (GTV_PLATE_SIGNS + 1) };

struct gtv_infer_model {
    uint8_t pixels[SLOTS][1];
    float values[OUTPUTS];
    struct gtv_tensor output;
    atomic_int running[SLOTS];
};

static struct gtv_infer_model the_model;
static atomic_int loads, unloads, collisions;
static bool broken;
static size_t outputs;

static void moment(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

struct gtv_infer_model *gtv_infer_load(struct gtv_infer *rt, const struct gtv_infer_spec *spec,
                                       struct gtv_error *err)
{
    assert_int_equal(spec->slots, SLOTS);
    atomic_fetch_add(&loads, 1);
    moment();
    if (broken) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "it is damaged");
        return NULL;
    }
    the_model.output = (struct gtv_tensor){.data = the_model.values, .count = outputs};
    return &the_model;
}

void gtv_infer_unload(struct gtv_infer_model *m)
{
    if (m)
        atomic_fetch_add(&unloads, 1);
}

const char *gtv_infer_precision(const struct gtv_infer_model *m)
{
    return "f32";
}

uint8_t *gtv_infer_pixels(struct gtv_infer_model *m, size_t slot)
{
    return m->pixels[slot];
}

bool gtv_infer_run(struct gtv_infer_model *m, size_t slot, struct gtv_error *err)
{
    if (atomic_exchange(&m->running[slot], 1))
        atomic_fetch_add(&collisions, 1);
    moment();
    atomic_store(&m->running[slot], 0);
    return true;
}

const struct gtv_tensor *gtv_infer_output(const struct gtv_infer_model *m, size_t slot, size_t i)
{
    return &m->output;
}

static struct gtv_plate_net *begin(size_t count, bool fails)
{
    static struct gtv_plate_model model = {.name = "plain", .path = "plain.onnx", .slots = 9};
    model.head = GTV_PLATE_HEAD_SLOTS;
    atomic_store(&loads, 0);
    atomic_store(&unloads, 0);
    atomic_store(&collisions, 0);
    broken = fails;
    outputs = count;
    return gtv_plate_net_create(NULL, &model, "f32", SLOTS, NULL);
}

static void *read_much(void *arg)
{
    struct gtv_plate_net *net = arg;
    for (size_t i = 0; i < RUNS; i++) {
        struct gtv_plate_run run;
        if (!gtv_plate_net_take(net, i, &run))
            return "refused";
        *run.pixels = (uint8_t)i; // a slot is one thread's
        if (!gtv_plate_net_run(&run))
            return "failed";
        gtv_plate_net_give(net, &run);
    }
    return NULL;
}

static void threads_share_what_is_loaded_once(void **state)
{
    (void)state;
    struct gtv_plate_net *net = begin(OUTPUTS, false);
    pthread_t threads[THREADS];
    assert_int_equal(atomic_load(&loads), 0); // not before it is needed
    assert_true(gtv_plate_net_usable(net));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_much, net), 0);
    for (int i = 0; i < THREADS; i++) {
        void *went_wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &went_wrong), 0);
        assert_null(went_wrong);
    }
    assert_int_equal(atomic_load(&loads), 1);
    assert_int_equal(atomic_load(&collisions), 0);
    assert_null(gtv_plate_net_failure(net));
    gtv_plate_net_destroy(net);
    assert_int_equal(atomic_load(&unloads), 1);
}

static void what_fails_is_not_tried_again(void **state)
{
    (void)state;
    struct gtv_plate_net *net = begin(OUTPUTS, true);
    struct gtv_plate_run run;
    assert_false(gtv_plate_net_load(net));
    assert_false(gtv_plate_net_take(net, 0, &run));
    assert_int_equal(atomic_load(&loads), 1);
    assert_false(gtv_plate_net_usable(net));
    assert_non_null(strstr(gtv_plate_net_failure(net), "plain.onnx cannot be used: it is damaged"));
    gtv_plate_net_destroy(net);
}

static void another_output_than_described_is_refused(void **state)
{
    (void)state;
    struct gtv_plate_net *net = begin(OUTPUTS - 1, false);
    assert_false(gtv_plate_net_load(net));
    assert_non_null(strstr(gtv_plate_net_failure(net), "does not match its description"));
    assert_int_equal(atomic_load(&unloads), 1);
    gtv_plate_net_destroy(net);
}

static void none_is_no_network(void **state)
{
    (void)state;
    struct gtv_plate_run run;
    assert_false(gtv_plate_net_usable(NULL));
    assert_null(gtv_plate_net_failure(NULL));
    assert_false(gtv_plate_net_load(NULL));
    assert_false(gtv_plate_net_take(NULL, 0, &run));
    gtv_plate_net_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_what_is_loaded_once),
        cmocka_unit_test(what_fails_is_not_tried_again),
        cmocka_unit_test(another_output_than_described_is_refused),
        cmocka_unit_test(none_is_no_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
