#include "lib/rtsp/digest.h"
#include "tests/unit/unit.h"

static bool challenge(const char *headers, struct gtv_digest_challenge *c)
{
    static struct gtv_rtsp_message m;
    struct gtv_error err = {0};
    struct gtv_buf b = {0};
    size_t used, need;
    gtv_buf_printf(&b, "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n%s\r\n", headers);
    assert_int_equal(gtv_rtsp_read(gtv_buf_str(&b), &used, &need, &m, &err), GTV_RTSP_RESPONSE);
    bool ok = gtv_digest_challenge_read(&m, c);
    gtv_buf_finish(&b);
    return ok;
}

// The examples of RFC 7616, 3.9.1.
static void test_the_rfc(void **state)
{
    struct gtv_digest_input in = {.scheme = GTV_DIGEST_MD5,
                                  .user = GTV_STR("Mufasa"),
                                  .realm = GTV_STR("http-auth@example.org"),
                                  .pass = GTV_STR("Circle of Life"),
                                  .method = GTV_STR("GET"),
                                  .uri = GTV_STR("/dir/index.html"),
                                  .nonce = GTV_STR("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"),
                                  .qop = true,
                                  .nc = GTV_STR("00000001"),
                                  .cnonce = GTV_STR("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")};
    char out[GTV_DIGEST_HEX];
    assert_true(gtv_digest_response(&in, out));
    assert_string_equal(out, "8ca523f5e9506fed4657c9700eebdbec");
    in.scheme = GTV_DIGEST_SHA256;
    assert_true(gtv_digest_response(&in, out));
    assert_string_equal(out, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
}

static void test_the_strongest_is_taken(void **state)
{
    struct gtv_digest_challenge c;
    assert_true(challenge("WWW-Authenticate: Basic realm=\"a, Digest b\"\r\n"
                          "WWW-Authenticate: Digest realm=\"cam \\\"1\\\"\", nonce=\"n1\", stale=TRUE\r\n",
                          &c));
    assert_int_equal(c.scheme, GTV_DIGEST_MD5);
    assert_string_equal(c.realm, "cam \\\"1\\\"");
    assert_string_equal(c.nonce, "n1");
    assert_true(c.stale);
    assert_false(c.qop);
    assert_true(
        challenge("WWW-Authenticate: Digest realm=\"a\", nonce=\"n\", Digest realm=\"b\", nonce=\"m\", "
                  "algorithm=SHA-256, qop=\"auth,auth-int\", Basic realm=\"c\"\r\n",
                  &c));
    assert_int_equal(c.scheme, GTV_DIGEST_SHA256);
    assert_string_equal(c.realm, "b");
    assert_true(c.qop);
    assert_true(challenge("WWW-Authenticate: Basic\r\n", &c));
    assert_int_equal(c.scheme, GTV_DIGEST_BASIC);
    assert_false(challenge("WWW-Authenticate: Bearer realm=\"a\"\r\n", &c));
    assert_false(challenge("WWW-Authenticate: Digest realm=\"a\", nonce=\"b\", algorithm=MD4\r\n", &c));
    assert_false(challenge("WWW-Authenticate: Digest realm=\"a\"\r\n", &c));
    assert_false(challenge("", &c));
}

static void test_writing(void **state)
{
    struct gtv_digest_challenge c = {0};
    struct gtv_buf b = {0};
    gtv_digest_write(&b, &c, "DESCRIBE", "rtsp://h/a", "u", "p");
    assert_int_equal(b.len, 0);
    c.scheme = GTV_DIGEST_BASIC;
    gtv_digest_write(&b, &c, "DESCRIBE", "rtsp://h/a", "Aladdin", "open sesame");
    assert_string_equal(b.data, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
    gtv_buf_reset(&b);
    assert_true(challenge("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", &c));
    gtv_digest_write(&b, &c, "DESCRIBE", "rtsp://h/a", "u\"", "p");
    struct gtv_str line = {b.data + 22, b.len - 24};
    assert_str(gtv_digest_parameter(line, "username"), "u\\\"");
    assert_str(gtv_digest_parameter(line, "uri"), "rtsp://h/a");
    assert_int_equal(gtv_digest_parameter(line, "response").n, 32);
    assert_null(gtv_digest_parameter(line, "qop").p);
    gtv_buf_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rfc),
        cmocka_unit_test(test_the_strongest_is_taken),
        cmocka_unit_test(test_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
