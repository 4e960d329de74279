#include "services/ai/picture/multipart.h"

#include "tests/unit/unit.h"

#define TYPE "multipart/form-data; boundary=XX"

static void expect(const char *type, const char *body, const char *content)
{
    struct gtv_str out = {0};
    struct gtv_error err = {0};
    if (!gtv_multipart_find(gtv_str_of(type), gtv_str_of(body), "file", &out, &err))
        fail_msg("%s: %s", body, err.message);
    assert_str(out, content);
}

static void refuse(const char *type, const char *body, enum gtv_code code, const char *part_of_message)
{
    struct gtv_str out = {0};
    struct gtv_error err = {0};
    if (gtv_multipart_find(gtv_str_of(type), gtv_str_of(body), "file", &out, &err))
        fail_msg("accepted: %s", body);
    if (err.code != code || !strstr(err.message, part_of_message))
        fail_msg("%s: code %d, %s", body, (int)err.code, err.message);
}

static void finds_the_part(void **state)
{
    expect(TYPE,
           "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\nContent-Type: "
           "image/jpeg\r\n\r\nabc\r\n--XX--\r\n",
           "abc");
    expect(TYPE,
           "--XX\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nz\r\n--XX\r\ncontent-disposition: "
           "form-data; name=file\r\n\r\n"
           "a\r\nb\r\n--X\r\n\r\n--XX--",
           "a\r\nb\r\n--X\r\n");
    expect(TYPE,
           "preamble\r\n--XX  \r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc\r\n--XX--epilogue",
           "abc");
    expect("multipart/form-data; charset=utf-8; boundary=\"a b;c\"",
           "--a b;c\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--a b;c--", "x");
    expect("Multipart/Form-Data;BOUNDARY=XX",
           "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\r\n--XX--", "");
    expect(TYPE,
           "--XX\r\nContent-Disposition: form-data; filename=\"a\\\"; name=b\"; "
           "name=\"file\"\r\n\r\nq\r\n--XX--",
           "q");
}

static void refuses_what_is_malformed(void **state)
{
    refuse("application/json", "{}", GTV_E_UNSUPPORTED, "multipart/form-data");
    refuse("", "", GTV_E_UNSUPPORTED, "multipart/form-data");
    refuse("multipart/form-data", "x", GTV_E_BAD_REQUEST, "no boundary");
    refuse("multipart/form-data; boundary=", "x", GTV_E_BAD_REQUEST, "wrong boundary");
    refuse("multipart/form-data; boundary=\"", "x", GTV_E_BAD_REQUEST, "wrong boundary");
    refuse("multipart/form-data; "
           "boundary=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhh",
           "x", GTV_E_BAD_REQUEST, "wrong boundary");
    refuse(TYPE, "", GTV_E_BAD_REQUEST, "does not contain the boundary");
    refuse(TYPE, "--YY\r\n", GTV_E_BAD_REQUEST, "does not contain the boundary");
    refuse(TYPE, "--XX", GTV_E_BAD_REQUEST, "not followed by a new line");
    refuse(TYPE, "--XXX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc\r\n--XX--",
           GTV_E_BAD_REQUEST, "not followed by a new line");
    refuse(TYPE, "--XX\r\n", GTV_E_BAD_REQUEST, "headers");
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n", GTV_E_BAD_REQUEST, "headers");
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc", GTV_E_BAD_REQUEST,
           "cut off");
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc\r\n--XX\r\n",
           GTV_E_BAD_REQUEST, "headers");
    refuse(TYPE, "--XX\r\n\r\nabc\r\n--XX--", GTV_E_BAD_REQUEST, "no Content-Disposition");
    refuse(TYPE, "--XX\r\nnot a header\r\n\r\nabc\r\n--XX--", GTV_E_BAD_REQUEST, "header line");
    refuse(TYPE, "--XX\r\nContent-Disposition: attachment; name=\"file\"\r\n\r\nabc\r\n--XX--",
           GTV_E_BAD_REQUEST, "wrong Content-Disposition");
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"file\r\n\r\nabc\r\n--XX--",
           GTV_E_BAD_REQUEST, "wrong Content-Disposition");
}

static void tells_missing_from_malformed(void **state)
{
    refuse(TYPE, "--XX--", GTV_E_INVALID, "missing");
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nabc\r\n--XX--", GTV_E_INVALID,
           "missing");
    refuse(TYPE,
           "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\na\r\n--XX\r\nContent-Disposition: "
           "form-data; "
           "name=\"file\"\r\n\r\nb\r\n--XX--",
           GTV_E_INVALID, "twice");
}

static void walks_over_all_parts(void **state)
{
    struct gtv_multipart m;
    struct gtv_multipart_part part;
    struct gtv_error err = {0};
    static const char body[] =
        "--XX\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a b.jpg\"\r\n\r\none\r\n--XX\r\n"
        "Content-Disposition: form-data; name=files\r\n\r\n\r\n--XX\r\n"
        "Content-Disposition: form-data; name=\"x\"\r\n\r\nthree\r\n--XX--";
    assert_true(gtv_multipart_begin(&m, GTV_STR(TYPE), GTV_STR(body), &err));
    assert_int_equal(gtv_multipart_next(&m, &part, &err), 1);
    assert_string_equal(part.name, "files");
    assert_string_equal(part.filename, "a b.jpg");
    assert_str(part.content, "one");
    assert_int_equal(gtv_multipart_next(&m, &part, &err), 1);
    assert_string_equal(part.name, "files");
    assert_string_equal(part.filename, "");
    assert_str(part.content, "");
    assert_int_equal(gtv_multipart_next(&m, &part, &err), 1);
    assert_str(part.content, "three");
    assert_int_equal(gtv_multipart_next(&m, &part, &err), 0);

    // Cut anywhere: the parts before it, then an error, never the end.
    for (size_t n = 0; n < sizeof(body) - 3; n++) {
        struct gtv_str cut = {body, n};
        if (!gtv_multipart_begin(&m, GTV_STR(TYPE), cut, &err))
            continue;
        int more;
        while ((more = gtv_multipart_next(&m, &part, &err)) > 0)
            assert_true(part.content.p >= body && part.content.p + part.content.n <= body + n);
        assert_int_equal(more, -1);
        assert_int_equal(err.code, GTV_E_BAD_REQUEST);
    }
}

static void limits(void **state)
{
    struct gtv_str out = {0};
    struct gtv_error err = {0};
    char body[8192] = "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\nX: ";
    size_t n = strlen(body);
    memset(body + n, 'y', 5000);
    memcpy(body + n + 5000, "\r\n\r\nabc\r\n--XX--", 16);
    assert_false(gtv_multipart_find(GTV_STR(TYPE), gtv_str_of(body), "file", &out, &err));
    assert_int_equal(err.code, GTV_E_BAD_REQUEST);

    n = 0;
    for (int i = 0; i < GTV_MULTIPART_MAX_PARTS + 1; i++) {
        static const char part[] = "--XX\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n\r\n";
        memcpy(body + n, part, sizeof(part));
        n += sizeof(part) - 1;
    }
    memcpy(body + n, "--XX--", 7);
    assert_false(gtv_multipart_find(GTV_STR(TYPE), gtv_str_of(body), "file", &out, &err));
    assert_non_null(strstr(err.message, "more than 64 parts"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_part),
        cmocka_unit_test(refuses_what_is_malformed),
        cmocka_unit_test(tells_missing_from_malformed),
        cmocka_unit_test(walks_over_all_parts),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
