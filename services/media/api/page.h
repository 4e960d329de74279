// Paging of the lists, as MediaMTX does it: itemsPerPage (100) and page (0),
// {"itemCount","pageCount","items"}.
#ifndef GTV_MEDIA_PAGE_H
#define GTV_MEDIA_PAGE_H

#include "lib/http/server.h"
#include "lib/json/json.h"

struct gtv_page {
    size_t per_page, number;
};

// False: answered with an error.
bool gtv_page_read(struct gtv_http_request *req, struct gtv_page *page) GTV_WARN_UNUSED;

// Answers with the items of the page out of `count`; write makes the i-th.
void gtv_page_reply(struct gtv_http_request *req, const struct gtv_page *page, size_t count,
                    yyjson_mut_val *(*write)(yyjson_mut_doc *doc, size_t i, void *arg), void *arg);

#endif
