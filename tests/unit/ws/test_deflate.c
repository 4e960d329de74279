#include "lib/base/buf.h"
#include "lib/ws/codec.h"
#include "lib/ws/deflate.h"
#include "lib/ws/ws.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

enum { MAX_MESSAGE = 100000 };

struct heard {
    struct gtv_buf text; // all messages, one after the other
    unsigned messages, pings;
};

static bool on_message(void *arg, enum gtv_ws_opcode kind, struct gtv_str message)
{
    struct heard *h = arg;
    h->messages++;
    return gtv_buf_append(&h->text, message.p, message.n);
}

static bool on_ping(void *arg, struct gtv_str payload)
{
    ((struct heard *)arg)->pings++;
    return true;
}

static bool on_pong(void *arg, struct gtv_str payload)
{
    return true;
}

static bool on_close(void *arg, uint16_t code, struct gtv_str reason)
{
    return false;
}

static size_t frame(uint8_t *out, uint8_t first, const void *payload, size_t n)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t at = 0;
    out[at++] = first;
    if (n < 126) {
        out[at++] = (uint8_t)(0x80 | n);
    } else {
        unsigned extended = n <= 0xffff ? 2 : 8;
        out[at++] = extended == 2 ? 0x80 | 126 : 0x80 | 127;
        for (unsigned i = extended; i > 0; i--)
            out[at++] = (uint8_t)((uint64_t)n >> (8 * (i - 1)));
    }
    memcpy(out + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < n; i++)
        out[at++] = ((const uint8_t *)payload)[i] ^ mask[i & 3];
    return at;
}

static uint16_t decode(struct heard *h, const uint8_t *data, size_t n, size_t step, bool agreed)
{
    static const struct gtv_ws_decoder_events events = {on_message, on_ping, on_pong, on_close};
    struct gtv_ws_decoder d;
    *h = (struct heard){0};
    gtv_ws_decoder_init(&d, MAX_MESSAGE, &events, h);
    d.deflate = agreed;
    uint16_t rc = 0;
    for (size_t at = 0; at < n && rc == 0; at += step)
        rc = gtv_ws_decoder_feed(&d, data + at, n - at < step ? n - at : step);
    gtv_ws_decoder_finish(&d);
    return rc;
}

// The message in one frame, in pieces of every small size and at once: text, or the code of the refusal.
static void expect(uint8_t first, const void *payload, size_t n, uint16_t want, const char *text)
{
    uint8_t *data = malloc(n + 14);
    size_t len = frame(data, first, payload, n);
    for (size_t step = 1; step <= len; step = step < 9 ? step + 1 : step * 3) {
        struct heard h;
        assert_int_equal(decode(&h, data, len, step, true), want);
        assert_int_equal(h.messages, want == 0);
        if (want == 0)
            assert_str(gtv_buf_str(&h.text), text);
        gtv_buf_finish(&h.text);
    }
    free(data);
}

// The examples of RFC 7692, 7.2.3.
static void the_examples_of_the_rfc(void **state)
{
    expect(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 0, "Hello");
    expect(0xc1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, 0, "Hello");
    expect(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, 0, "Hello");
    expect(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, 0, "Hello");
    expect(0xc1, "\x00", 1, 0, "");
    expect(0xc1, "", 0, 1007, NULL); // an empty message has a byte
    // What points back into the message before: no context is taken over.
    expect(0xc1, "\xf2\x00\x11\x00\x00", 5, 1007, NULL);
}

