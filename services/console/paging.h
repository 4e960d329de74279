// Pages of a list as the management API has them: ?page=N&page_size=M, and the addresses of the neighbours.
#ifndef GTV_CONSOLE_PAGING_H
#define GTV_CONSOLE_PAGING_H

#include "lib/base/arena.h"

enum {
    GTV_PAGE_SIZE_DEFAULT = 50,
    GTV_PAGE_SIZE_MAX = 100,
    GTV_PAGE_MAX = 1000000,
};

struct gtv_page {
    int64_t number; // from 1
    int64_t size;
};

// The parameters as sent; an absent one ({NULL, 0}) has its default. False with GTV_E_INVALID and the field.
bool gtv_page_parse(struct gtv_str number, struct gtv_str size, struct gtv_page *out,
                    struct gtv_error *err) GTV_WARN_UNUSED;
// Position of the page's first item.
int64_t gtv_page_offset(const struct gtv_page *p);
// Whether there is such a page of `count` items; the first one always is.
bool gtv_page_exists(const struct gtv_page *p, int64_t count);
bool gtv_page_has_next(const struct gtv_page *p, int64_t count);

// origin ("http://host:port", or empty for a relative address) + path?query with page=number in place of the
// query's own page; page 1 needs no parameter. In the arena.
const char *gtv_page_link(struct gtv_arena *arena, struct gtv_str origin, struct gtv_str path,
                          struct gtv_str query, int64_t number);

#endif
