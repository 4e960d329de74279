#include "services/media/avcc.h"
#include "services/media/rtmp/amf.h"
#include "services/media/rtmp/chunk.h"
#include "services/media/rtmp/command.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

// ---- AMF0 ----

static void values_come_back(void **state)
{
    struct gtv_buf b = {0};
    struct gtv_str text, key;
    double number = 0;
    gtv_amf_put_string(&b, "connect");
    gtv_amf_put_number(&b, -2.5);
    gtv_amf_put_null(&b);
    gtv_amf_put_object(&b);
    gtv_amf_put_key(&b, "app");
    gtv_amf_put_string(&b, "live");
    gtv_amf_put_key(&b, "n");
    gtv_amf_put_number(&b, 7);
    gtv_amf_put_end(&b);
    struct gtv_amf a = {.rest = gtv_buf_str(&b)};
    assert_false(gtv_amf_number(&a, &number)); // another type: nothing is taken
    assert_true(gtv_amf_string(&a, &text));
    assert_str(text, "connect");
    assert_true(gtv_amf_number(&a, &number));
    assert_true(number == -2.5);
    assert_true(gtv_amf_skip(&a));
    struct gtv_amf again = a;
    assert_true(gtv_amf_enter(&a));
    assert_true(gtv_amf_member(&a, &key));
    assert_str(key, "app");
    assert_true(gtv_amf_string(&a, &text));
    assert_str(text, "live");
    assert_true(gtv_amf_member(&a, &key));
    assert_true(gtv_amf_skip(&a));
    assert_false(gtv_amf_member(&a, &key));
    assert_false(a.failed);
    assert_int_equal(a.rest.n, 0);
    assert_true(gtv_amf_skip(&again)); // the whole object
    assert_int_equal(again.rest.n, 0);
    gtv_buf_finish(&b);
}

static void amf_has_bounds(void **state)
{
    char deep[4 * 40];
    for (size_t i = 0; i < sizeof deep; i += 4) {
        memcpy(deep + i,
               "\x03\0\x01"
               "a",
               4);
    }
    struct gtv_amf a = {.rest = {deep, sizeof deep}};
    assert_false(gtv_amf_skip(&a));
    assert_true(a.failed);
    struct gtv_amf many = {.rest = GTV_STR("\x0a\xff\xff\xff\xff")};
    assert_false(gtv_amf_skip(&many));
    struct gtv_amf cut = {.rest = GTV_STR("\x02\0\x09"
                                          "short")};
    struct gtv_str text;
    assert_false(gtv_amf_string(&cut, &text));
    assert_true(cut.failed);
}

// ---- Chunks ----

struct seen {
    unsigned count;
    struct gtv_rtmp_message last;
    size_t bytes;
    uint32_t times[8];
};

static bool on_message(void *arg, const struct gtv_rtmp_message *m)
{
    struct seen *s = arg;
    s->times[s->count % 8] = m->timestamp;
    s->count++;
    s->last = *m;
    s->bytes = m->body.n;
    return true;
}

// What we write is what we read, in pieces of any size, once our chunk size is announced.
static void messages_come_back(void **state)
{
    struct gtv_buf out = {0};
    char *body = malloc(10000);
    memset(body, 'x', 10000);
    gtv_chunks_write(
        &out, 2, &(struct gtv_rtmp_message){.type = GTV_RTMP_SET_CHUNK_SIZE, .body = GTV_STR("\0\0\x10\0")});
    gtv_chunks_write(
        &out, 5,
        &(struct gtv_rtmp_message){.type = 20, .stream = 1, .timestamp = 0xfffffff0, .body = {body, 10000}});
    gtv_chunks_write(&out, 5, &(struct gtv_rtmp_message){.type = 9, .timestamp = 40, .body = {body, 0}});
    for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
        struct seen s = {0};
        const char *why = NULL;
        struct gtv_chunks *c = gtv_chunks_create(on_message, &s);
        for (size_t at = 0; at < out.len; at += piece) {
            size_t n = out.len - at < piece ? out.len - at : piece;
            assert_true(gtv_chunks_push(c, (struct gtv_str){out.data + at, n}, &why));
        }
        assert_int_equal(s.count, 2);
        assert_int_equal(s.times[0], 0xfffffff0);
        assert_int_equal(s.times[1], 40);
        assert_int_equal(s.last.type, 9);
        gtv_chunks_destroy(c);
    }
    free(body);
    gtv_buf_finish(&out);
}

static void headers_are_compressed(void **state)
{
    struct seen s = {0};
    const char *why = NULL;
    struct gtv_chunks *c = gtv_chunks_create(on_message, &s);
    // Whole header; the time's difference with a length; the difference alone; nothing: the difference again.
    static const char bytes[] = "\x04\0\0\x64\0\0\1\x08\1\0\0\0"
                                "a"
                                "\x44\0\0\x0a\0\0\1\x08"
                                "b"
                                "\x84\0\0\x05"
                                "c"
                                "\xc4"
                                "d";
    assert_true(gtv_chunks_push(c, (struct gtv_str){bytes, sizeof bytes - 1}, &why));
    assert_int_equal(s.count, 4);
    assert_int_equal(s.times[0], 100);
    assert_int_equal(s.times[1], 110);
    assert_int_equal(s.times[2], 115);
    assert_int_equal(s.times[3], 120);
    assert_int_equal(s.last.stream, 1);
    gtv_chunks_destroy(c);
}

