// Recorded files as the node finds them at its start, and those it plays back: whatever is in them, reading
// and repairing must end, and what was repaired must be whole. The first byte chooses.
#include "services/media/record/cut.h"
#include "services/media/record/pattern.h"
#include "services/media/record/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void play(const char *file, const struct gtv_record_info *info, bool mp4)
{
    struct gtv_record_span *span = calloc(1, sizeof *span);
    struct gtv_error err = {0};
    struct gtv_buf out = {0};
    *span = (struct gtv_record_span){.file = strdup(file), .info = *info};
    struct gtv_cut *c = gtv_cut_create(span, 1, info->start, INT64_C(1) << 57);
    if (gtv_cut_open(c, &err) && mp4) {
        uint64_t size = gtv_cut_plan_mp4(c, &err) ? gtv_cut_mp4_size(c) : 0;
        while (out.len < size && gtv_cut_mp4_read(c, out.len, 4096, &out))
            ;
    } else if (err.code == GTV_OK) {
        while (gtv_cut_read(c, &out, out.len + 4096) == GTV_CUT_MORE && out.len < 4 * 1024 * 1024)
            ;
    }
    gtv_buf_finish(&out);
    gtv_cut_destroy(c);
}

static void scan(struct gtv_str bytes, bool mp4)
{
    char file[64];
    struct gtv_record_info info, again;
    snprintf(file, sizeof file, "/dev/shm/gtv-fuzz-%d.mp4", (int)getpid());
    FILE *out = fopen(file, "wb");
    if (out == NULL || fwrite(bytes.p, 1, bytes.n, out) != bytes.n)
        abort();
    fclose(out);
    enum gtv_scan_result result = gtv_scan_file(file, 0, &info);
    if (result == GTV_SCAN_REPAIRED && gtv_scan_file(file, 0, &again) != GTV_SCAN_OK)
        abort();
    if (result == GTV_SCAN_OK || result == GTV_SCAN_REPAIRED)
        play(file, &info, mp4);
    unlink(file);
}

// A name that matches must be found again where it was.
static void match(struct gtv_str text)
{
    char pattern[256], found[256], folder[GTV_RECORD_FILE_MAX];
    struct gtv_error err = {0};
    struct gtv_str rest = text, first = gtv_str_cut(&rest, '\n');
    int64_t us = -1;
    if (!gtv_str_copy(pattern, sizeof pattern, first) || !gtv_str_copy(found, sizeof found, rest) ||
        strlen(pattern) != first.n || !gtv_record_pattern_check(first, &err))
        return;
    if (gtv_record_pattern_match("/root", pattern, "cam", found, true, &us) && us < 0)
        abort();
    (void)gtv_record_pattern_match("/root", pattern, "cam", found, false, &us);
    if (!gtv_record_pattern_folder("/root", pattern, "cam", folder))
        return;
    if (gtv_record_pattern_write("/root", pattern, "cam", INT64_C(1795372575123456), 0, folder) &&
        !gtv_record_pattern_match("/root", pattern, "cam", folder, true, &us))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct gtv_str rest = {(const char *)data + 1, size - 1};
    if (data[0] % 4 == 3)
        match(rest);
    else
        scan(rest, data[0] % 4 == 1);
    return 0;
}
