#include "services/media/gojson.h"

#include <stdio.h>

const char *gtv_gojson_quote(struct gtv_str s, char *out, size_t cap)
{
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < s.n && n + 6 < cap; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            n += (size_t)snprintf(out + n, 5, "\\x%02x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

// 'x' as Go shows the byte at fault.
static const char *show_byte(struct gtv_str text, size_t at, char out[12])
{
    unsigned char c = at < text.n ? (unsigned char)text.p[at] : 0;
    if (c == '\'') {
        snprintf(out, 12, "'\\''");
    } else if (c >= 0x20 && c < 0x7f) {
        snprintf(out, 12, "'%c'", c);
    } else {
        snprintf(out, 12, "'\\x%02x'", c);
    }
    return out;
}

yyjson_doc *gtv_gojson_read(struct gtv_str text, struct gtv_error *err)
{
    static const char end[] = "unexpected end of JSON input";
    yyjson_read_err why = {0};
    if (text.n == 0) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "%s", end);
        return NULL;
    }
    // Without YYJSON_READ_INSITU the text is only read.
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, YYJSON_READ_NOFLAG, NULL, &why);
    if (doc != NULL) {
        return doc;
    }
    char shown[12];
    switch (why.code) {
    case YYJSON_READ_ERROR_EMPTY_CONTENT:
    case YYJSON_READ_ERROR_UNEXPECTED_END:
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "%s", end);
        break;
    case YYJSON_READ_ERROR_UNEXPECTED_CONTENT:
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "invalid character %s after top-level value",
                      show_byte(text, why.pos, shown));
        break;
    case YYJSON_READ_ERROR_INVALID_STRING:
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "invalid character %s in string literal",
                      show_byte(text, why.pos, shown));
        break;
    case YYJSON_READ_ERROR_INVALID_NUMBER:
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "invalid character %s in numeric literal",
                      show_byte(text, why.pos, shown));
        break;
    case YYJSON_READ_ERROR_MEMORY_ALLOCATION:
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "out of memory");
        break;
    default:
        if (why.pos >= text.n) {
            gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "%s", end);
        } else {
            gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "invalid character %s looking for beginning of value",
                          show_byte(text, why.pos, shown));
        }
        break;
    }
    return NULL;
}

static const char *go_kind(yyjson_val *v)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_BOOL:
        return "bool";
    case YYJSON_TYPE_NUM:
        return "number";
    case YYJSON_TYPE_STR:
        return "string";
    case YYJSON_TYPE_ARR:
        return "array";
    case YYJSON_TYPE_OBJ:
        return "object";
    default:
        return "null";
    }
}

bool gtv_gojson_wrong_type(yyjson_val *got, const char *go_type, const char *field, struct gtv_error *err)
{
    gtv_error_set(err, GTV_E_BAD_REQUEST, field, "json: cannot unmarshal %s into Go value of type %s",
                  go_kind(got), go_type);
    return false;
}

bool gtv_gojson_unknown_field(struct gtv_str name, struct gtv_error *err)
{
    char quoted[120], field[64];
    snprintf(field, sizeof field, GTV_STR_FMT, GTV_STR_ARG(name));
    gtv_error_set(err, GTV_E_BAD_REQUEST, field, "json: unknown field %s",
                  gtv_gojson_quote(name, quoted, sizeof quoted));
    return false;
}
