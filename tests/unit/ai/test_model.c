#include "services/ai/network/model.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PICODET                                                                                              \
    "{\"format\":1,\"name\":\"picodet_s_416\",\"file\":\"picodet_s_416.onnx\",\"input\":{\"width\":416,"     \
    "\"height\":416,\"layout\":"                                                                             \
    "\"nchw\",\"type\":\"f32\",\"order\":\"rgb\",\"resize\":\"stretch\",\"pad\":0,\"scale\":0."              \
    "00392156862745098,\"mean\":[0.485,0.456,"                                                               \
    "0.406],\"std\":[0.229,0.224,0.225]},\"head\":\"picodet\",\"strides\":[8,16,32,64],\"bins\":8,"          \
    "\"classes\":\"coco80\","                                                                                \
    "\"score_threshold\":0.45,\"nms_threshold\":0.6,\"outputs\":[\"a\",\"b\"]}"

static void reads_a_description(void **state)
{
    struct gtv_model m;
    struct gtv_error err = {0};
    if (!gtv_model_parse(GTV_STR(PICODET), "/models", NULL, &m, &err))
        fail_msg("%s", err.message);
    assert_string_equal(m.name, "picodet_s_416");
    assert_string_equal(m.path, "/models/picodet_s_416.onnx");
    assert_int_equal(m.input.width, 416);
    assert_false(m.input.bgr);
    assert_false(m.input.nhwc);
    assert_true(m.input.deviation[2] > 0.224 && m.input.mean[0] > 0.48);
    assert_int_equal(m.head, GTV_HEAD_BINS);
    assert_int_equal(m.bins, 8);
    assert_int_equal(m.stride_count, 4);
    assert_int_equal(m.strides[3], 64);
    assert_int_equal(m.class_count, 80);
    assert_int_equal(m.vehicle_class[GTV_TRUCK], 7);
    assert_int_equal(m.output_count, 2);
    assert_string_equal(m.outputs[1], "b");
}

static void reads_classes_by_name(void **state)
{
    static const char text[] =
        "{\"name\":\"x\",\"file\":\"x.onnx\",\"head\":\"yolox\",\"strides\":[8],\"classes\":[\"person\","
        "\"Motorbike\","
        "\"car\"],\"input\":{\"width\":320,\"height\":192,\"order\":\"bgr\",\"resize\":\"letterbox-topleft\","
        "\"pad\":114}}";
    struct gtv_model m;
    struct gtv_error err = {0};
    if (!gtv_model_parse(GTV_STR(text), ".", NULL, &m, &err))
        fail_msg("%s", err.message);
    assert_int_equal(m.class_count, 3);
    assert_int_equal(m.vehicle_class[GTV_CAR], 2);
    assert_int_equal(m.vehicle_class[GTV_MOTORCYCLE], 1);
    assert_int_equal(m.vehicle_class[GTV_BUS], -1);
    assert_int_equal(m.resize, GTV_RESIZE_LETTERBOX_TOPLEFT);
    assert_int_equal(m.pad, 114);
    assert_true(m.input.bgr);
    assert_true(m.input.deviation[1] > 0.99 && m.input.mean[1] < 0.01);
}

// The good description with one part replaced.
static void refuse(const char *part, const char *by, const char *field)
{
    char text[4096];
    const char *at = strstr(PICODET, part);
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - PICODET), PICODET, by, at + strlen(part));
    struct gtv_model m;
    struct gtv_error err = {0};
    if (gtv_model_parse(gtv_str_of(text), ".", NULL, &m, &err))
        fail_msg("accepted: %s", by);
    assert_string_equal(err.field, field);
    assert_int_not_equal(err.message[0], 0);
}

static void names_what_is_wrong(void **state)
{
    refuse("\"width\":416", "\"width\":0", "width");
    refuse("\"width\":416", "\"width\":\"416\"", "width");
    refuse("\"picodet_s_416.onnx\"", "\"../../etc/passwd\"", "file");
    refuse("\"picodet_s_416.onnx\"", "\"\"", "file");
    refuse("\"head\":\"picodet\"", "\"head\":\"ssd\"", "head");
    refuse("\"width\":416,", "", "width"); // half a size
    refuse("\"coco80\"", "{\"car\":-1}", "classes");
    refuse("\"coco80\"", "{\"car\":1000}", "classes");
    refuse("\"coco80\"", "{\"boat\":1}", "classes");
    refuse("\"coco80\"", "{}", "classes");
    refuse("[8,16,32,64]", "[]", "strides");
    refuse("[8,16,32,64]", "[8,0]", "strides");
    refuse("\"coco80\"", "[\"person\"]", "classes");
    refuse("\"coco80\"", "80", "classes");
    refuse("[0.229,0.224,0.225]", "[0.229,0,0.225]", "std");
    refuse("[0.229,0.224,0.225]", "[1,2]", "std");
    refuse("\"order\":\"rgb\"", "\"order\":\"rbg\"", "order");
    refuse("[\"a\",\"b\"]", "[\"a\",7]", "outputs");
    refuse("\"bins\":8", "\"bins\":1", "bins");
    refuse("\"score_threshold\":0.45", "\"score_threshold\":1.5", "score_threshold");
    struct gtv_model m;
    struct gtv_error err = {0};
    assert_false(gtv_model_parse(GTV_STR("[]"), ".", NULL, &m, &err));
    assert_false(gtv_model_parse(GTV_STR("{"), ".", NULL, &m, &err));
}

// ---- Finding, in a folder of its own ----

static char folder[64];

