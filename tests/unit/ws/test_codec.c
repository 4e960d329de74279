#include "lib/ws/codec.h"
#include "tests/unit/unit.h"

#include <stdio.h>

// What a decoder reported, one line an event.
struct trace {
    char text[512];
    bool stop_after_message;
};

static void note(struct trace *t, const char *what, struct gtv_str s)
{
    size_t at = strlen(t->text);
    snprintf(t->text + at, sizeof t->text - at, "%s(" GTV_STR_FMT ")", what, GTV_STR_ARG(s));
}

static bool on_message(void *arg, enum gtv_ws_opcode kind, struct gtv_str message)
{
    struct trace *t = arg;
    note(t, kind == GTV_WS_TEXT ? "text" : "binary", message);
    return !t->stop_after_message;
}

static bool on_ping(void *arg, struct gtv_str payload)
{
    note(arg, "ping", payload);
    return true;
}

static bool on_pong(void *arg, struct gtv_str payload)
{
    note(arg, "pong", payload);
    return true;
}

static bool on_close(void *arg, uint16_t code, struct gtv_str reason)
{
    char text[64];
    snprintf(text, sizeof text, "close %u ", code);
    note(arg, text, reason);
    return false;
}

static size_t frame(uint8_t *out, uint8_t first, const void *payload, size_t n)
{
    static const uint8_t mask[4] = {0xa1, 0x02, 0x7f, 0x33};
    size_t at = 0;
    out[at++] = first;
    if (n < 126) {
        out[at++] = (uint8_t)(0x80 | n);
    } else {
        out[at++] = 0x80 | 126;
        out[at++] = (uint8_t)(n >> 8);
        out[at++] = (uint8_t)n;
    }
    memcpy(out + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < n; i++)
        out[at++] = ((const uint8_t *)payload)[i] ^ mask[i & 3];
    return at;
}

// Decodes in parts of `step` bytes (0: at once); returns the last answer.
static uint16_t decode(struct trace *t, const uint8_t *data, size_t n, size_t step)
{
    static const struct gtv_ws_decoder_events events = {on_message, on_ping, on_pong, on_close};
    struct gtv_ws_decoder d;
    gtv_ws_decoder_init(&d, 1000, &events, t);
    uint16_t rc = 0;
    for (size_t at = 0; at < n && rc == 0;) {
        size_t part = step == 0 || n - at < step ? n - at : step;
        rc = gtv_ws_decoder_feed(&d, data + at, part);
        at += part;
    }
    gtv_ws_decoder_finish(&d);
    return rc;
}

static void messages_in_any_pieces(void **state)
{
    uint8_t data[600];
    size_t n = frame(data, 0x01, "Hel", 3);
    n += frame(data + n, 0x89, "p", 1);
    n += frame(data + n, 0x80, "lo", 2);
    n += frame(data + n, 0x81, "", 0);
    char long_text[200];
    memset(long_text, 'x', sizeof long_text);
    n += frame(data + n, 0x81, long_text, sizeof long_text);
    n += frame(data + n, 0x8a, "", 0);
    n += frame(data + n, 0x88,
               "\x03\xe8"
               "bye",
               5);
    n += frame(data + n, 0x81, "never", 5);
    for (size_t step = 0; step < 20; step++) {
        struct trace t = {.text = ""};
        assert_int_equal(decode(&t, data, n, step), 1);
        assert_true(strncmp(t.text, "ping(p)text(Hello)text()text(xxx", 32) == 0);
        assert_non_null(strstr(t.text, "xxx)pong()close 1000 (bye)"));
        assert_null(strstr(t.text, "never"));
    }
}

static uint16_t one(uint8_t first, const void *payload, size_t n)
{
    uint8_t data[2048];
    struct trace t = {.text = ""};
    return decode(&t, data, frame(data, first, payload, n), 0);
}

static void refusals(void **state)
{
    assert_int_equal(one(0xc1, "x", 1), 1002); // RSV1
    assert_int_equal(one(0x83, "x", 1), 1002);
    assert_int_equal(one(0x8b, "x", 1), 1002);
    assert_int_equal(one(0x09, "x", 1), 1002); // a ping in fragments
    assert_int_equal(one(0x80, "x", 1), 1002); // goes on with nothing
    assert_int_equal(one(0x81, "\xc3(", 2), 1007);
    assert_int_equal(one(0x88, "x", 1), 1002);
    assert_int_equal(one(0x88, "\x03\xed", 2), 1002); // 1005
    assert_int_equal(one(0x88, "\x03\xe8\xff", 3), 1007);
    assert_int_equal(one(0x88, "\x0b\xb8", 2), 1); // 3000
    static const char big[1001];
    assert_int_equal(one(0x81, big, sizeof big), 1009);
    const uint8_t unmasked[] = {0x81, 0x01, 'x'}, overlong[] = {0x81, 0xfe, 0, 1, 0, 0, 0, 0, 'x'};
    struct trace t = {.text = ""};
    assert_int_equal(decode(&t, unmasked, sizeof unmasked, 0), 1002);
    assert_int_equal(decode(&t, overlong, sizeof overlong, 0), 1002);
    const uint8_t huge[] = {0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4};
    assert_int_equal(decode(&t, huge, sizeof huge, 0), 1002);
    const uint8_t wide[] = {0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    assert_int_equal(decode(&t, wide, sizeof wide, 0), 1009);
}

static void fragments_are_bounded_together(void **state)
{
    uint8_t data[2048];
    static const char part[600];
    size_t n = frame(data, 0x01, part, sizeof part);
    n += frame(data + n, 0x80, part, sizeof part);
    struct trace t = {.text = ""};
    assert_int_equal(decode(&t, data, n, 0), 1009);
}

static void an_owner_may_stop(void **state)
{
    uint8_t data[64];
    size_t n = frame(data, 0x81, "a", 1);
    n += frame(data + n, 0x81, "b", 1);
    struct trace t = {.text = "", .stop_after_message = true};
    assert_int_equal(decode(&t, data, n, 0), 1);
    assert_string_equal(t.text, "text(a)");
}

static void encoding(void **state)
{
    static const struct {
        size_t n, head;
        uint8_t second;
    } cases[] = {{0, 2, 0}, {125, 2, 125}, {126, 4, 126}, {65535, 4, 126}, {65536, 10, 127}};
    static uint8_t payload[65536];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gtv_bytes *b = gtv_ws_encode(GTV_WS_TEXT, payload, cases[i].n);
        assert_non_null(b);
        assert_int_equal(b->len, cases[i].head + cases[i].n);
        assert_int_equal(b->data[0], 0x81);
        assert_int_equal(b->data[1], cases[i].second);
        gtv_bytes_unref(b);
    }
}

static void the_key_of_the_rfc(void **state)
{
    char out[29];
    assert_true(gtv_ws_accept_key(GTV_STR("dGhlIHNhbXBsZSBub25jZQ=="), out));
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(gtv_ws_accept_key(GTV_STR(""), out));
    assert_false(gtv_ws_accept_key(GTV_STR("dGhlIHNhbXBsZSBub25jZQ"), out));
    assert_false(gtv_ws_accept_key(GTV_STR("dGhlIHNhbXBsZSBub25jZQA="), out));
    assert_false(gtv_ws_accept_key(GTV_STR("!!!!IHNhbXBsZSBub25jZQ=="), out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages_in_any_pieces),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(fragments_are_bounded_together),
                                       cmocka_unit_test(an_owner_may_stop),
                                       cmocka_unit_test(encoding),
                                       cmocka_unit_test(the_key_of_the_rfc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
