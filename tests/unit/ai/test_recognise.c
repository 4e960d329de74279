// Networks that nobody described: by the shapes of their outputs, and by what their exporters wrote into
// them.
#include "services/ai/network/catalogue.h"
#include "services/ai/network/classes.h"
#include "services/ai/network/recognise.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// A file with one input of 1 x 3 x height x width and one output of a x b.
static struct gtv_infer_facts facts_of(int64_t width, int64_t height, int64_t a, int64_t b)
{
    struct gtv_infer_facts f = {.input_count = 1, .output_count = 1};
    f.input = (struct gtv_infer_tensor_facts){.name = "images", .rank = 4, .dims = {1, 3, height, width}};
    f.outputs[0] = (struct gtv_infer_tensor_facts){.name = "output0", .rank = 3, .dims = {1, a, b}};
    return f;
}

static bool recognise(const struct gtv_infer_facts *f, const struct gtv_metadata *meta, struct gtv_model *m,
                      struct gtv_error *err)
{
    static const struct gtv_metadata nothing;
    *err = (struct gtv_error){0};
    return gtv_model_undescribed("/models", "mine.onnx", m, err) && gtv_recognise_input(m, f, 0, 0, err) &&
           gtv_recognise_head(m, f, meta ? meta : &nothing, err);
}

static void expect(int64_t size, int64_t a, int64_t b, enum gtv_head head, int classes)
{
    struct gtv_infer_facts f = facts_of(size, size, a, b);
    struct gtv_model m;
    struct gtv_error err;
    if (!recognise(&f, NULL, &m, &err))
        fail_msg("%lld x %lld: %s", (long long)a, (long long)b, err.message);
    assert_int_equal(m.head, head);
    assert_int_equal(m.class_count, classes);
    assert_int_equal(m.vehicle_class[GTV_BUS], 5);
    assert_true(gtv_model_complete(&m));
}

static void heads_by_their_shapes(void **state)
{
    expect(640, 84, 8400, GTV_HEAD_YOLOV8, 80);
    expect(320, 84, 2100, GTV_HEAD_YOLOV8, 80);
    expect(640, 8400, 84, GTV_HEAD_YOLOV8, 80);
    expect(640, 25200, 85, GTV_HEAD_YOLOV5, 80);
    expect(1280, 102000, 85, GTV_HEAD_YOLOV5, 80); // with the stride of 64
    expect(416, 3549, 85, GTV_HEAD_YOLOX, 80);
    expect(416, 3598, 112, GTV_HEAD_NANODET_PLUS, 80);
    expect(640, 300, 6, GTV_HEAD_END2END, 80);
    expect(640, -1, 6, GTV_HEAD_END2END, 80);
}

static void what_is_none_says_so(void **state)
{
    static const int64_t shapes[][2] = {{1, 1000}, {8400, 64}, {-1, -1}, {100, 4}, {25200, 5}, {3, 8400}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct gtv_infer_facts f = facts_of(640, 640, shapes[i][0], shapes[i][1]);
        struct gtv_model m;
        struct gtv_error err;
        if (recognise(&f, NULL, &m, &err))
            fail_msg("%lld x %lld is taken for a head", (long long)shapes[i][0], (long long)shapes[i][1]);
        assert_string_equal(err.field, "head");
        assert_non_null(strstr(err.message, "mine.json"));
    }
    struct gtv_infer_facts f = facts_of(640, 640, 84, 8400);
    struct gtv_model m;
    struct gtv_error err;
    f.output_count = 0;
    assert_false(recognise(&f, NULL, &m, &err));
    f = facts_of(640, 640, 84, 8400);
    f.outputs[0].rank = 0;
    assert_false(recognise(&f, NULL, &m, &err));
    f = facts_of(640, 640, 84, 8400);
    f.input_count = 2;
    assert_false(recognise(&f, NULL, &m, &err));
    assert_string_equal(err.field, "input");
    f = facts_of(640, 640, 84, 8400);
    f.input.rank = 3;
    assert_false(recognise(&f, NULL, &m, &err));
    f = facts_of(640, 640, 84, 8400);
    f.input.dims[1] = 1; // grey
    assert_false(recognise(&f, NULL, &m, &err));
    f = facts_of(16, 100000, 84, 8400);
    assert_false(recognise(&f, NULL, &m, &err));
}