static void what_is_no_deflate(void **state)
{
    expect(0xc1, "\x06", 1, 1007, NULL);                         // a kind of block that is none
    expect(0xc1, "\x00\x05\x00\xfa\xfe\x48\x65", 7, 1007, NULL); // a length and its complement
    expect(0xc1, "\xf2\x48\xcd", 3, 1007, NULL);                 // ends within a block
    expect(0xc1, "\xff\xff\xff\xff", 4, 1007, NULL);
    expect(0xc1, "\x00\x02\x00\xfd\xff\xc3\x28\x00", 8, 1007, NULL); // deflate, but not UTF-8
    expect(0xc2, "\x00\x02\x00\xfd\xff\xc3\x28\x00", 8, 0, "\xc3(");
    expect(0xc1, "\x00\x01\x00\xfe\xff\xc3\x00", 7, 1007, NULL); // ends within a character
}

static void the_first_reserved_bit(void **state)
{
    uint8_t data[128];
    struct heard h;
    size_t n = frame(data, 0x41, "\xf2\x48\xcd", 3);
    n += frame(data + n, 0x89, "", 0); // control frames come between
    n += frame(data + n, 0x80, "\xc9\xc9\x07\x00", 4);
    n += frame(data + n, 0x81, " plain", 6); // each message for itself
    n += frame(data + n, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    for (size_t step = 1; step <= n; step++) {
        assert_int_equal(decode(&h, data, n, step, true), 0);
        assert_str(gtv_buf_str(&h.text), "Hello plainHello");
        assert_int_equal(h.pings, 1);
        gtv_buf_finish(&h.text);
    }
    assert_int_equal(decode(&h, data, n, n, false), 1002);
    n = frame(data, 0x41, "\xf2\x48\xcd", 3);
    n += frame(data + n, 0xc0, "\xc9\xc9\x07\x00", 4);
    assert_int_equal(decode(&h, data, n, n, true), 1002);
    n = frame(data, 0x01, "a", 1);
    n += frame(data + n, 0xc0, "b", 1);
    assert_int_equal(decode(&h, data, n, n, true), 1002);
    n = frame(data, 0xc9, "", 0);
    assert_int_equal(decode(&h, data, n, n, true), 1002);
    n = frame(data, 0xa1, "a", 1);
    assert_int_equal(decode(&h, data, n, n, true), 1002);
}

static struct gtv_bytes *compressed(const char *text, size_t n, unsigned bits)
{
    struct gtv_ws_deflater *d = gtv_ws_deflater_create(bits);
    struct gtv_bytes *frame = gtv_ws_encode_deflated(d, true, (struct gtv_str){text, n});
    gtv_ws_deflater_destroy(d);
    return frame;
}

static struct gtv_str payload_of(const struct gtv_bytes *b)
{
    size_t head = (b->data[1] & 0x7f) < 126 ? 2 : (b->data[1] & 0x7f) == 126 ? 4 : 10;
    return (struct gtv_str){(const char *)b->data + head, b->len - head};
}

static void expect_compressed(const char *text, size_t n, unsigned bits, uint16_t want)
{
    struct gtv_bytes *b = compressed(text, n, bits);
    assert_non_null(b);
    assert_int_equal(b->data[0], 0xc1);
    assert_true(b->len < n);
    struct gtv_str payload = payload_of(b);
    uint8_t *data = malloc(payload.n + 14);
    struct heard h;
    size_t len = frame(data, 0xc1, payload.p, payload.n);
    assert_int_equal(decode(&h, data, len, 1000, true), want);
    if (want == 0) {
        assert_int_equal(h.text.len, n);
        assert_memory_equal(h.text.data, text, n);
    }
    gtv_buf_finish(&h.text);
    free(data);
    gtv_bytes_unref(b);
}

static void bombs(void **state)
{
    size_t big = 50u << 20;
    char *zeros = calloc(1, big);
    expect_compressed(zeros, big, 15, 1009);
    expect_compressed(zeros, MAX_MESSAGE + 1, 15, 1009);
    expect_compressed(zeros, MAX_MESSAGE, 15, 0); // exactly what is allowed
    free(zeros);
    // Blocks that hold nothing cost time and no memory: the bytes on the wire are bounded too.
    uint8_t *empty = calloc(1, 5 * 30000), *data = malloc(5 * 30000 + 14);
    for (size_t i = 0; i < 30000; i++)
        memcpy(empty + 5 * i, "\x00\x00\x00\xff\xff", 5);
    struct heard h;
    size_t len = frame(data, 0xc1, empty, 5 * 30000);
    assert_int_equal(decode(&h, data, len, len, true), 1009);
    len = frame(data, 0x41, empty, 5 * 12000);
    assert_int_equal(decode(&h, data, len, len, true), 0);
    len += frame(data + len, 0x80, empty, 5 * 12000);
    assert_int_equal(decode(&h, data, len, len, true), 1009);
    free(empty);
    free(data);
}

static void what_is_made_can_be_read(void **state)
{
    char text[3000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "{\"type\":\"detection\",\"n\":"[(i * i / 7) % 25];
    for (unsigned bits = 9; bits <= 15; bits++)
        for (size_t n = 300; n <= sizeof text; n += 900)
            expect_compressed(text, n, bits, 0);
    // What does not become smaller stays as it is.
    assert_null(compressed("", 0, 15));
    assert_null(compressed("abc", 3, 15));
    assert_null(compressed("{\"a\":1}", 7, 15));
    // The same object makes the same frame again: nothing is carried over.
    struct gtv_ws_deflater *d = gtv_ws_deflater_create(15);
    struct gtv_bytes *one = gtv_ws_encode_deflated(d, true, (struct gtv_str){text, 500}),
                     *two = gtv_ws_encode_deflated(d, true, (struct gtv_str){text, 500});
    assert_int_equal(one->len, two->len);
    assert_memory_equal(one->data, two->data, one->len);
    gtv_bytes_unref(one);
    gtv_bytes_unref(two);
    gtv_ws_deflater_destroy(d);
}

static void offers(void **state)
{
#define ANSWER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    static const struct {
        const char *offer;
        unsigned bits;
        const char *answer;
    } cases[] = {
        {"permessage-deflate", 15, ANSWER},
        {"permessage-deflate; client_max_window_bits", 15, ANSWER},
        {"permessage-deflate;client_max_window_bits=8 ; server_no_context_takeover", 15, ANSWER},
        {"permessage-deflate; server_max_window_bits=10", 10, ANSWER "; server_max_window_bits=10"},
        {"permessage-deflate; server_max_window_bits=\"9\"", 9, ANSWER "; server_max_window_bits=9"},
        {"permessage-deflate; server_max_window_bits=15", 15, ANSWER "; server_max_window_bits=15"},
        {"permessage-deflate; server_max_window_bits=8, permessage-deflate", 15, ANSWER},
        {"x-webkit-deflate-frame, permessage-deflate", 15, ANSWER},
        {"permessage-deflate; server_max_window_bits=8", 0, NULL},
        {"permessage-deflate; server_max_window_bits", 0, NULL},
        {"permessage-deflate; server_max_window_bits=16", 0, NULL},
        {"permessage-deflate; server_max_window_bits=010", 0, NULL},
        {"permessage-deflate; server_max_window_bits=", 0, NULL},
        {"permessage-deflate; client_max_window_bits=7", 0, NULL},
        {"permessage-deflate; server_no_context_takeover=1", 0, NULL},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", 0, NULL},
        {"permessage-deflate; something_else", 0, NULL},
        {"permessage-deflate2", 0, NULL},
        {"", 0, NULL},
    };
    char answer[GTV_WS_EXTENSION_CAP];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(gtv_ws_deflate_accept(gtv_str_of(cases[i].offer), answer), cases[i].bits);
        if (cases[i].bits)
            assert_string_equal(answer, cases[i].answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc),  cmocka_unit_test(what_is_no_deflate),
        cmocka_unit_test(the_first_reserved_bit),   cmocka_unit_test(bombs),
        cmocka_unit_test(what_is_made_can_be_read), cmocka_unit_test(offers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
