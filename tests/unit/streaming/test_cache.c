#include "services/streaming/cache.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdio.h>

static enum gtv_cache_result look(struct gtv_cache *c, const char *key, int64_t now_ms, struct gtv_entry **e)
{
    struct gtv_entry *fill;
    enum gtv_cache_result r = gtv_cache_lookup(c, gtv_str_of(key), 1, false, now_ms, e, &fill);
    assert_true((r == GTV_CACHE_FILL) == (fill != NULL));
    gtv_entry_unref(fill);
    return r;
}

static void store(struct gtv_cache *c, struct gtv_entry *e, struct gtv_bytes *body, int64_t now_ms,
                  int64_t life_ms)
{
    const struct gtv_entry_life life = {.fresh_ms = life_ms};
    gtv_cache_store(c, e, body, now_ms, &life);
}

static void fail_it(struct gtv_cache *c, struct gtv_entry *e, const struct gtv_error *err)
{
    gtv_cache_fail(c, e, err, false, 0);
}

// Brings "key" to READY with a body of n bytes.
static void fill(struct gtv_cache *c, const char *key, size_t n, int64_t now_ms, int64_t life_ms)
{
    struct gtv_entry *e;
    assert_int_equal(look(c, key, now_ms, &e), GTV_CACHE_FILL);
    struct gtv_bytes *body = gtv_bytes_create(n);
    body->len = n;
    store(c, e, body, now_ms, life_ms);
    gtv_entry_unref(e);
}

static bool hit(struct gtv_cache *c, const char *key, int64_t now_ms)
{
    struct gtv_entry *e;
    enum gtv_cache_result r = look(c, key, now_ms, &e);
    if (r == GTV_CACHE_FILL) {
        const struct gtv_error err = {.code = GTV_E_CANCELLED};
        fail_it(c, e, &err);
    }
    gtv_entry_unref(e);
    return r == GTV_CACHE_HIT;
}

static void life_of_an_entry(void **state)
{
    struct gtv_cache *c = gtv_cache_create(1 << 20);
    struct gtv_entry *first, *second;
    assert_int_equal(look(c, "a", 0, &first), GTV_CACHE_FILL);
    assert_int_equal(look(c, "a", 0, &second), GTV_CACHE_JOIN);
    assert_ptr_equal(first, second);
    store(c, first, gtv_bytes_copy("xyz", 3), 100, 50);
    assert_true(hit(c, "a", 149));
    assert_false(hit(c, "a", 150));
    assert_str(gtv_bytes_str(second->body), "xyz"); // who holds it keeps it
    gtv_entry_unref(first);
    gtv_entry_unref(second);
    assert_int_equal(gtv_cache_count(c), 0);
    fill(c, "a", 10, 200, 50);
    gtv_cache_extend(c, GTV_STR("a"), 400);
    gtv_cache_extend(c, GTV_STR("a"), 300); // never shorter
    gtv_cache_extend(c, GTV_STR("b"), 300);
    assert_true(hit(c, "a", 399));
    gtv_cache_sweep(c, 399);
    assert_int_equal(gtv_cache_count(c), 1);
    gtv_cache_sweep(c, 400);
    assert_int_equal(gtv_cache_count(c), 0);
    assert_int_equal(gtv_cache_bytes(c), 0);
    gtv_cache_destroy(c);
}

static void failures_are_not_kept(void **state)
{
    struct gtv_cache *c = gtv_cache_create(1 << 20);
    struct gtv_entry *e, *again;
    assert_int_equal(look(c, "a", 0, &e), GTV_CACHE_FILL);
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_UPSTREAM, NULL, "broken");
    fail_it(c, e, &err);
    assert_string_equal(e->error.message, "broken");
    assert_int_equal(look(c, "a", 0, &again), GTV_CACHE_FILL);
    assert_ptr_not_equal(e, again);
    fail_it(c, e, &err); // of the old one: the new one stays
    struct gtv_entry *joined;
    assert_int_equal(look(c, "a", 0, &joined), GTV_CACHE_JOIN);
    gtv_entry_unref(joined);
    gtv_entry_unref(again);
    gtv_entry_unref(e);
    gtv_cache_destroy(c);
}

static void bounded_in_bytes(void **state)
{
    struct gtv_cache *c = gtv_cache_create(110000);
    char key[16];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "k%d", i);
        fill(c, key, 9000, 0, 1000);
        assert_true(gtv_cache_bytes(c) <= 110000);
    }
    assert_int_equal(gtv_cache_count(c), 10);
    assert_true(hit(c, "k199", 1));
    assert_false(hit(c, "k0", 1));
    fill(c, "huge", 200000, 0, 1000); // served to who waits, and not kept
    assert_false(hit(c, "huge", 1));
    assert_int_equal(gtv_cache_count(c), 10);
    gtv_cache_destroy(c);
}

