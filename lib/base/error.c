#include "lib/base/error.h"

#include "lib/base/str.h"

#include <stdio.h>

struct code_info {
    const char *name;
    int http_status;
    const char *text;
};

static const struct code_info codes[] = {
#define X(name, code, status, text) [name] = {code, status, text},
    GTV_ERROR_CODES(X)
#undef X
};

static const struct code_info *info_of(enum gtv_code code)
{
    size_t i = (size_t)code;
    return i < sizeof(codes) / sizeof(codes[0]) ? &codes[i] : &codes[GTV_E_INTERNAL];
}

void gtv_error_set(struct gtv_error *err, enum gtv_code code, const char *field, const char *fmt, ...)
{
    if (!err)
        return;
    // The old message may be an argument of the new one, so the new one is made aside first.
    char message[sizeof(err->message)];
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(message, sizeof(message), fmt, ap);
        va_end(ap);
    } else {
        snprintf(message, sizeof(message), "%s", gtv_code_text(code));
    }
    char name[sizeof(err->field)];
    snprintf(name, sizeof(name), "%s", field ? field : "");
    err->code = code;
    memcpy(err->field, name, sizeof(name));
    memcpy(err->message, message, sizeof(message));
}

const char *gtv_code_name(enum gtv_code code)
{
    return info_of(code)->name;
}

int gtv_code_http_status(enum gtv_code code)
{
    return info_of(code)->http_status;
}

const char *gtv_code_text(enum gtv_code code)
{
    return info_of(code)->text;
}
