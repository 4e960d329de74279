#include "lib/base/mem.h"
#include "lib/contract/happening.h"
#include "services/ai/watchlist/list.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

static bool parse(const char *text, struct gtv_watchlist_entry *e, struct gtv_error *err)
{
    yyjson_doc *doc = gtv_json_parse(gtv_str_of(text), NULL);
    bool ok = gtv_watchlist_entry_parse(yyjson_doc_get_root(doc), e, err);
    yyjson_doc_free(doc);
    return ok;
}

static void entries_are_read_and_written(void **state)
{
    struct gtv_watchlist_entry e, again;
    assert_true(
        parse("{\"plate\":\"abc-1d23\",\"label\":\"Roubado\",\"note\":\"BO 12\",\"severity\":\"high\","
              "\"match\":\"exact\",\"expires_at\":\"2030-01-02\",\"enabled\":false}",
              &e, NULL));
    assert_string_equal(e.pattern, "ABC1D23");
    assert_string_equal(e.severity, "high");
    assert_true(e.exact);
    assert_false(e.enabled);
    assert_int_equal(e.expires_ms, 1893628799000);
    assert_false(gtv_watchlist_entry_active(&e, 0));
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    e.created_ms = 1795400000000;
    gtv_watchlist_entry_write(&e, doc, o);
    struct gtv_bytes *json = gtv_json_write(doc);
    char *text = strndup((const char *)json->data, json->len);
    assert_true(parse(text, &again, NULL));
    assert_memory_equal(&e, &again, sizeof(e));
    free(text);
    gtv_bytes_unref(json);
    // The plate names the entry, however it is typed.
    assert_true(parse("{\"plate\":\"ABC 1D23\"}", &again, NULL));
    assert_string_equal(e.id, again.id);
    assert_string_equal(again.severity, "medium");
    assert_true(gtv_watchlist_entry_active(&again, INT64_MAX));

    static const struct {
        const char *text, *field;
    } wrong[] = {
        {"{}", "plate"},
        {"{\"plate\":\"\"}", "plate"},
        {"{\"plate\":\"***\"}", "plate"},
        {"{\"plate\":\"ABC1D23ABC1D23ABC\"}", "plate"},
        {"{\"plate\":\"ABC'1\"}", "plate"},
        {"{\"plate\":\"ABC1D23\",\"severity\":\"deadly\"}", "severity"},
        {"{\"plate\":\"ABC1D23\",\"expires_at\":\"soon\"}", "expires_at"},
        {"{\"plate\":\"ABC1D23\",\"match\":\"some\"}", "match"},
        {"{\"plate\":\"ABC1D23\",\"tolerance\":-1}", "tolerance"},
        {"{\"plate\":\"ABC1D23\",\"enabled\":1}", "enabled"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct gtv_error err = {0};
        assert_false(parse(wrong[i].text, &e, &err));
        assert_int_equal(err.code, GTV_E_INVALID);
        assert_string_equal(err.field, wrong[i].field);
    }
}

static struct gtv_watchlist *list_of(const char *const *texts, size_t n)
{
    struct gtv_watchlist_entry *e = gtv_alloc((n + 1) * sizeof(*e));
    for (size_t i = 0; i < n; i++)
        assert_true(parse(texts[i], &e[i], NULL));
    return gtv_watchlist_create(e, n);
}

static void plates_are_checked(void **state)
{
    static const char *const texts[] = {
        "{\"plate\":\"ABC1D23\",\"label\":\"Roubado\",\"severity\":\"high\"}",
        "{\"plate\":\"ABC1*\",\"match\":\"exact\"}",
        "{\"plate\":\"XYZ9K87\",\"enabled\":false}",
        "{\"plate\":\"OLD1A11\",\"expires_at\":\"2020-01-01\"}",
        "{\"plate\":\"BBB1B11\",\"match\":\"exact\"}",
    };
    struct gtv_watchlist *l = list_of(texts, 5);
    struct gtv_watchlist_hit hits[GTV_WATCHLIST_HITS];
    const int64_t now = 1795400000000;
    assert_int_equal(gtv_watchlist_count(l), 5);
    assert_int_equal(gtv_watchlist_check(l, &(struct gtv_watchlist_read){"ABC1D23", NULL}, now, hits), 2);
    assert_string_equal(hits[0].entry->pattern, "ABC1D23");
    assert_int_equal(hits[0].match.kind, GTV_PLATE_MATCH_EXACT);
    assert_int_equal(hits[1].match.kind, GTV_PLATE_MATCH_WILDCARD);
    assert_int_equal(gtv_watchlist_check(l, &(struct gtv_watchlist_read){"ABC1323", NULL}, now, hits), 2);
    assert_int_equal(hits[0].match.kind, GTV_PLATE_MATCH_CONVERTED);
    assert_int_equal(gtv_watchlist_check(l, &(struct gtv_watchlist_read){"A8C1D23", NULL}, now, hits), 1);
    assert_int_equal(hits[0].match.kind, GTV_PLATE_MATCH_SIMILAR);
    assert_non_null(strstr(hits[0].why, "B of the list was read as 8 at position 2"));
    static const char *const none[] = {"XYZ9K87", "OLD1A11", "888181I", "", "QQQ0Q00"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(gtv_watchlist_check(l, &(struct gtv_watchlist_read){none[i], NULL}, now, hits), 0);
    struct gtv_watchlist_entry e;
    assert_true(parse(texts[4], &e, NULL));
    assert_string_equal(gtv_watchlist_find(l, gtv_str_of(e.id))->pattern, "BBB1B11");
    assert_null(gtv_watchlist_find(l, GTV_STR("w0")));
    struct gtv_watchlist *second = gtv_watchlist_ref(l);
    gtv_watchlist_unref(l);
    gtv_watchlist_unref(second);
    gtv_watchlist_unref(gtv_watchlist_create(NULL, 0));
}

static void a_hit_becomes_an_alert(void **state)
{
    static const char *const texts[] = {
        "{\"plate\":\"ABC1D23\",\"label\":\"Roubado\",\"severity\":\"high\"}"};
    struct gtv_watchlist *l = list_of(texts, 1);
    struct gtv_watchlist_hit hits[GTV_WATCHLIST_HITS];
    char key[GTV_HAPPENING_KEY_CAP], small[8];
    assert_int_equal(gtv_watchlist_check(l, &(struct gtv_watchlist_read){"ABC1D23", NULL}, 1, hits), 1);
    const struct gtv_plate_said plate = {.number = "ABC1D23", .format = "mercosul", .confidence = 0.9};
    struct gtv_bytes *event = gtv_event_happening(&(struct gtv_happening_event){.type = "plate.read",
                                                                                .key = "plate.read/17",
                                                                                .camera_id = 3,
                                                                                .wall_ms = 1795400000000,
                                                                                .track = 17,
                                                                                .object_type = "car",
                                                                                .seconds = -1,
                                                                                .degrees = -1,
                                                                                .plate = &plate});
    struct gtv_str text = {(const char *)event->data, event->len};
    struct gtv_bytes *alert = gtv_watchlist_alert(text, &hits[0], key, sizeof(key));
    yyjson_doc *doc = gtv_json_parse((struct gtv_str){(const char *)alert->data, alert->len}, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc), *data = yyjson_obj_get(root, "data"),
               *read = yyjson_obj_get(data, "plate");
    char expected[64];
    snprintf(expected, sizeof(expected), "cam_3/plate.read/17/%s", hits[0].entry->id);
    assert_string_equal(key, expected);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "key")), expected);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "type")), "alert");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(data, "alert")), "watchlist");
    assert_int_equal(yyjson_get_int(yyjson_obj_get(data, "track_id")), 17);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(read, "label")), "Roubado");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(read, "severity")), "high");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(read, "why")), "the plate of the list");
    yyjson_doc_free(doc);
    gtv_bytes_unref(alert);
    assert_null(gtv_watchlist_alert(text, &hits[0], small, sizeof(small)));
    assert_null(gtv_watchlist_alert(GTV_STR("{}"), &hits[0], key, sizeof(key)));
    assert_null(gtv_watchlist_alert(GTV_STR("{"), &hits[0], key, sizeof(key)));
    gtv_bytes_unref(event);
    gtv_watchlist_unref(l);
}

