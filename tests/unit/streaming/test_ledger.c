#include "services/streaming/ledger.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

enum { T = 1000000, HOUR = 3600 * 1000 };

static struct gtv_gap *gaps(struct gtv_ledger *l, size_t wanted)
{
    size_t n;
    struct gtv_gap *g = gtv_ledger_gaps(l, 7, &n);
    assert_int_equal(n, wanted);
    return g;
}

static void outages(void **state)
{
    struct gtv_ledger *l = gtv_ledger_create();
    free(gaps(l, 0));
    gtv_ledger_fine(l, 7, T);
    gtv_ledger_out(l, 7, "refused", "refused", T + 1000);
    gtv_ledger_out(l, 7, "", "", T + 2000);                   // goes on
    gtv_ledger_out(l, 7, "closed", "closed", T + 3000);       // the same party
    gtv_ledger_out(l, 7, "timed_out", "timed out", T + 4000); // the network
    gtv_ledger_out(l, 7, "missing", "lost", T + 5000);        // the node
    gtv_ledger_fine(l, 7, T + 6000);
    gtv_ledger_fine(l, 7, T + 7000);
    struct gtv_gap *g = gaps(l, 3);
    static const enum gtv_gap_cause causes[] = {GTV_GAP_CAMERA, GTV_GAP_NETWORK, GTV_GAP_NODE};
    static const int64_t from[] = {1000, 4000, 5000, 6000};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(g[i].cause, causes[i]);
        assert_int_equal(g[i].from_ms, T + from[i]);
        assert_int_equal(g[i].to_ms, T + from[i + 1]);
    }
    assert_string_equal(g[0].code, "closed");
    assert_string_equal(gtv_gap_cause_name(g[2].cause), "node");
    free(g);
    gtv_ledger_forget(l, 7);
    free(gaps(l, 0));
    assert_true(gtv_ledger_uptime(l, 7, T) < 0);
    gtv_ledger_fine(l, 7, T + 9000); // provisioned again: a new book
    free(gaps(l, 0));
    gtv_ledger_destroy(l);
}

static void uptime(void **state)
{
    struct gtv_ledger *l = gtv_ledger_create();
    int64_t t = T;
    assert_true(gtv_ledger_uptime(l, 7, t) < 0);
    gtv_ledger_fine(l, 7, t);
    assert_true(fabs(gtv_ledger_uptime(l, 7, t) - 1) < 1e-9);
    gtv_ledger_out(l, 7, "refused", "", t + 3 * HOUR);
    assert_true(fabs(gtv_ledger_uptime(l, 7, t + 4 * HOUR) - 0.75) < 1e-9); // an hour that goes on, of four
    gtv_ledger_fine(l, 7, t + 4 * HOUR);
    assert_true(fabs(gtv_ledger_uptime(l, 7, t + 24 * (int64_t)HOUR) - 23.0 / 24) < 1e-9);
    assert_true(fabs(gtv_ledger_uptime(l, 7, t + 100 * (int64_t)HOUR) - 1) < 1e-9); // long ago
    gtv_ledger_destroy(l);
}

static void bounded(void **state)
{
    struct gtv_ledger *l = gtv_ledger_create();
    for (int i = 0; i < GTV_GAPS_MAX + 10; i++) {
        gtv_ledger_out(l, 7, "refused", "", T + i * 1000);
        gtv_ledger_fine(l, 7, T + i * 1000 + 500);
    }
    struct gtv_gap *g = gaps(l, GTV_GAPS_MAX);
    assert_int_equal(g[0].from_ms, T + 10 * 1000);
    free(g);
    gtv_ledger_destroy(l);
}

// What an earlier run left, read into one that began at T + 10,000.
static struct gtv_ledger *restarted(bool was_open, bool out_now)
{
    struct gtv_ledger *before = gtv_ledger_create(), *l = gtv_ledger_create();
    gtv_ledger_out(before, 7, "refused", "it refuses", T);
    if (!was_open)
        gtv_ledger_fine(before, 7, T + 1000);
    struct gtv_bytes *json = gtv_ledger_write(before, 7);
    assert_non_null(json);
    if (out_now)
        gtv_ledger_out(l, 7, "refused", "it refuses", T + 10000);
    else
        gtv_ledger_fine(l, 7, T + 10000);
    assert_true(gtv_ledger_read(l, 7, gtv_bytes_str(json)));
    gtv_bytes_unref(json);
    gtv_ledger_destroy(before);
    return l;
}

static void over_a_restart(void **state)
{
    struct gtv_ledger *l = restarted(true, true); // one outage all the time
    struct gtv_gap *g = gaps(l, 1);
    assert_int_equal(g[0].from_ms, T);
    assert_int_equal(g[0].to_ms, 0);
    free(g);
    gtv_ledger_destroy(l);
    l = restarted(true, false); // over when we first looked
    g = gaps(l, 1);
    assert_int_equal(g[0].to_ms, T + 10000);
    assert_string_equal(g[0].text, "it refuses");
    free(g);
    gtv_ledger_destroy(l);
    l = restarted(false, true); // a second one
    g = gaps(l, 2);
    assert_int_equal(g[0].to_ms, T + 1000);
    assert_int_equal(g[1].from_ms, T + 10000);
    free(g);
    gtv_ledger_destroy(l);
}

static void nonsense_changes_nothing(void **state)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"since\":1,\"gaps\":5}",
                                      "{\"since\":0,\"gaps\":[]}",
                                      "{\"since\":1,\"gaps\":[{\"from\":1}]}"};
    struct gtv_ledger *l = gtv_ledger_create();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(gtv_ledger_read(l, 7, gtv_str_of(bad[i])));
    free(gaps(l, 0));
    assert_null(gtv_ledger_write(l, 7));
    gtv_ledger_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(outages), cmocka_unit_test(uptime),
                                       cmocka_unit_test(bounded), cmocka_unit_test(over_a_restart),
                                       cmocka_unit_test(nonsense_changes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
