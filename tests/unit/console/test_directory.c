#include "services/console/directory.h"
#include "tests/unit/unit.h"

static void names_and_states(void **state)
{
    struct gtv_loop *loop = gtv_loop_create("test");
    struct gtv_http_client *client = gtv_http_client_create(loop, 1);
    // Never asked: the loop does not run.
    struct gtv_directory *d = gtv_directory_create(loop, client, "http://127.0.0.1:1/");
    struct gtv_camera_state s;
    gtv_directory_get(d, 1, &s);
    assert_string_equal(s.state, "unknown");
    assert_string_equal(s.name, "");

    gtv_directory_put_answer(
        d,
        GTV_STR("{\"cameras\":[{\"camera_id\":1,\"state\":\"connected\",\"cause\":null,\"cause_code\":null,"
                "\"name\":\"Portão\"},{\"camera_id\":2,\"state\":\"disconnected\",\"cause\":\"refused\","
                "\"cause_code\":\"refused\",\"name\":\"Rua\"},{\"camera_id\":\"x\"},3]}"));
    gtv_directory_get(d, 1, &s);
    assert_string_equal(s.state, "connected");
    assert_string_equal(s.name, "Portão");
    gtv_directory_get(d, 2, &s);
    assert_string_equal(s.state, "disconnected");
    assert_string_equal(s.cause_code, "refused");

    yyjson_doc *doc = gtv_json_parse(GTV_STR("{\"camera_id\":1,\"state\":\"disconnected\",\"cause\":\"timed "
                                             "out\",\"cause_code\":\"timed_out\"}"),
                                     NULL);
    gtv_directory_put_status(d, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    gtv_directory_get(d, 1, &s);
    assert_string_equal(s.state, "disconnected");
    assert_string_equal(s.cause, "timed out");
    assert_string_equal(s.name, "Portão");

    // An answer that is none changes nothing; an empty list forgets all.
    gtv_directory_put_answer(d, GTV_STR("<html>"));
    gtv_directory_get(d, 2, &s);
    assert_string_equal(s.name, "Rua");
    gtv_directory_put_answer(d, GTV_STR("{\"cameras\":[]}"));
    gtv_directory_get(d, 2, &s);
    assert_string_equal(s.name, "");
    gtv_directory_put_status(d, NULL);

    gtv_directory_destroy(d);
    gtv_http_client_destroy(client);
    gtv_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