static int make_folder(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/gtv-test-model-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command); // NOLINT(cert-env33-c,bugprone-command-processor): a name of our own making
}

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void expect_failure(const char *wanted, const char *part_of_message)
{
    struct gtv_model m;
    struct gtv_error err = {0};
    assert_false(gtv_model_find(folder, wanted, &m, &err));
    assert_int_equal(err.code, GTV_E_UNAVAILABLE);
    if (!strstr(err.message, part_of_message))
        fail_msg("%s", err.message);
}

static void finds(void **state)
{
    struct gtv_model m;
    struct gtv_error err = {0};
    expect_failure(NULL, "run `./gtv models`");
    expect_failure("", "run `./gtv models`");
    expect_failure("yolov8n.pt", "PyTorch");
    expect_failure("yolov8n.pt", "yolov8n.pt");
    expect_failure("/models/best.pt", "PyTorch");
    expect_failure("picodet_s_416", "./gtv models");
    expect_failure("none.onnx", "not there");
    expect_failure("/none/none.xml", "not there");

    put("mine.onnx", "weights");
    assert_true(gtv_model_find(folder, "mine.onnx", &m, &err));
    assert_int_equal(m.head, GTV_HEAD_UNKNOWN);
    assert_false(gtv_model_complete(&m));
    assert_true(gtv_model_find(folder, "mine", &m, &err)); // a name finds a file of its own too
    put("mine.json", "{}");
    assert_true(gtv_model_find(folder, "mine.onnx", &m, &err));
    assert_string_equal(m.name, "mine");
    assert_true(gtv_model_find(folder, "mine", &m, &err));
    assert_string_equal(m.name, "mine");
    put("mine.json", "{\"head\":\"resnet\"}");
    expect_failure("mine.onnx", "head");
    put("mine.json", "[1]");
    expect_failure("mine.onnx", "does not describe");
    put("mine.json", PICODET);
    assert_true(
        gtv_model_find(folder, "mine", &m, &err)); // it names weights that are not there: its own name counts
    char path[128], expected[128];
    snprintf(path, sizeof(path), "%s/mine.onnx", folder);
    assert_true(gtv_model_find("/nowhere", path, &m, &err));
    assert_string_equal(m.path, path);

    put("picodet_s_416.json", PICODET);
    expect_failure(NULL, "run `./gtv models`");
    put("picodet_s_416.onnx", "weights");
    assert_true(gtv_model_find(folder, NULL, &m, &err));
    snprintf(expected, sizeof(expected), "%s/picodet_s_416.onnx", folder);
    assert_string_equal(m.path, expected);
    assert_true(gtv_model_find(folder, "picodet_s_416", &m, &err));
    assert_true(gtv_model_find(folder, "picodet_s_416.onnx", &m, &err));
    put("picodet_s_416.json", "garbage");
    expect_failure(NULL, "does not describe");
}

// What is not said comes from the head.
static void heads_have_defaults(void **state)
{
    static const struct {
        const char *head;
        enum gtv_head is;
        bool bgr;
        enum gtv_resize resize;
        int pad;
        double scale;
        size_t strides;
    } expected[] = {
        {"yolov8", GTV_HEAD_YOLOV8, false, GTV_RESIZE_LETTERBOX_CENTER, 114, 1.0 / 255, 0},
        {"yolov5", GTV_HEAD_YOLOV5, false, GTV_RESIZE_LETTERBOX_CENTER, 114, 1.0 / 255, 0},
        {"end2end", GTV_HEAD_END2END, false, GTV_RESIZE_LETTERBOX_CENTER, 114, 1.0 / 255, 0},
        {"yolox", GTV_HEAD_YOLOX, true, GTV_RESIZE_LETTERBOX_TOPLEFT, 114, 1, 3},
        {"picodet", GTV_HEAD_BINS, false, GTV_RESIZE_STRETCH, 0, 1.0 / 255, 4},
        {"nanodet", GTV_HEAD_BINS, true, GTV_RESIZE_STRETCH, 0, 1, 3},
        {"nanodet-plus", GTV_HEAD_NANODET_PLUS, true, GTV_RESIZE_STRETCH, 0, 1, 4},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        char text[160];
        snprintf(text, sizeof(text), "{\"head\":\"%s\"}", expected[i].head);
        struct gtv_model m;
        struct gtv_error err = {0};
        assert_true(gtv_model_parse(gtv_str_of(text), ".", "a.b.onnx", &m, &err));
        assert_string_equal(m.name, "a.b");
        assert_int_equal(m.head, expected[i].is);
        assert_int_equal(m.input.bgr, expected[i].bgr);
        assert_int_equal(m.resize, expected[i].resize);
        assert_int_equal(m.pad, expected[i].pad);
        assert_true(m.input.scale > expected[i].scale * 0.999 && m.input.scale < expected[i].scale * 1.001);
        assert_int_equal(m.stride_count, expected[i].strides);
        assert_false(gtv_model_complete(&m));
        // The description's own words go first.
        snprintf(
            text, sizeof(text),
            "{\"head\":\"%s\",\"input\":{\"order\":\"bgr\",\"pad\":7,\"scale\":2,\"resize\":\"stretch\"}}",
            expected[i].head);
        assert_true(gtv_model_parse(gtv_str_of(text), ".", "a.onnx", &m, &err));
        assert_true(m.input.bgr && m.pad == 7 && m.input.scale > 1.9 && m.resize == GTV_RESIZE_STRETCH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_description),
        cmocka_unit_test(reads_classes_by_name),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(heads_have_defaults),
        cmocka_unit_test_setup_teardown(finds, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