static void csv_is_imported(void **state)
{
    struct gtv_watchlist_import in;
    static const char plain[] = "\xef\xbb\xbf"
                                "ABC1D23,Roubado,high,2030-12-31,exact,\"a \"\"b\"\", c\"\r\n"
                                "\r\n"
                                "abc-1d23,Outra vez\n"
                                "XYZ*\n"
                                "a plate,x\n"
                                ",Sem placa\n"
                                "DEF2E34,\"zwei\nZeilen\",urgent\n"
                                "GHI3F45,,low";
    assert_true(gtv_watchlist_import_parse(GTV_STR(plain), 5, &in, NULL));
    assert_int_equal(in.count, 4);
    assert_string_equal(in.entries[0].label, "Outra vez"); // the last line of a plate holds
    assert_string_equal(in.entries[1].pattern, "XYZ*");
    assert_string_equal(in.entries[2].pattern, "APLATE");
    assert_string_equal(in.entries[3].severity, "low");
    assert_int_equal(in.entries[3].created_ms, 5);
    assert_int_equal(in.error_count, 2);
    assert_int_equal(in.errors[0].line, 6);
    assert_string_equal(in.errors[0].err.field, "plate");
    assert_string_equal(in.errors[0].code, "plate_missing");
    assert_string_equal(in.errors[1].code, "severity_invalid");
    assert_int_equal(in.errors[1].line, 7);
    assert_string_equal(in.errors[1].err.field, "severity");
    gtv_watchlist_import_finish(&in);

    static const char wrong[] = "plate,expires_at,match,label\n***,,,\nABC1D23,soon,,\nABC1D23,,perhaps,\n"
                                "ABC1D23,,,123456789012345678901234567890123456789012345678901234567890"
                                "123456789012345678901\nABC1D23,,,,,,,,,,,,,,,,,\n";
    static const char *const codes[] = {"plate_invalid", "expires_at_invalid", "match_invalid",
                                        "label_too_long", "line_too_long"};
    assert_true(gtv_watchlist_import_parse(GTV_STR(wrong), 5, &in, NULL));
    assert_int_equal(in.count, 0);
    assert_int_equal(in.error_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(in.errors[i].code, codes[i]);
    gtv_watchlist_import_finish(&in);

    static const char named[] = "Label;Plate;other;note\nRoubado;ABC1D23;x;\"a;b\"\n";
    assert_true(gtv_watchlist_import_parse(GTV_STR(named), 5, &in, NULL));
    assert_int_equal(in.count, 1);
    assert_string_equal(in.entries[0].label, "Roubado");
    assert_string_equal(in.entries[0].note, "a;b");
    gtv_watchlist_import_finish(&in);

    struct gtv_error err = {0};
    assert_false(gtv_watchlist_import_parse(GTV_STR("AB\xff"), 5, &in, &err));
    assert_int_equal(err.code, GTV_E_INVALID);
    assert_true(gtv_watchlist_import_parse(GTV_STR(""), 5, &in, NULL));
    assert_int_equal(in.count, 0);
    char *many = gtv_alloc(10001 * 9 + 1);
    for (int i = 0; i < 10001; i++)
        snprintf(many + (ptrdiff_t)i * 9, 10, "AA%06u\n", (unsigned)i % 1000000);
    assert_false(gtv_watchlist_import_parse(gtv_str_of(many), 5, &in, &err));
    assert_int_equal(err.code, GTV_E_TOO_LARGE);
    many[10000 * 9] = '\0';
    assert_true(gtv_watchlist_import_parse(gtv_str_of(many), 5, &in, NULL));
    assert_int_equal(in.count, 10000);
    gtv_watchlist_import_finish(&in);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_read_and_written),
        cmocka_unit_test(plates_are_checked),
        cmocka_unit_test(a_hit_becomes_an_alert),
        cmocka_unit_test(csv_is_imported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
