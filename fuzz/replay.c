// Runs a fuzz target over the files of the folders or the files it is given: the corpus as a regression test,
// without libFuzzer.
#include "lib/base/buf.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { INPUT_CAP = 1024 * 1024 };

static bool replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    uint8_t *data = malloc(INPUT_CAP);
    if (!data) {
        abort();
    }
    size_t n = fread(data, 1, INPUT_CAP, f);
    (void)fclose(f);
    // Exactly as large as the input, so that the sanitizer sees a read beyond it.
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact) {
        abort();
    }
    memcpy(exact, data, n);
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return true;
}

static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = 0;
    struct dirent *entry = NULL;
    while (dir && (entry = readdir(dir)) != NULL) {
        char path[4096];
        int n = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && n > 0 && (size_t)n < sizeof(path)) {
            count += replay(path);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        count += stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? replay_folder(argv[i]) : replay(argv[i]);
    }
    (void)printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