static void classes_decide_and_are_asked_for(void **state)
{
    struct gtv_model m;
    struct gtv_error err;
    struct gtv_infer_facts f = facts_of(640, 640, 7, 8400); // three classes
    assert_false(recognise(&f, NULL, &m, &err));
    assert_string_equal(err.field, "classes");
    assert_non_null(strstr(err.message, "3 classes"));
    struct gtv_metadata three = {.has_classes = true, .class_count = 3, .vehicle_class = {2, -1, 0, -1}};
    assert_true(recognise(&f, &three, &m, &err));
    assert_int_equal(m.vehicle_class[GTV_CAR], 2);
    assert_int_equal(m.class_count, 3);
    // Six columns: with two classes it is the transpose of v8's, with one YOLOX.
    f = facts_of(416, 416, 3549, 6);
    struct gtv_metadata two = {.has_classes = true, .class_count = 2, .vehicle_class = {0, 1, -1, -1}};
    assert_true(recognise(&f, &two, &m, &err));
    assert_int_equal(m.head, GTV_HEAD_YOLOV8);
    struct gtv_metadata one = {.has_classes = true, .class_count = 1, .vehicle_class = {0, -1, -1, -1}};
    assert_true(recognise(&f, &one, &m, &err));
    assert_int_equal(m.head, GTV_HEAD_YOLOX);
    assert_false(recognise(&f, NULL, &m, &err));
}

static void open_sizes_and_layouts(void **state)
{
    struct gtv_model m;
    struct gtv_error err = {0};
    struct gtv_infer_facts f = facts_of(-1, -1, 84, -1);
    assert_true(gtv_model_undescribed(".", "x.onnx", &m, &err));
    assert_true(gtv_recognise_input(&m, &f, 0, 0, &err));
    assert_int_equal(m.input.width, GTV_OPEN_WIDTH);
    assert_int_equal(m.input.height, GTV_OPEN_HEIGHT);
    assert_true(gtv_model_undescribed(".", "x.onnx", &m, &err));
    assert_true(gtv_recognise_input(&m, &f, 320, 192, &err));
    assert_int_equal(m.input.width, 320);
    // The description goes before both.
    assert_true(
        gtv_model_parse(GTV_STR("{\"input\":{\"width\":416,\"height\":256}}"), ".", "x.onnx", &m, &err));
    assert_true(gtv_recognise_input(&m, &f, 320, 192, &err));
    assert_int_equal(m.input.height, 256);
    f.input = (struct gtv_infer_tensor_facts){.rank = 4, .dims = {1, 320, 320, 3}, .u8 = true};
    assert_true(gtv_model_undescribed(".", "x.onnx", &m, &err));
    assert_true(gtv_recognise_input(&m, &f, 0, 0, &err));
    assert_true(m.input.nhwc && m.input.u8);
}

static void several_outputs(void **state)
{
    // Masks beside the boxes: 80 classes and 32 factors.
    struct gtv_infer_facts f = facts_of(640, 640, 116, 8400);
    f.output_count = 2;
    f.outputs[1] = (struct gtv_infer_tensor_facts){.name = "output1", .rank = 4, .dims = {1, 32, 160, 160}};
    struct gtv_metadata meta = {.has_classes = true, .class_count = 80, .vehicle_class = {2, 3, 5, 7}};
    struct gtv_model m;
    struct gtv_error err;
    assert_true(recognise(&f, &meta, &m, &err));
    assert_int_equal(m.head, GTV_HEAD_YOLOV8);
    assert_int_equal(m.output_count, 1);
    assert_string_equal(m.outputs[0], "output0");
    // PicoDet: scores and distances of four strides.
    f = facts_of(416, 416, 2704, 80);
    f.output_count = 8;
    static const int64_t cells[4] = {2704, 676, 169, 49};
    for (size_t i = 0; i < 8; i++)
        f.outputs[i] = (struct gtv_infer_tensor_facts){.rank = 3, .dims = {1, cells[i % 4], i < 4 ? 80 : 32}};
    assert_true(recognise(&f, NULL, &m, &err));
    assert_int_equal(m.head, GTV_HEAD_BINS);
    assert_int_equal(m.bins, 8);
    assert_int_equal(m.stride_count, 4);
    f.outputs[6].dims[1]++;
    assert_false(recognise(&f, NULL, &m, &err));
}

