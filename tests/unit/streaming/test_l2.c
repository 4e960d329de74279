#include "services/streaming/l2.h"
#include "tests/unit/unit.h"

#include <stdio.h>

// Fresh for 5 s of the monotonic clock's 1,000,000 ms, 2 s old.
static struct gtv_entry *entry(const char *body)
{
    struct gtv_entry *e = gtv_entry_create(GTV_STR("cam_1/a.ts"), 5, false);
    const struct gtv_http_header fields[] = {{GTV_STR("Content-Type"), GTV_STR("video/mp2t")},
                                             {GTV_STR("ETag"), GTV_STR("\"a:b\"")},
                                             {GTV_STR("X-Empty"), GTV_STR("")}};
    gtv_entry_head_set(&e->whole, fields, 3);
    e->body = gtv_bytes_copy(body, strlen(body));
    e->fetched_ms = 998000;
    e->life = (struct gtv_entry_life){.fresh_ms = 5000, .while_revalidate_ms = 7, .if_error_ms = 9};
    e->validators = true;
    atomic_store(&e->expires_ms, 1005000);
    return e;
}

static void there_and_back(void **state)
{
    struct gtv_entry *e = entry("a\n\nb");
    struct gtv_bytes *text = gtv_l2_encode(e, 1000000, 1700000000000);
    struct gtv_l2_answer a;
    assert_true(gtv_l2_decode(gtv_bytes_str(text), 1700000001000, &a)); // another replica, a second later
    assert_str(a.body, "a\n\nb");
    assert_int_equal(a.life.age_ms, 3000);
    assert_int_equal(a.life.fresh_ms, 4000);
    assert_int_equal(a.life.while_revalidate_ms, 7);
    assert_int_equal(a.life.if_error_ms, 9);
    assert_true(a.validators);
    assert_int_equal(a.n, 3);
    assert_str(a.fields[1].name, "ETag");
    assert_str(a.fields[1].value, "\"a:b\"");
    assert_str(a.fields[2].value, "");
    assert_true(gtv_l2_decode(gtv_bytes_str(text), 1699999990000, &a)); // whose clock is behind
    assert_int_equal(a.life.age_ms, 0);
    assert_false(gtv_l2_decode(gtv_bytes_str(text), 1700000005000, &a));
    for (size_t n = 0; n < text->len; n++) // whatever is cut off
        assert_false(gtv_l2_decode((struct gtv_str){(const char *)text->data, n}, 1700000001000, &a));
    gtv_bytes_unref(text);
    gtv_entry_unref(e);
}

static void what_is_none(void **state)
{
    static const char *const wrong[] = {"",
                                        "\n",
                                        "hello\n\nx",
                                        "gtv-hls-1 1 2\n\n",
                                        "gtv-hls-1 1 99999 0 0 0 1 1\n\nx",
                                        "gtv-hls-1 1 99999 0 0 2 1\n\nx",
                                        "gtv-hls-1 -1 99999 0 0 0 1\n\nx",
                                        "gtv-hls-1 1 99999 0 0 0 2\n\nx",
                                        "gtv-hls-1 1 99999 0 0 0 1\n:v\n\nx",
                                        "gtv-hls-1 1 9999999999 0 0 0 1\n\nx",
                                        "gtv-hls-2 1 99999 0 0 0 1\n\nx"};
    struct gtv_l2_answer a;
    assert_true(gtv_l2_decode(GTV_STR("gtv-hls-1 1 99999 0 0 0 1\n\nx"), 10, &a));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(gtv_l2_decode(gtv_str_of(wrong[i]), 10, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back), cmocka_unit_test(what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
