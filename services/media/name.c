#include "services/media/name.h"

static bool allowed(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-' || c == '/';
}

static bool fail(struct gtv_error *err, const char *reason)
{
    gtv_error_set(err, GTV_E_BAD_REQUEST, "name", "%s", reason);
    return false;
}

bool gtv_name_check(struct gtv_str name, struct gtv_error *err)
{
    if (name.n == 0) {
        return fail(err, "cannot be empty");
    }
    if (name.n > GTV_NAME_MAX) {
        return fail(err, "can't be longer than 255 characters");
    }
    if (name.p[0] == '/') {
        return fail(err, "can't begin with a slash");
    }
    if (name.p[name.n - 1] == '/') {
        return fail(err, "can't end with a slash");
    }
    for (size_t i = 0; i < name.n; i++) {
        if (!allowed(name.p[i])) {
            return fail(err, "can contain only alphanumeric characters, underscore, dot, minus, slash");
        }
    }
    for (struct gtv_str rest = name; rest.n > 0;) {
        struct gtv_str segment = gtv_str_cut(&rest, '/');
        if (gtv_str_eq(segment, GTV_STR(".")) || gtv_str_eq(segment, GTV_STR(".."))) {
            return fail(err, "can't contain dot path segments");
        }
    }
    return true;
}
