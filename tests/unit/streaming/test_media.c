#include "services/streaming/media.h"
#include "tests/unit/unit.h"

static struct gtv_path_state parse(const char *text, bool expected)
{
    struct gtv_path_state out = {.name = ""};
    yyjson_doc *doc = gtv_json_parse(gtv_str_of(text), NULL);
    assert_non_null(doc);
    bool ok = gtv_media_parse_path(yyjson_doc_get_root(doc), &out);
    assert_int_equal(ok, expected);
    yyjson_doc_free(doc);
    return out;
}

static void an_item_of_mediamtx_1_20(void **state)
{
    // online is true, but the source is not connected.
    struct gtv_path_state s = parse(
        "{\"name\":\"cam_1\",\"confName\":\"cam_1\",\"ready\":false,\"readyTime\":null,\"available\":false,"
        "\"online\":true,\"onlineTime\":\"0001-01-01T00:00:00Z\",\"source\":{\"type\":\"rtspSource\",\"id\":"
        "\"\"},"
        "\"tracks\":[],\"readers\":[],\"inboundBytes\":7,\"bytesReceived\":7,\"bytesSent\":0}",
        true);
    assert_string_equal(s.name, "cam_1");
    assert_string_equal(s.state, "connecting");
    assert_string_equal(s.source_type, "rtspSource");
    assert_false(s.ready);
    assert_true(s.present);
    assert_int_equal(s.bytes_received, 7);
    s = parse(
        "{\"name\":\"a/b\",\"ready\":true,\"source\":null,\"readers\":[{\"type\":\"hlsMuxer\",\"id\":\"\"}]}",
        true);
    assert_string_equal(s.state, "connected");
    assert_string_equal(s.source_type, "");
    assert_int_equal(s.node_readers, 1);
}

static void an_item_of_our_node(void **state)
{
    struct gtv_path_state s = parse("{\"name\":\"cam_1\",\"ready\":false,\"state\":\"failed\",\"cause\":"
                                    "\"cannot open rtsp://u:geheim@h/\",\"causeCode\":\"refused\"}",
                                    true);
    assert_string_equal(s.state, "disconnected");
    assert_string_equal(s.cause, "cannot open rtsp://***@h/");
    assert_string_equal(s.cause_code, "refused");
    assert_string_equal(parse("{\"name\":\"x\",\"state\":\"idle\",\"cause\":null}", true).state, "idle");
}

static void no_item(void **state)
{
    (void)parse("{}", false);
    (void)parse("[]", false);
    (void)parse("{\"name\":5}", false);
    (void)parse("{\"name\":\"\"}", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_item_of_mediamtx_1_20),
                                       cmocka_unit_test(an_item_of_our_node), cmocka_unit_test(no_item)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
