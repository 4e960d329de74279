#include "lib/json/json.h"

#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_DEPTH = 64 };

static const struct gtv_str replacement = {"\xEF\xBF\xBD", 3}; // U+FFFD

// The closing quote of the string that begins after `at`, or the end. By memchr: strings may be pictures.
static size_t string_end(struct gtv_str text, size_t at)
{
    for (size_t from = at; from < text.n;) {
        const char *quote = memchr(text.p + from, '"', text.n - from);
        if (!quote)
            break;
        size_t end = (size_t)(quote - text.p), escapes = end;
        while (escapes > at && text.p[escapes - 1] == '\\')
            escapes--;
        if ((end - escapes) % 2 == 0)
            return end;
        from = end + 1;
    }
    return text.n;
}

// yyjson reads any depth without recursion, but what walks a document may recurse.
static bool shallow(struct gtv_str text)
{
    int depth = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '"') {
            i = string_end(text, i + 1);
        } else if (c == '[' || c == '{') {
            if (++depth > MAX_DEPTH)
                return false;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

static yyjson_doc *parse(char *text, size_t n, yyjson_read_flag flags, struct gtv_error *err)
{
    if (n == 0) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "Not JSON: empty");
        return NULL;
    }
    if (!shallow((struct gtv_str){text, n})) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "Not accepted: JSON nested deeper than %d levels", MAX_DEPTH);
        return NULL;
    }
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts(text, n, flags, NULL, &why);
    if (!doc)
        gtv_error_set(err, GTV_E_INVALID, NULL, "Not JSON: %s at byte %zu", why.msg, why.pos);
    return doc;
}

yyjson_doc *gtv_json_parse(struct gtv_str text, struct gtv_error *err)
{
    // Without the in-situ flag the text is only read, in spite of the parameter's type.
    return parse((char *)(uintptr_t)text.p, text.n, YYJSON_READ_NOFLAG, err);
}

yyjson_doc *gtv_json_parse_in_place(char *text, size_t n, struct gtv_error *err)
{
    memset(text + n, 0, GTV_JSON_PADDING);
    return parse(text, n, YYJSON_READ_INSITU, err);
}

// The value of a field. NULL with *ok true: optional and absent. NULL with *ok false: *err is set.
static yyjson_val *field(yyjson_val *obj, const char *name, enum gtv_json_need need, bool *ok,
                         struct gtv_error *err)
{
    *ok = false;
    if (!yyjson_is_obj(obj)) {
        gtv_error_set(err, GTV_E_INVALID, name, "A JSON object is expected");
        return NULL;
    }
    yyjson_val *v = yyjson_obj_get(obj, name);
    if (v && !yyjson_is_null(v))
        return v;
    if (need == GTV_JSON_REQUIRED)
        gtv_error_set(err, GTV_E_INVALID, name, "%s is required", name);
    else
        *ok = true;
    return NULL;
}

bool gtv_json_get_str(yyjson_val *obj, const char *name, enum gtv_json_need need, struct gtv_str *out,
                      struct gtv_error *err)
{
    bool ok;
    yyjson_val *v = field(obj, name, need, &ok, err);
    if (!v)
        return ok;
    struct gtv_str s = {yyjson_get_str(v), yyjson_get_len(v)};
    if (!yyjson_is_str(v)) {
        gtv_error_set(err, GTV_E_INVALID, name, "%s must be a string", name);
        return false;
    }
    if (gtv_str_find(s, '\0') >= 0) { // would end the text early in everything that is C
        gtv_error_set(err, GTV_E_INVALID, name, "%s must not hold a NUL character", name);
        return false;
    }
    *out = s;
    return true;
}

bool gtv_json_get_int(yyjson_val *obj, const char *name, enum gtv_json_need need, int64_t min, int64_t max,
                      int64_t *out, struct gtv_error *err)
{
    bool ok;
    yyjson_val *v = field(obj, name, need, &ok, err);
    if (!v)
        return ok;
    int64_t n = 0;
    bool whole = true;
    if (yyjson_is_sint(v)) {
        n = yyjson_get_sint(v);
    } else if (yyjson_is_uint(v)) {
        uint64_t u = yyjson_get_uint(v);
        whole = u <= INT64_MAX;
        n = whole ? (int64_t)u : 0;
    } else if (yyjson_is_real(v)) {
        // JavaScript's 1.0 and 1e3 are whole numbers too; beyond 2^53 a double no longer tells.
        double d = yyjson_get_real(v);
        whole = d >= -9007199254740992.0 && d <= 9007199254740992.0 && d == floor(d);
        n = whole ? (int64_t)d : 0;
    } else {
        whole = false;
    }
    if (!whole) {
        gtv_error_set(err, GTV_E_INVALID, name, "%s must be a whole number", name);
        return false;
    }
    if (n < min || n > max) {
        gtv_error_set(err, GTV_E_INVALID, name, "%s must be between %lld and %lld", name, (long long)min,
                      (long long)max);
        return false;
    }
    *out = n;
    return true;
}

