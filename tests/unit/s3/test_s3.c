#include "lib/s3/s3.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct gtv_s3 *open_it(const char *url)
{
    struct gtv_error err = {0};
    struct gtv_s3 *s =
        gtv_s3_create(&(struct gtv_s3_config){.url = url,
                                              .region = "us-east-1",
                                              .key = "AKIAIOSFODNN7EXAMPLE",
                                              .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
                      &err);
    assert_true(s || err.code == GTV_E_INVALID);
    return s;
}

// The examples of the reference, whose requests are of this moment.
enum { EXAMPLE_S = 1369353600 };

static void assert_signed(const char *query, const char *signature)
{
    struct gtv_s3 *s = open_it("https://examplebucket.s3.amazonaws.com");
    struct gtv_s3_headers h;
    char expected[400];
    assert_non_null(s);
    gtv_s3_sign_path(s, "GET", "/", query, (struct gtv_str){0}, (int64_t)EXAMPLE_S * 1000, &h);
    assert_string_equal(h.date, "x-amz-date: 20130524T000000Z");
    assert_string_equal(h.hash, "x-amz-content-sha256: "
                                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    snprintf(expected, sizeof expected,
             "Authorization: AWS4-HMAC-SHA256 "
             "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
             "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%s",
             signature);
    assert_string_equal(h.authorization, expected);
    assert_ptr_equal(h.list[2], h.authorization);
    assert_null(h.list[3]);
    gtv_s3_destroy(s);
}

static void as_the_reference_says(void **state)
{
    assert_signed("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    assert_signed("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void addresses(void **state)
{
    static const char *const wrong[] = {"",
                                        "s3://bucket",
                                        "ftp://h/bucket",
                                        "https://u:p@h/bucket",
                                        "https://h/bucket?x=1",
                                        "https://h/a b",
                                        "https://h/a%20b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(open_it(wrong[i]));
    struct gtv_s3 *s = open_it("http://127.0.0.1:9000/crops/centre-1//");
    assert_non_null(s);
    char *url = gtv_s3_url(s, "cam_1/20261123/17.jpg");
    assert_string_equal(url, "http://127.0.0.1:9000/crops/centre-1/cam_1/20261123/17.jpg");
    free(url);
    struct gtv_s3_headers a, b;
    gtv_s3_sign(s, "PUT", "x.jpg", GTV_STR("picture"), 0, &a);
    gtv_s3_sign_path(s, "PUT", "/crops/centre-1/x.jpg", "", GTV_STR("picture"), 999, &b);
    assert_string_equal(a.authorization, b.authorization);
    gtv_s3_sign(s, "PUT", "x.jpg", GTV_STR("pictures"), 0, &b);
    assert_string_not_equal(a.authorization, b.authorization);
    gtv_s3_destroy(s);
    struct gtv_error err = {0};
    assert_null(gtv_s3_create(
        &(struct gtv_s3_config){.url = "https://h/b", .region = "x", .key = "k", .secret = ""}, &err));
    assert_true(err.message[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_the_reference_says), cmocka_unit_test(addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
