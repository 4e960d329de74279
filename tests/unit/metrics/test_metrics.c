#include "lib/metrics/metrics.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdio.h>

static void same_name_same_object(void **state)
{
    struct gtv_metrics *m = gtv_metrics_create();
    struct gtv_counter *a = gtv_metrics_counter(m, "x_total", "k=\"1\"", "Help.");
    assert_ptr_equal(a, gtv_metrics_counter(m, "x_total", "k=\"1\"", "Help."));
    assert_ptr_not_equal(a, gtv_metrics_counter(m, "x_total", "k=\"2\"", "Help."));
    gtv_metrics_destroy(m);
    gtv_metrics_destroy(NULL);
}

static void text_format(void **state)
{
    struct gtv_metrics *m = gtv_metrics_create();
    gtv_gauge_set(gtv_metrics_gauge(m, "z_level", "", "A \\ and a\nnew line."), -5);
    gtv_counter_add(gtv_metrics_counter(m, "a_total", "k=\"1\"", "First."), 3);
    static const double bounds[] = {0.1, 0.5, 2.5};
    struct gtv_histogram *h = gtv_metrics_histogram(m, "h_seconds", "r=\"/\"", "Times.", bounds, 3);
    gtv_histogram_observe(h, 0.1);
    gtv_histogram_observe(h, 0.25);
    gtv_histogram_observe(h, 100);
    struct gtv_buf out = {0};
    gtv_metrics_write(m, &out);
    const char *expected = "# HELP a_total First.\n# TYPE a_total counter\na_total{k=\"1\"} 3\n"
                           "# HELP h_seconds Times.\n# TYPE h_seconds histogram\n"
                           "h_seconds_bucket{r=\"/\",le=\"0.1\"} 1\nh_seconds_bucket{r=\"/\",le=\"0.5\"} 2\n"
                           "h_seconds_bucket{r=\"/\",le=\"2.5\"} 2\nh_seconds_bucket{r=\"/\",le=\"+Inf\"} 3\n"
                           "h_seconds_sum{r=\"/\"} 100.34999999999999\nh_seconds_count{r=\"/\"} 3\n"
                           "# HELP z_level A \\\\ and a\\nnew line.\n# TYPE z_level gauge\nz_level -5\n";
    assert_true(gtv_str_starts(gtv_buf_str(&out), gtv_str_of(expected)));
    assert_non_null(strstr(out.data, "\nprocess_resident_memory_bytes "));
    assert_non_null(strstr(out.data, "\nprocess_cpu_seconds_total "));
    assert_non_null(strstr(out.data, "\nprocess_open_fds "));
    assert_non_null(strstr(out.data, "\nprocess_start_time_seconds "));
    gtv_buf_finish(&out);
    gtv_metrics_destroy(m);
}

static void series_are_bounded(void **state)
{
    struct gtv_metrics *m = gtv_metrics_create();
    struct gtv_counter *last = NULL;
    for (int i = 0; i < 2500; i++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "i=\"%d\"", i);
        last = gtv_metrics_counter(m, "many_total", labels, "Many.");
    }
    assert_ptr_equal(last, gtv_metrics_counter(m, "many_total", "overflow=\"true\"", "Many."));
    assert_ptr_equal(gtv_metrics_gauge(m, "other", "a=\"1\"", "Other."),
                     gtv_metrics_gauge(m, "other", "a=\"2\"", "Other."));
    gtv_metrics_destroy(m);
}

static void *count(void *arg)
{
    struct gtv_metrics *m = arg;
    static const double bounds[] = {1};
    struct gtv_histogram *h = gtv_metrics_histogram(m, "h", "", "H.", bounds, 1);
    struct gtv_counter *c = gtv_metrics_counter(m, "c", "", "C.");
    for (int i = 0; i < 10000; i++) {
        gtv_counter_add(c, 1);
        gtv_histogram_observe(h, 0.5);
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    struct gtv_metrics *m = gtv_metrics_create();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, m), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(gtv_counter_get(gtv_metrics_counter(m, "c", "", "C.")), 30000);
    struct gtv_buf out = {0};
    gtv_metrics_write(m, &out);
    assert_non_null(strstr(out.data, "\nh_sum 15000\n"));
    gtv_buf_finish(&out);
    gtv_metrics_destroy(m);
}

static void parts_are_written_as_units(void **state)
{
    struct gtv_metrics *m = gtv_metrics_create();
    gtv_counter_add(gtv_metrics_counter(m, "spent_seconds_total", "", "Spent."), 1234567);
    gtv_metrics_parts(m, "spent_seconds_total", 1000);
    gtv_gauge_set(gtv_metrics_gauge(m, "left_seconds", "", "Left."), -1500);
    gtv_metrics_parts(m, "left_seconds", 1000);
    gtv_metrics_build_info(m, "test", "1.2-3");
    struct gtv_buf out = {0};
    gtv_metrics_write(m, &out);
    assert_non_null(strstr(out.data, "\nspent_seconds_total 1234.567\n"));
    assert_non_null(strstr(out.data, "\nleft_seconds -1.5\n"));
    assert_non_null(strstr(out.data, "\ngtv_build_info{program=\"test\",version=\"1.2-3\"} 1\n"));
    gtv_buf_finish(&out);
    gtv_metrics_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_name_same_object),
        cmocka_unit_test(text_format),
        cmocka_unit_test(series_are_bounded),
        cmocka_unit_test(parts_are_written_as_units),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
