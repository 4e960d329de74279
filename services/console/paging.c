#include "services/console/paging.h"

#include <inttypes.h>

static bool parse(struct gtv_str s, const char *field, int64_t max, int64_t fallback, int64_t *out,
                  struct gtv_error *err)
{
    *out = fallback;
    if (!s.p || gtv_parse_int(s, 1, max, out))
        return true;
    gtv_error_set(err, GTV_E_INVALID, field, "%s must be a whole number from 1 to %" PRId64, field, max);
    return false;
}

bool gtv_page_parse(struct gtv_str number, struct gtv_str size, struct gtv_page *out, struct gtv_error *err)
{
    return parse(number, "page", GTV_PAGE_MAX, 1, &out->number, err) &&
           parse(size, "page_size", GTV_PAGE_SIZE_MAX, GTV_PAGE_SIZE_DEFAULT, &out->size, err);
}

int64_t gtv_page_offset(const struct gtv_page *p)
{
    return (p->number - 1) * p->size;
}

bool gtv_page_exists(const struct gtv_page *p, int64_t count)
{
    return p->number == 1 || gtv_page_offset(p) < count;
}

bool gtv_page_has_next(const struct gtv_page *p, int64_t count)
{
    return gtv_page_offset(p) + p->size < count;
}

const char *gtv_page_link(struct gtv_arena *arena, struct gtv_str origin, struct gtv_str path,
                          struct gtv_str query, int64_t number)
{
    const char *link =
        gtv_arena_printf(arena, GTV_STR_FMT GTV_STR_FMT, GTV_STR_ARG(origin), GTV_STR_ARG(path));
    char separator = '?';
    while (query.n) {
        struct gtv_str pair = gtv_str_cut(&query, '&'), rest = pair;
        if (pair.n == 0 || gtv_str_eq(gtv_str_cut(&rest, '='), GTV_STR("page")))
            continue;
        link = gtv_arena_printf(arena, "%s%c" GTV_STR_FMT, link, separator, GTV_STR_ARG(pair));
        separator = '&';
    }
    return number > 1 ? gtv_arena_printf(arena, "%s%cpage=%" PRId64, link, separator, number) : link;
}