static void push_fails(const char *bytes, size_t n)
{
    struct seen s = {0};
    const char *why = NULL;
    struct gtv_chunks *c = gtv_chunks_create(on_message, &s);
    assert_false(gtv_chunks_push(c, (struct gtv_str){bytes, n}, &why));
    assert_non_null(why);
    gtv_chunks_destroy(c);
}

static void chunks_have_bounds(void **state)
{
    push_fails("\xc5", 1);                                // no header before
    push_fails("\x05\0\0\0\xff\xff\xff\x09\0\0\0\0", 12); // 16 MiB
    push_fails("\x02\0\0\0\0\0\4\1\0\0\0\0\0\0\0\0", 16); // chunks of no bytes
    char many[33 * 13];
    for (unsigned i = 0; i < 33; i++) {
        memcpy(many + 13 * i, "\0\0\0\0\0\0\2\x09\0\0\0\0x", 13);
        many[13 * i] = (char)(3 + i);
    }
    push_fails(many, sizeof many);
}

// ---- Where to ----

static void place_is(const char *app, const char *name, const char *path, const char *query, const char *user,
                     const char *pass)
{
    struct gtv_rtmp_place p;
    assert_true(gtv_rtmp_place_read(gtv_str_of(app), gtv_str_of(name), &p));
    assert_string_equal(p.path, path);
    assert_string_equal(p.query, query);
    assert_string_equal(p.user, user);
    assert_string_equal(p.pass, pass);
}

static void names_as_mediamtx_has_them(void **state)
{
    place_is("cam", "", "cam", "", "", "");
    place_is("live", "cam_1", "live/cam_1", "", "", "");
    place_is("/live/", "/a/b/", "live/a/b", "", "", "");
    place_is("", "cam", "cam", "", "", "");
    place_is("cam?user=bob&pass=s%2Fx", "", "cam", "user=bob", "bob", "s/x");
    place_is("live", "cam?pass=a+b&user=bob&x=1", "live/cam", "user=bob&x=1", "bob", "a b");
    place_is("live?user=u&pass=p", "cam", "live/cam", "user=u", "u", "p");
    place_is("cam?user=u&pass=p/", "", "cam", "user=u", "u", "p");
    struct gtv_rtmp_place p;
    assert_false(gtv_rtmp_place_read(GTV_STR("cam?user=%zz"), GTV_STR(""), &p));
}

// ---- Sequence headers ----

static void avc_records(void **state)
{
    struct gtv_buf sets = {0};
    unsigned size = 0;
    assert_true(gtv_avcc_read(
        GTV_CODEC_H264, GTV_STR("\1\x64\0\x1f\xff\xe1\0\4\x67\x64\0\x1f\1\0\3\x68\xee\x3c"), &sets, &size));
    assert_int_equal(size, 4);
    assert_int_equal(sets.len, 4 + 4 + 4 + 3);
    assert_memory_equal(sets.data, "\0\0\0\4\x67\x64\0\x1f\0\0\0\3\x68\xee\x3c", 15);
    gtv_buf_reset(&sets);
    assert_false(gtv_avcc_read(GTV_CODEC_H264, GTV_STR("\1\x64\0\x1f\xff\xe1\0\x40\x67"), &sets, &size));
    assert_false(gtv_avcc_read(GTV_CODEC_H265, GTV_STR("\1"), &sets, &size));
    gtv_buf_finish(&sets);
}

static void aac_configurations(void **state)
{
    struct gtv_audio_info info = {0}, made = {0}, read = {0};
    assert_true(gtv_aac_info_read(GTV_STR("\x12\x10"), &info));
    assert_int_equal(info.rate, 44100);
    assert_int_equal(info.channels, 2);
    assert_string_equal(info.codecs, "mp4a.40.2");
    assert_true(gtv_aac_info_make(44100, 2, &made));
    assert_memory_equal(made.config->data, "\x12\x10", 2);
    struct gtv_str frame = {"\xff\xf1\x50\x80\x01\x3f\xfcxy", 9};
    assert_true(gtv_adts_read(&frame, &read));
    assert_str(frame, "xy");
    assert_memory_equal(read.config->data, "\x12\x10", 2);
    struct gtv_str raw = GTV_STR("\x21\x10\x04\x60\x8c\x1c\x00");
    assert_false(gtv_adts_read(&raw, &info));
    assert_false(gtv_aac_info_make(44000, 2, &info));
    gtv_bytes_unref(info.config);
    gtv_bytes_unref(made.config);
    gtv_bytes_unref(read.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back),   cmocka_unit_test(amf_has_bounds),
        cmocka_unit_test(messages_come_back), cmocka_unit_test(headers_are_compressed),
        cmocka_unit_test(chunks_have_bounds), cmocka_unit_test(names_as_mediamtx_has_them),
        cmocka_unit_test(avc_records),        cmocka_unit_test(aac_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