static void names_as_exporters_write_them(void **state)
{
    struct gtv_model m;
    assert_true(
        gtv_classes_dict(GTV_STR("{0: 'person', 2: \"car\", 3: 'Caminh\xc3\xa3o', 4: 'it\\'s'}"), &m));
    assert_int_equal(m.vehicle_class[GTV_CAR], 2);
    assert_int_equal(m.vehicle_class[GTV_TRUCK], 3);
    assert_int_equal(m.class_count, 5);
    static const char *const bad[] = {"",
                                      "{",
                                      "{}",
                                      "{0: person}",
                                      "{0: 'car",
                                      "{x: 'car'}",
                                      "{99999: 'car'}",
                                      "{0 'car' 1}",
                                      "{0: 'boat'}",
                                      "{0: 'car\\",
                                      "['car']",
                                      "{-1: 'car'}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (gtv_classes_dict(gtv_str_of(bad[i]), &m) && strcmp(bad[i], "{0 'car' 1}") != 0)
            fail_msg("accepted: %s", bad[i]);
    }
    assert_true(gtv_classes_words(GTV_STR("person  bicycle car onibus"), &m));
    assert_int_equal(m.vehicle_class[GTV_BUS], 3);
    assert_int_equal(m.class_count, 4);
    assert_false(gtv_classes_words(GTV_STR("cat dog"), &m));
}

// ---- Files, in a folder of their own ----

static char folder[64];

static int make_folder(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/gtv-test-recognise-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command); // NOLINT(cert-env33-c,bugprone-command-processor): a name of our own making
}

static const char *put(const char *name, const void *bytes, size_t n)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    (void)fclose(f);
    return path;
}

static void reads_metadata(void **state)
{
    // ir_version, a graph of five bytes, then two pairs.
    static const char names[] = "{0: 'bus', 1: 'car'}", size[] = "[384, 640]";
    char file[200] = {0x08, 0x09, 0x3a, 5, 1, 2, 3, 4, 5};
    size_t n = 9;
    n += (size_t)snprintf(file + n, sizeof(file) - n, "\x72%c\x0a\x05names\x12%c%s", (int)(sizeof(names) + 8),
                          (int)sizeof(names) - 1, names);
    n += (size_t)snprintf(file + n, sizeof(file) - n, "\x72%c\x0a\x05imgsz\x12%c%s", (int)(sizeof(size) + 8),
                          (int)sizeof(size) - 1, size);
    struct gtv_metadata meta;
    gtv_metadata_read(put("a.onnx", file, n), &meta);
    assert_true(meta.has_classes);
    assert_int_equal(meta.vehicle_class[GTV_CAR], 1);
    assert_int_equal(meta.class_count, 2);
    assert_int_equal(meta.width, 640);
    assert_int_equal(meta.height, 384);
    for (size_t cut = 0; cut < n; cut++) // whatever is cut off, it ends
        gtv_metadata_read(put("b.onnx", file, cut), &meta);
    memset(file, 0xff, sizeof(file));
    gtv_metadata_read(put("c.onnx", file, sizeof(file)), &meta);
    assert_false(meta.has_classes);

    static const char ir[] =
        "<net><layers/><rt_info><framework><names value=\"{0: &apos;truck&apos;, 1: &quot;car&quot;}\" />"
        "<imgsz value=\"[320, 320]\"/></framework></rt_info></net>";
    gtv_metadata_read(put("d.xml", ir, sizeof(ir) - 1), &meta);
    assert_true(meta.has_classes);
    assert_int_equal(meta.vehicle_class[GTV_TRUCK], 0);
    assert_int_equal(meta.width, 320);
    static const char labels[] =
        "<net><rt_info><model_info><labels value=\"person car\"/></model_info></rt_info></net>";
    gtv_metadata_read(put("e.xml", labels, sizeof(labels) - 1), &meta);
    assert_int_equal(meta.vehicle_class[GTV_CAR], 1);
    static const char cut[] = "<names value=\"{0: 'car'";
    gtv_metadata_read(put("f.xml", cut, sizeof(cut) - 1), &meta);
    assert_false(meta.has_classes);
    gtv_metadata_read("/nowhere/x.onnx", &meta);
    assert_false(meta.has_classes);
}

