#include "lib/version/version.h"

#include "lib/version/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *gtv_version(void)
{
    return gtv_version_text;
}

const char *gtv_commit(void)
{
    static char commit[64]; // written with the same bytes by whoever comes first: main, before threads start
    const char *at = strstr(gtv_version_text, "+g");
    if (at && !commit[0]) {
        size_t n = strcspn(at + 2, "-");
        memcpy(commit, at + 2, n < sizeof(commit) - 1 ? n : sizeof(commit) - 1);
    }
    return commit;
}

void gtv_version_answer(const char *program, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("%s %s\n", program, gtv_version());
            exit(0);
        }
    }
}
