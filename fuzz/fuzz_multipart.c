// Multipart bodies as clients of the ai service send them. The line before the body is its Content-Type.
#include "services/ai/picture/multipart.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct gtv_str part, struct gtv_str body)
{
    if (part.p < body.p || part.p + part.n > body.p + body.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gtv_str body = {(const char *)data, size}, file = {0};
    struct gtv_str type = gtv_str_cut(&body, '\n');
    struct gtv_error err = {0};
    bool found = gtv_multipart_find(type, body, "file", &file, &err);
    if (found)
        check(file, body);
    else if (!err.code)
        abort();

    struct gtv_multipart m;
    struct gtv_multipart_part part;
    memset(&err, 0, sizeof(err));
    if (!gtv_multipart_begin(&m, type, body, &err))
        return 0;
    int more, parts = 0, files = 0;
    while ((more = gtv_multipart_next(&m, &part, &err)) > 0) {
        check(part.content, body);
        files += strcmp(part.name, "file") == 0;
        if (++parts > GTV_MULTIPART_MAX_PARTS || strlen(part.filename) > GTV_MULTIPART_MAX_NAME)
            abort();
    }
    if ((more < 0) != (err.code != 0) || (found && (more != 0 || files != 1)))
        abort();
    return 0;
}
