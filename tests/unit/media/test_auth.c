#include "services/media/auth.h"
#include "services/media/pattern.h"
#include "tests/unit/unit.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static bool configure(struct gtv_auth *auth, const char *json, struct gtv_error *err)
{
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    assert_non_null(doc);
    bool ok = gtv_auth_configure(auth, yyjson_doc_get_root(doc), err);
    yyjson_doc_free(doc);
    return ok;
}

static enum gtv_auth_answer check(const struct gtv_auth *auth, enum gtv_action action, const char *path,
                                  const char *user, const char *pass, const char *address)
{
    const struct gtv_credentials who = {gtv_str_of(user), gtv_str_of(pass), gtv_str_of(address)};
    return gtv_auth_check(auth, action, gtv_str_of(path), &who);
}

static void the_default(void **state)
{
    struct gtv_auth *a = gtv_auth_create();
    assert_int_equal(check(a, GTV_ACT_READ, "cam", "", "", "203.0.113.9"), GTV_AUTH_OK);
    assert_int_equal(check(a, GTV_ACT_PUBLISH, "cam", "x", "y", "203.0.113.9"), GTV_AUTH_OK);
    assert_int_equal(check(a, GTV_ACT_API, "", "", "", "127.0.0.1"), GTV_AUTH_OK);
    assert_int_equal(check(a, GTV_ACT_API, "", "x", "y", "::1"), GTV_AUTH_OK);
    assert_int_equal(check(a, GTV_ACT_API, "", "", "", "203.0.113.9"), GTV_AUTH_ASK);
    assert_int_equal(check(a, GTV_ACT_METRICS, "", "x", "y", "203.0.113.9"), GTV_AUTH_WRONG);
    assert_true(gtv_auth_is_open(a, GTV_ACT_READ, GTV_STR("x"), GTV_STR("203.0.113.9")));
    assert_false(gtv_auth_is_open(a, GTV_ACT_API, GTV_STR(""), GTV_STR("")));
    gtv_auth_destroy(a);
}

static void users_and_paths(void **state)
{
    struct gtv_auth *a = gtv_auth_create();
    struct gtv_error err = {0};
    assert_true(configure(
        a,
        "[{\"user\":\"bob\",\"pass\":\"pw\",\"ips\":[\"10.0.0.0/8\",\"::1\"],\"permissions\":["
        "{\"action\":\"read\",\"path\":\"~^cam_[0-9]+$\"},{\"action\":\"playback\",\"path\":"
        "\"yard\"}]},{\"user\":\"root\",\"pass\":\"secret\",\"permissions\":[{\"action\":\"api\"}]}]",
        &err));
    assert_int_equal(check(a, GTV_ACT_READ, "cam_12", "bob", "pw", "10.1.2.3"), GTV_AUTH_OK);
    assert_int_equal(check(a, GTV_ACT_READ, "cam_12", "bob", "pw", "11.1.2.3"), GTV_AUTH_WRONG);
    assert_int_equal(check(a, GTV_ACT_READ, "cam_12", "bob", "pW", "10.1.2.3"), GTV_AUTH_WRONG);
    assert_int_equal(check(a, GTV_ACT_READ, "cam_x", "bob", "pw", "10.1.2.3"), GTV_AUTH_WRONG);
    assert_int_equal(check(a, GTV_ACT_PUBLISH, "cam_1", "bob", "pw", "10.1.2.3"), GTV_AUTH_WRONG);
    assert_int_equal(check(a, GTV_ACT_PLAYBACK, "yard", "bob", "pw", "::1"), GTV_AUTH_OK);
    assert_int_equal(check(a, GTV_ACT_PLAYBACK, "yard2", "bob", "pw", "::1"), GTV_AUTH_WRONG);
    assert_int_equal(check(a, GTV_ACT_API, "", "root", "secret", "203.0.113.9"), GTV_AUTH_OK);
    assert_int_equal(check(a, GTV_ACT_API, "", "", "", "127.0.0.1"), GTV_AUTH_ASK);
    // What is wrong changes nothing; what is written hides the passwords, and may come back so.
    assert_false(configure(a, "[{\"user\":\"eve\",\"colour\":1}]", &err));
    assert_string_equal(err.message, "json: unknown field \"colour\"");
    assert_int_equal(check(a, GTV_ACT_API, "", "root", "secret", "203.0.113.9"), GTV_AUTH_OK);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, gtv_auth_write(a, doc, true));
    char *text = yyjson_mut_write(doc, 0, NULL);
    assert_null(strstr(text, "secret"));
    assert_true(configure(a, text, &err));
    assert_int_equal(check(a, GTV_ACT_API, "", "root", "secret", "203.0.113.9"), GTV_AUTH_OK);
    free(text);
    yyjson_mut_doc_free(doc);
    gtv_auth_destroy(a);
}

