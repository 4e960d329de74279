#include "services/streaming/message.h"

#include "lib/ws/ws.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct gtv_message *make(const char *stream, const char *type, const char *json)
{
    struct gtv_message *m = gtv_message_create(gtv_str_of(stream), gtv_str_of(type), "7-1", gtv_str_of(json));
    assert_non_null(m);
    return m;
}

static void frames(void **state)
{
    struct gtv_message *m = make("cam_1", "detection", "{\"v\":1,\n\"x\":2}");
    assert_str(gtv_bytes_str(m->ws), "\x81\x19{\"id\":\"7-1\",\"v\":1,\n\"x\":2}");
    assert_str(gtv_bytes_str(m->sse),
               "id: 7-1\nevent: detection\ndata: {\"id\":\"7-1\",\"v\":1, \"x\":2}\n\n");
    assert_false(m->coalesces);
    gtv_message_unref(m);
    m = make("", "a\nb", "{}");
    assert_str(gtv_bytes_str(m->sse), "id: 7-1\nevent: message\ndata: {\"id\":\"7-1\"}\n\n");
    gtv_message_unref(m);
    m = make("cam_1", "status", "{}");
    assert_true(m->coalesces);
    gtv_message_unref(gtv_message_ref(m));
    gtv_message_unref(m);
    m = gtv_message_gap(3, NULL);
    assert_non_null(strstr((char *)m->ws->data + 2, "\"data\":{\"missed\":3}"));
    gtv_message_unref(m);
}

static void compressed_frames(void **state)
{
    char json[2000];
    memset(json, 'x', sizeof json);
    memcpy(json, "{\"x\":\"", 6);
    memcpy(json + sizeof json - 3, "\"}", 3);
    struct gtv_ws_deflater *d = gtv_ws_deflater_create(GTV_WS_WINDOW_BITS_MAX);
    struct gtv_message *m = make("cam_1", "detection", json);
    assert_ptr_equal(gtv_message_frame(m, 15), m->ws); // nobody wanted it compressed
    gtv_message_deflate(m, d);
    assert_non_null(m->ws_deflated);
    assert_true(m->ws_deflated->len < 100);
    assert_ptr_equal(gtv_message_frame(m, 0), m->ws);
    assert_ptr_equal(gtv_message_frame(m, 15), m->ws_deflated);
    assert_ptr_equal(gtv_message_frame(m, 11), m->ws_deflated); // 2,048 bytes reach over all of it
    assert_ptr_equal(gtv_message_frame(m, 10), m->ws);
    gtv_message_unref(m);
    m = make("cam_1", "detection", "{\"v\":1}");
    gtv_message_deflate(m, d); // would not be smaller
    assert_null(m->ws_deflated);
    assert_ptr_equal(gtv_message_frame(m, 15), m->ws);
    gtv_message_unref(m);
    gtv_ws_deflater_destroy(d);
}

static void ids(void **state)
{
    struct gtv_event_id a, b;
    assert_true(gtv_event_id_parse(GTV_STR("18446744073709551615-2"), &a));
    assert_true(a.ms == UINT64_MAX && a.n == 2);
    assert_true(gtv_event_id_parse(GTV_STR("5"), &b));
    assert_true(b.ms == 5 && b.n == 0);
    assert_true(gtv_event_id_cmp(a, b) > 0 && gtv_event_id_cmp(b, a) < 0 && gtv_event_id_cmp(a, a) == 0);
    static const char *const bad[] = {"", "-", "5-", "-5", "$", "5-5-5", "18446744073709551616", "5 ", "0x5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(gtv_event_id_parse(gtv_str_of(bad[i]), &a));
}

static void types(void **state)
{
    assert_true(gtv_types_want(NULL, "status"));
    assert_true(gtv_types_want("alert, status", "status"));
    assert_false(gtv_types_want("alert,statuses", "status"));
}

// Pushes and lets go of the own reference.
static size_t push(struct gtv_backlog *b, const char *stream, const char *type, const char *json)
{
    struct gtv_message *m = make(stream, type, json);
    size_t dropped = gtv_backlog_push(b, m);
    gtv_message_unref(m);
    return dropped;
}

static void expect(struct gtv_backlog *b, const char *stream, const char *type, const char *part)
{
    struct gtv_message *m = gtv_backlog_pop(b);
    assert_non_null(m);
    assert_string_equal(m->stream, stream);
    assert_string_equal(m->type, type);
    assert_non_null(memmem(m->ws->data, m->ws->len, part, strlen(part)));
    gtv_message_unref(m);
}

static void states_give_way(void **state)
{
    struct gtv_backlog *b = gtv_backlog_create();
    assert_int_equal(push(b, "cam_1", "status", "{\"n\":1}"), 0);
    assert_int_equal(push(b, "cam_1", "detection", "{\"n\":2}"), 0);
    assert_int_equal(push(b, "cam_2", "status", "{\"n\":3}"), 0);
    assert_int_equal(push(b, "cam_1", "status", "{\"n\":4}"), 0);
    assert_int_equal(gtv_backlog_count(b), 3);
    expect(b, "cam_1", "detection", "\"n\":2");
    expect(b, "cam_2", "status", "\"n\":3");
    expect(b, "cam_1", "status", "\"n\":4");
    assert_null(gtv_backlog_pop(b));
    gtv_backlog_destroy(b);
}

static void the_oldest_leave(void **state)
{
    struct gtv_backlog *b = gtv_backlog_create();
    size_t dropped = push(b, "cam_1", "status", "{\"n\":0}");
    char json[64], stream[32];
    for (int i = 1; i < 1100; i++) {
        snprintf(json, sizeof json, "{\"n\":%d}", i);
        dropped += push(b, "cam_1", "alert", json);
    }
    assert_int_equal(dropped, 1100 - GTV_BACKLOG_COUNT);
    expect(b, "cam_1", "status", "\"n\":0");
    expect(b, "cam_1", "alert", "\"n\":77}");
    // Nothing but states: the oldest of them leave.
    for (int i = 0; i < 2 * GTV_BACKLOG_COUNT; i++) {
        snprintf(stream, sizeof stream, "cam_%d", i);
        (void)push(b, stream, "status", "{}");
    }
    assert_int_equal(gtv_backlog_count(b), GTV_BACKLOG_COUNT);
    snprintf(stream, sizeof stream, "cam_%d", GTV_BACKLOG_COUNT);
    expect(b, stream, "status", "7-1");
    gtv_backlog_destroy(b);
}

static void bytes_are_bounded(void **state)
{
    static char json[GTV_BACKLOG_BYTES + 8];
    struct gtv_backlog *b = gtv_backlog_create();
    memset(json, ' ', sizeof json);
    json[0] = '{';
    json[100000] = '}';
    json[100001] = '\0';
    assert_int_equal(push(b, "cam_1", "alert", json), 0);
    assert_int_equal(push(b, "cam_1", "alert", json), 0);
    assert_int_equal(push(b, "cam_1", "alert", json), 1);
    json[100000] = json[100001] = ' ';
    json[sizeof json - 2] = '}';
    json[sizeof json - 1] = '\0';
    assert_int_equal(push(b, "cam_1", "alert", json), 1); // itself
    assert_int_equal(gtv_backlog_count(b), 2);
    gtv_backlog_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),
        cmocka_unit_test(compressed_frames),
        cmocka_unit_test(ids),
        cmocka_unit_test(types),
        cmocka_unit_test(states_give_way),
        cmocka_unit_test(the_oldest_leave),
        cmocka_unit_test(bytes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