static void put_text(const char *name, const char *text)
{
    (void)put(name, text, strlen(text));
}

static void quantised(bool accepted, const char *part)
{
    struct gtv_model m;
    struct gtv_error err = {0};
    struct gtv_quantised q;
    char path[128];
    snprintf(path, sizeof(path), "%s/net.onnx", folder);
    assert_true(gtv_model_find(folder, path, &m, &err));
    gtv_quantised_find(&m, &q);
    assert_int_equal(q.accepted, accepted);
    if (!strstr(q.why, part))
        fail_msg("%s", q.why);
}

static void int8_is_believed_with_proof_alone(void **state)
{
    put_text("net.onnx", "weights");
    quantised(false, "there is no net_int8.xml");
    put_text("net_int8.xml", "<net/>");
    quantised(false, "no net_int8.json");
    put_text("net_int8.json", "{");
    quantised(false, "no net_int8.json");
    put_text("net_int8.json", "{}");
    quantised(false, "no \"quantised\"");
    put_text("net_int8.json", "{\"quantised\":{\"accepted\":false,\"reason\":\"three boxes differ\"}}");
    quantised(false, "three boxes differ");
    put_text("net_int8.json", "{\"quantised\":{\"accepted\":\"yes\"}}");
    quantised(false, "does not agree");
    static const char sha[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char text[512], path[128];
    snprintf(text, sizeof(text), "{\"quantised\":{\"of\":\"net\",\"of_sha256\":\"%s\",\"accepted\":true}}",
             sha);
    put_text("net_int8.json", text);
    quantised(false, "does not list");
    struct stat st;
    snprintf(path, sizeof(path), "%s/net.onnx", folder);
    assert_int_equal(stat(path, &st), 0);
    long long when = (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    static const char list[] =
        "{\"models\":[{\"name\":\"net\",\"task\":\"detector\",\"path\":\"net.onnx\",\"licence\":\"MIT\","
        "\"files\":[{\"file\":\"net.onnx\",\"sha256\":\"%s\",\"size\":7,\"mtime_ns\":%lld}]}]}";
    snprintf(text, sizeof(text), list, sha, when - 1);
    put_text("models.json", text);
    quantised(false, "has changed");
    snprintf(text, sizeof(text), list, "00ff", when);
    put_text("models.json", text);
    quantised(false, "other weights");
    snprintf(text, sizeof(text), list, sha, when);
    put_text("models.json", text);
    quantised(true, "");

    put_text("broken.onnx", "x");
    put_text("broken.json", "[");
    struct gtv_catalogue_entry *all;
    size_t n = gtv_catalogue_read(folder, &all);
    assert_int_equal(n, 3);
    assert_string_equal(all[0].file, "broken.onnx");
    assert_false(all[0].accepted);
    assert_string_equal(all[1].file, "net.onnx");
    assert_string_equal(all[1].licence, "MIT");
    assert_true(all[1].accepted);
    assert_true(all[2].quantised);
    assert_false(all[2].accepted); // its .bin is missing
    assert_non_null(strstr(all[2].why, ".bin"));
    free(all);
    assert_int_equal(gtv_catalogue_read("/nowhere", &all), 0);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_by_their_shapes),
        cmocka_unit_test(what_is_none_says_so),
        cmocka_unit_test(classes_decide_and_are_asked_for),
        cmocka_unit_test(open_sizes_and_layouts),
        cmocka_unit_test(several_outputs),
        cmocka_unit_test(names_as_exporters_write_them),
        cmocka_unit_test_setup_teardown(reads_metadata, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(int8_is_believed_with_proof_alone, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