static void hashed(void **state)
{
    struct gtv_auth *a = gtv_auth_create();
    struct gtv_error err = {0};
    char phc[crypto_pwhash_STRBYTES], json[1024];
    assert_int_equal(crypto_pwhash_str(phc, "slow", 4, 1, 8192), 0);
    snprintf(json, sizeof json,
             "[{\"user\":\"sha256:LPcYufLYhl4IH2XwtsbAygGh+1XRyR7ytjpbhLmZFs4=\",\"pass\":\"sha256:"
             "LPcYufLYhl4IH2XwtsbAygGh+1XRyR7ytjpbhLmZFs4=\",\"permissions\":[{\"action\":\"read\"}]},"
             "{\"user\":\"amy\",\"pass\":\"argon2:%s\",\"permissions\":[{\"action\":\"api\"}]}]",
             phc);
    uint8_t hash[32];
    char base64[64];
    crypto_hash_sha256(hash, (const uint8_t *)"pw", 2);
    sodium_bin2base64(base64, sizeof base64, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
    for (char *at; (at = strstr(json, "LPcYufLYhl4IH2XwtsbAygGh+1XRyR7ytjpbhLmZFs4=")) != NULL;) {
        memcpy(at, base64, strlen(base64));
    }
    assert_true(configure(a, json, &err));
    assert_int_equal(check(a, GTV_ACT_READ, "x", "pw", "pw", ""), GTV_AUTH_OK);
    assert_int_equal(check(a, GTV_ACT_READ, "x", "pw", "pv", ""), GTV_AUTH_WRONG);
    assert_int_equal(check(a, GTV_ACT_API, "", "amy", "slow", ""), GTV_AUTH_OK);
    // Guesses are bounded in a second, and whoever has passed goes on passing.
    for (int i = 0; i < 20; i++) {
        assert_int_equal(check(a, GTV_ACT_API, "", "amy", "guess", ""), GTV_AUTH_WRONG);
        assert_int_equal(check(a, GTV_ACT_API, "", "amy", "slow", ""), GTV_AUTH_OK);
    }
    static const char *const bad[][2] = {
        {"[{\"user\":\"a\",\"pass\":\"sha256:xx\"}]", "a hash behind 'sha256:' is not 32 bytes in base64"},
        {"[{\"user\":\"a\",\"pass\":\"argon2:xx\"}]",
         "a hash behind 'argon2:' is not of the form $argon2id$v=19$m=..."},
        {"[{\"user\":\"a\",\"pass\":\"argon2:$argon2id$v=19$m=65536,t=3,p=1$AAAA$BBBB\"}]",
         "a hash behind 'argon2:' is too costly: at most m=16384,t=4,p=1"},
        {"[{\"pass\":\"x\"}]", "empty usernames are not supported"},
        {"[{\"user\":\"any\",\"pass\":\"x\"}]", "using a password with 'any' user is not supported"},
        {"[{\"user\":\"new\",\"pass\":\"***\"}]", "*** in place of a password stands for none that is known"},
        {"[{\"user\":\"a\",\"permissions\":[{\"action\":\"fly\"}]}]", "invalid auth action: 'fly'"},
        {"[{\"user\":\"a\",\"permissions\":[{\"action\":\"read\",\"path\":\"~[\"}]}]",
         "invalid regular expression: ["},
        {"[{\"user\":\"a\",\"ips\":[\"300.1.1.1\"]}]", "unable to parse IP/CIDR '300.1.1.1'"},
        {"[{\"user\":5}]", "json: cannot unmarshal number into Go value of type string"},
        {"{}", "json: cannot unmarshal object into Go value of type []conf.AuthInternalUser"},
        {"[3]", "json: cannot unmarshal number into Go value of type conf.AuthInternalUser"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err = (struct gtv_error){0};
        assert_false(configure(a, bad[i][0], &err));
        assert_string_equal(err.message, bad[i][1]);
    }
    gtv_auth_destroy(a);
}

static void patterns(void **state)
{
    struct gtv_error err = {0};
    struct gtv_str groups[GTV_PATTERN_GROUPS];
    struct gtv_pattern *p = gtv_pattern_create(GTV_STR("^cam_(\\d+)(x)?$"), &err);
    assert_true(gtv_pattern_match(p, GTV_STR("cam_42"), groups));
    assert_true(gtv_str_eq(groups[1], GTV_STR("42")));
    assert_int_equal(groups[2].n, 0);
    assert_false(gtv_pattern_match(p, GTV_STR("xcam_42"), NULL));
    gtv_pattern_destroy(p);
    // Backtracking ends.
    p = gtv_pattern_create(GTV_STR("^(a+)+$"), &err);
    assert_false(gtv_pattern_match(p, GTV_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), NULL));
    gtv_pattern_destroy(p);
    assert_null(gtv_pattern_create(GTV_STR("["), &err));
    assert_string_equal(err.message, "invalid regular expression: [");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default),
        cmocka_unit_test(users_and_paths),
        cmocka_unit_test(hashed),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
