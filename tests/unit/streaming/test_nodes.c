#include "services/streaming/nodes.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>

static void the_list(void **state)
{
    struct gtv_nodes *n = gtv_nodes_create(" http://a:9997/ ;weight=2; id=north , https://b,http://[::1]:5 ",
                                           "http://a:8888/,http://b:8888 , http://[::1]:6,", NULL);
    assert_non_null(n);
    assert_int_equal(gtv_nodes_count(n), 3);
    assert_string_equal(gtv_nodes_id(n, 0), "north");
    assert_string_equal(gtv_nodes_id(n, 1), "b:443");
    assert_string_equal(gtv_nodes_id(n, 2), "::1:5");
    assert_string_equal(gtv_nodes_api(n, 0), "http://a:9997");
    assert_string_equal(gtv_nodes_hls(n, 0), "http://a:8888");
    assert_string_equal(gtv_nodes_hls(n, 2), "http://[::1]:6");
    assert_true(fabs(gtv_nodes_weight(n, 0) - 2) < 1e-9);
    size_t node;
    assert_true(gtv_nodes_find(n, GTV_STR("b:443"), &node));
    assert_int_equal(node, 1);
    assert_false(gtv_nodes_find(n, GTV_STR("c"), &node));
    gtv_nodes_destroy(n);
}

static void wrong_lists(void **state)
{
    static const char *const cases[][3] = {
        {"", "http://a", "MEDIAMTX_API_URL"},
        {"ftp://a", "http://a", "MEDIAMTX_API_URL"},
        {"http://a;weight=0", "http://a", "MEDIAMTX_API_URL"},
        {"http://a;weight=x", "http://a", "MEDIAMTX_API_URL"},
        {"http://a;speed=2", "http://a", "MEDIAMTX_API_URL"},
        {"http://a;id=a b", "http://a", "MEDIAMTX_API_URL"},
        {"http://a,http://a", "http://a,http://b", "MEDIAMTX_API_URL"},
        {"http://a,http://b", "http://a", "MEDIAMTX_HLS_URL"},
        {"http://a", "http://a,http://b", "MEDIAMTX_HLS_URL"},
        {"http://a", "a:80", "MEDIAMTX_HLS_URL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gtv_error err = {0};
        assert_null(gtv_nodes_create(cases[i][0], cases[i][1], &err));
        assert_string_equal(err.field, cases[i][2]);
    }
    struct gtv_error err = {0};
    assert_null(gtv_nodes_create("x://u:secret@a", "http://a", &err));
    assert_null(strstr(err.message, "secret"));
}

enum { CAMERAS = 20000 };

static void count(struct gtv_nodes *n, size_t out[3])
{
    memset(out, 0, 3 * sizeof *out);
    for (int i = 1; i <= CAMERAS; i++) {
        char path[32];
        snprintf(path, sizeof path, "cam_%d", i);
        out[gtv_nodes_place(n, gtv_str_of(path))]++;
    }
}

static void placement_follows_the_weights(void **state)
{
    size_t c[3];
    struct gtv_nodes *n =
        gtv_nodes_create("http://a,http://b;weight=2,http://c", "http://a,http://b,http://c", NULL);
    assert_non_null(n);
    count(n, c);
    assert_in_range(c[0], CAMERAS / 4 * 0.95, CAMERAS / 4 * 1.05);
    assert_in_range(c[1], CAMERAS / 2 * 0.95, CAMERAS / 2 * 1.05);
    assert_in_range(c[2], CAMERAS / 4 * 0.95, CAMERAS / 4 * 1.05);
    gtv_nodes_destroy(n);
}

static void only_its_own_cameras_move(void **state)
{
    static int before[CAMERAS + 1];
    struct gtv_nodes *n = gtv_nodes_create("http://a,http://b,http://c", "http://a,http://b,http://c", NULL);
    assert_non_null(n);
    char path[32];
    for (int i = 1; i <= CAMERAS; i++) {
        snprintf(path, sizeof path, "cam_%d", i);
        before[i] = gtv_nodes_place(n, gtv_str_of(path));
    }
    assert_true(gtv_nodes_set_drained(n, 1, true));
    assert_int_equal(gtv_nodes_wanted(n), 5);
    assert_int_equal(gtv_nodes_serving_set(n), 7); // viewers follow later
    for (int i = 1; i <= CAMERAS; i++) {
        snprintf(path, sizeof path, "cam_%d", i);
        int now = gtv_nodes_place(n, gtv_str_of(path));
        assert_true(before[i] == 1 ? now != 1 : now == before[i]);
        assert_int_equal(gtv_nodes_serving(n, gtv_str_of(path)), before[i]);
    }
    gtv_nodes_switch(n, gtv_nodes_wanted(n));
    assert_string_equal(gtv_nodes_hls_base(n, GTV_STR("cam_1")),
                        gtv_nodes_hls(n, (size_t)gtv_nodes_place(n, GTV_STR("cam_1"))));
    struct gtv_node_state s = {.up = false, .dead = true};
    gtv_nodes_set_state(n, 0, &s);
    assert_true(gtv_nodes_state(n, 1).drained); // a look does not undo an order
    assert_int_equal(gtv_nodes_wanted(n), 4);
    assert_true(gtv_nodes_set_drained(n, 0, true));
    assert_false(gtv_nodes_set_drained(n, 2, true)); // the last one
    gtv_nodes_set_state(n, 2, &s);
    assert_int_equal(gtv_nodes_place(n, GTV_STR("cam_1")), -1);
    gtv_nodes_destroy(n);
}

static void paths_of_others(void **state)
{
    struct gtv_nodes *n = gtv_nodes_create("http://a,http://b", "http://a,http://b", NULL);
    assert_non_null(n);
    for (size_t node = 0; node < 2; node++) {
        gtv_nodes_note(n, GTV_STR("lobby"), node);
        assert_string_equal(gtv_nodes_hls_base(n, GTV_STR("lobby")), gtv_nodes_hls(n, node));
    }
    gtv_nodes_forget(n, GTV_STR("lobby"));
    assert_non_null(gtv_nodes_hls_base(n, GTV_STR("lobby")));
    gtv_nodes_switch(n, 0); // nobody takes part: the one that would
    assert_non_null(gtv_nodes_hls_base(n, GTV_STR("cam_1")));
    gtv_nodes_destroy(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_list), cmocka_unit_test(wrong_lists),
                                       cmocka_unit_test(placement_follows_the_weights),
                                       cmocka_unit_test(only_its_own_cameras_move),
                                       cmocka_unit_test(paths_of_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
