#include "services/ai/infer/blob.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/gtv-test-blob-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command); // NOLINT(cert-env33-c,bugprone-command-processor): a name of our own making
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void seal(const char *key, const char *text, char *path, size_t cap)
{
    char raw[128];
    snprintf(raw, sizeof(raw), "%s/raw", folder);
    put(raw, text);
    assert_true(gtv_blob_path(folder, "net.onnx", key, path, cap));
    gtv_blob_seal(raw, path, key);
    assert_int_not_equal(access(raw, F_OK), 0);
}

static void what_was_sealed_comes_back(void **state)
{
    char path[256], other[256];
    struct gtv_blob b;
    seal("key", "what the runtime exported", path, sizeof(path));
    assert_true(gtv_blob_open(&b, path, "key"));
    assert_int_equal(b.size, 25);
    assert_memory_equal(b.data, "what the runtime exported", 25);
    assert_int_equal((uintptr_t)b.data % 64, 0);
    gtv_blob_close(&b);
    gtv_blob_close(&b);
    assert_false(gtv_blob_open(&b, path, "kez"));
    assert_false(gtv_blob_open(&b, path, "key and more"));
    assert_true(gtv_blob_path(folder, "net.onnx", "kez", other, sizeof(other)));
    assert_string_not_equal(path, other);
    assert_false(gtv_blob_path(folder, "net.onnx", "kez", other, 10));
    assert_false(gtv_blob_open(&b, "/nowhere/x.net", "key"));
    gtv_blob_seal("/nowhere/raw", path, "key"); // leaves what is there
    assert_true(gtv_blob_open(&b, path, "key"));
    gtv_blob_close(&b);
}

static void damage_is_noticed(void **state)
{
    char path[256];
    struct gtv_blob b;
    struct stat st;
    seal("key", "what the runtime exported", path, sizeof(path));
    assert_int_equal(stat(path, &st), 0);
    for (off_t at = 0; at < st.st_size; at++) {
        FILE *f = fopen(path, "r+");
        assert_non_null(f);
        (void)fseeko(f, at, SEEK_SET);
        int byte = getc(f);
        (void)fseeko(f, at, SEEK_SET);
        (void)putc(byte ^ 1, f);
        (void)fclose(f);
        // Only the unused bytes between header and content may change.
        bool unused = (at >= 28 && at < 32) || (at >= 32 + 3 && at < 64);
        if (gtv_blob_open(&b, path, "key") != unused)
            fail_msg("a change of byte %ld", (long)at);
        gtv_blob_close(&b);
        f = fopen(path, "r+");
        assert_non_null(f);
        (void)fseeko(f, at, SEEK_SET);
        (void)putc(byte, f);
        (void)fclose(f);
    }
    for (off_t size = st.st_size - 1; size >= 0; size--) {
        assert_int_equal(truncate(path, size), 0);
        assert_false(gtv_blob_open(&b, path, "key"));
    }
}

static void the_oldest_go(void **state)
{
    char path[256], key[16];
    for (int i = 0; i < GTV_BLOB_KEEP + 5; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        seal(key, "x", path, sizeof(path));
        const struct timespec when[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        assert_int_equal(utimensat(AT_FDCWD, path, when, 0), 0);
    }
    snprintf(path, sizeof(path), "%s/old.blob", folder);
    put(path, "x");
    gtv_blob_sweep(folder);
    struct gtv_blob b;
    int left = 0;
    for (int i = 0; i < GTV_BLOB_KEEP + 5; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        assert_true(gtv_blob_path(folder, "net.onnx", key, path, sizeof(path)));
        bool there = gtv_blob_open(&b, path, key);
        gtv_blob_close(&b);
        assert_int_equal(there, i >= 5);
        left += there;
    }
    assert_int_equal(left, GTV_BLOB_KEEP);
    snprintf(path, sizeof(path), "%s/old.blob", folder);
    assert_int_not_equal(access(path, F_OK), 0);
    gtv_blob_sweep("/nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_sealed_comes_back, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damage_is_noticed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_oldest_go, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