static void what_is_asked_for_survives_a_scan(void **state)
{
    struct gtv_cache *c = gtv_cache_create(100000);
    fill(c, "popular", 9000, 0, 1000);
    char key[16];
    for (int i = 0; i < 200; i++) {
        assert_true(hit(c, "popular", 1));
        snprintf(key, sizeof key, "k%d", i);
        fill(c, key, 9000, 0, 1000);
    }
    gtv_cache_destroy(c);
}

static void pieces(void **state)
{
    struct gtv_cache *c = gtv_cache_create(1 << 20);
    struct gtv_entry *e;
    assert_int_equal(look(c, "a", 0, &e), GTV_CACHE_FILL);
    gtv_entry_append(e, gtv_bytes_copy("ab", 2));
    gtv_entry_append(e, gtv_bytes_copy("c", 1));
    struct gtv_piece *p = atomic_load(&e->pieces);
    assert_str(gtv_bytes_str(p->bytes), "ab");
    p = atomic_load(&p->next);
    assert_str(gtv_bytes_str(p->bytes), "c");
    assert_null(atomic_load(&p->next));
    store(c, e, gtv_bytes_copy("abc", 3), 0, 10);
    gtv_entry_drop_pieces(e);
    assert_null(atomic_load(&e->pieces));
    gtv_entry_unref(e);
    gtv_cache_destroy(c);
}

static enum gtv_cache_result look_at(struct gtv_cache *c, int64_t now_ms, struct gtv_entry **out,
                                     struct gtv_entry **to_fill)
{
    return gtv_cache_lookup(c, GTV_STR("a"), 1, false, now_ms, out, to_fill);
}

static void stale_answers(void **state)
{
    struct gtv_cache *c = gtv_cache_create(1 << 20);
    struct gtv_entry *e, *again, *next, *none;
    const struct gtv_entry_life life = {.fresh_ms = 100, .while_revalidate_ms = 50, .if_error_ms = 5000};
    const struct gtv_error err = {.code = GTV_E_UPSTREAM};
    assert_int_equal(look(c, "a", 0, &e), GTV_CACHE_FILL);
    gtv_cache_store(c, e, gtv_bytes_copy("old", 3), 0, &life);
    assert_int_equal(look_at(c, 120, &again, &next), GTV_CACHE_STALE); // one fetches, all get the old one
    assert_ptr_equal(again, e);
    assert_non_null(next);
    gtv_entry_unref(again);
    assert_int_equal(look_at(c, 130, &again, &none), GTV_CACHE_STALE);
    assert_ptr_equal(again, e);
    assert_null(none);
    gtv_entry_unref(again);
    assert_int_equal(look_at(c, 160, &again, &none), GTV_CACHE_JOIN); // past that they wait
    assert_ptr_equal(again, next);
    gtv_entry_unref(again);
    gtv_cache_fail(c, next, &err, true, 200);
    assert_true(next->use_stale);
    gtv_entry_unref(next);
    assert_int_equal(gtv_cache_count(c), 1);
    assert_int_equal(look_at(c, 200 + GTV_STALE_RETRY_MS - 1, &again, &none), GTV_CACHE_STALE);
    gtv_entry_unref(again);
    assert_int_equal(look_at(c, 200 + GTV_STALE_RETRY_MS, &again, &next), GTV_CACHE_FILL);
    gtv_entry_unref(again);
    gtv_cache_fail(c, next, &err, true, 5100); // its time is over
    assert_false(next->use_stale);
    gtv_entry_unref(next);
    gtv_entry_unref(e);
    assert_int_equal(gtv_cache_count(c), 0);
    gtv_cache_destroy(c);
}

static void *hammer(void *arg)
{
    struct gtv_cache *c = arg;
    char key[16];
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "k%d", (i * 7) % 61);
        struct gtv_entry *e;
        enum gtv_cache_result r = look(c, key, i / 50, &e);
        if (r == GTV_CACHE_FILL && i % 11 == 0) {
            const struct gtv_error err = {.code = GTV_E_UPSTREAM};
            fail_it(c, e, &err);
        } else if (r == GTV_CACHE_FILL) {
            store(c, e, gtv_bytes_copy("0123456789", 10), i / 50, 20);
        } else if (r == GTV_CACHE_HIT) {
            assert_int_equal(e->body->len, 10);
        }
        gtv_entry_unref(e);
        if (i % 1000 == 0)
            gtv_cache_sweep(c, i / 50);
    }
    return NULL;
}

static void many_threads(void **state)
{
    struct gtv_cache *c = gtv_cache_create(20000); // too small for all keys
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, hammer, c);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(gtv_cache_bytes(c) <= 20000);
    gtv_cache_sweep(c, 1 << 30);
    assert_int_equal(gtv_cache_bytes(c), 0);
    gtv_cache_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_of_an_entry), cmocka_unit_test(failures_are_not_kept),
        cmocka_unit_test(bounded_in_bytes), cmocka_unit_test(what_is_asked_for_survives_a_scan),
        cmocka_unit_test(pieces),           cmocka_unit_test(stale_answers),
        cmocka_unit_test(many_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