bool gtv_json_get_double(yyjson_val *obj, const char *name, enum gtv_json_need need, double min, double max,
                         double *out, struct gtv_error *err)
{
    bool ok;
    yyjson_val *v = field(obj, name, need, &ok, err);
    if (!v)
        return ok;
    if (!yyjson_is_num(v)) {
        gtv_error_set(err, GTV_E_INVALID, name, "%s must be a number", name);
        return false;
    }
    double d = yyjson_get_num(v);
    if (!(d >= min && d <= max)) {
        gtv_error_set(err, GTV_E_INVALID, name, "%s must be between %g and %g", name, min, max);
        return false;
    }
    *out = d;
    return true;
}

bool gtv_json_get_bool(yyjson_val *obj, const char *name, enum gtv_json_need need, bool *out,
                       struct gtv_error *err)
{
    bool ok;
    yyjson_val *v = field(obj, name, need, &ok, err);
    if (!v)
        return ok;
    if (!yyjson_is_bool(v)) {
        gtv_error_set(err, GTV_E_INVALID, name, "%s must be true or false", name);
        return false;
    }
    *out = yyjson_get_bool(v);
    return true;
}

static struct gtv_bytes *with_valid_utf8(struct gtv_str s)
{
    struct gtv_buf out = {0};
    while (s.n) {
        size_t n = gtv_utf8_next(s);
        gtv_buf_append(&out, n ? s.p : replacement.p, n ? n : replacement.n);
        s.p += n ? n : 1;
        s.n -= n ? n : 1;
    }
    return gtv_buf_take(&out);
}

yyjson_mut_doc *gtv_json_object(yyjson_mut_val **root)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        abort(); // a small allocation
    *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, *root);
    return doc;
}

void gtv_json_add_text(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, const char *text)
{
    if (text && *text)
        yyjson_mut_obj_add_strcpy(doc, o, name, text);
    else
        yyjson_mut_obj_add_null(doc, o, name);
}

void gtv_json_add_time(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, int64_t wall_ms)
{
    char when[GTV_ISO8601_CAP];
    gtv_json_add_text(doc, o, name, wall_ms > 0 ? gtv_iso8601_utc(wall_ms, when) : NULL);
}

struct gtv_bytes *gtv_json_write(yyjson_mut_doc *doc)
{
    yyjson_write_err why;
    size_t len;
    bool valid = true;
    char *text = yyjson_mut_write_opts(doc, YYJSON_WRITE_INF_AND_NAN_AS_NULL, NULL, &len, &why);
    if (!text && why.code == YYJSON_WRITE_ERROR_INVALID_STRING) {
        valid = false;
        text = yyjson_mut_write_opts(
            doc, YYJSON_WRITE_INF_AND_NAN_AS_NULL | YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL, &len, &why);
    }
    yyjson_mut_doc_free(doc);
    if (!text)
        return NULL;
    struct gtv_bytes *bytes;
    if (valid) {
        bytes = gtv_bytes_wrap(text, len, free, text);
        if (!bytes)
            free(text);
    } else {
        bytes = with_valid_utf8((struct gtv_str){text, len});
        free(text);
    }
    return bytes;
}

static const char *short_escape(unsigned char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

void gtv_json_quote(struct gtv_buf *out, struct gtv_str s)
{
    gtv_buf_puts(out, "\"");
    while (s.n) {
        unsigned char c = (unsigned char)s.p[0];
        size_t n = gtv_utf8_next(s);
        if (short_escape(c))
            gtv_buf_puts(out, short_escape(c));
        else if (c < 0x20)
            gtv_buf_printf(out, "\\u%04x", c);
        else
            gtv_buf_append(out, n ? s.p : replacement.p, n ? n : replacement.n);
        s.p += n ? n : 1;
        s.n -= n ? n : 1;
    }
    gtv_buf_puts(out, "\"");
}

// ---- Numbers ----

static double rounded(double v, double parts)
{
    if (!(v >= -1e12 && v <= 1e12))
        return 0;
    return (double)(int64_t)(v * parts + (v < 0 ? -0.5 : 0.5)) / parts;
}

double gtv_json_hundredths(double v)
{
    return rounded(v, 100);
}

double gtv_json_thousandths(double v)
{
    return rounded(v, 1000);
}
