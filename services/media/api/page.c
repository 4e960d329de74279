#include "services/media/api/page.h"

#include "services/media/reply.h"

#include <stdio.h>

static bool parse_uint(struct gtv_http_request *req, const char *name, int64_t def, int64_t *out)
{
    struct gtv_str text = gtv_http_query(req, name);
    *out = def;
    if (text.n == 0) {
        return true;
    }
    bool digits = true;
    for (size_t i = 0; i < text.n; i++) {
        digits = digits && text.p[i] >= '0' && text.p[i] <= '9';
    }
    if (digits && gtv_parse_int(text, 0, INT32_MAX, out)) {
        return true;
    }
    char message[160];
    snprintf(message, sizeof message, "strconv.ParseUint: parsing \"%.*s\": %s",
             (int)(text.n < 64 ? text.n : 64), text.p, digits ? "value out of range" : "invalid syntax");
    gtv_media_reply_error(req, 400, message, NULL, NULL);
    return false;
}

bool gtv_page_read(struct gtv_http_request *req, struct gtv_page *page)
{
    int64_t per_page, number;
    if (!parse_uint(req, "itemsPerPage", 100, &per_page) || !parse_uint(req, "page", 0, &number)) {
        return false;
    }
    if (per_page == 0) {
        gtv_media_reply_error(req, 400, "invalid items per page", NULL, NULL);
        return false;
    }
    *page = (struct gtv_page){(size_t)per_page, (size_t)number};
    return true;
}

void gtv_page_reply(struct gtv_http_request *req, const struct gtv_page *page, size_t count,
                    yyjson_mut_val *(*write)(yyjson_mut_doc *doc, size_t i, void *arg), void *arg)
{
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_obj_add_uint(doc, root, "itemCount", count);
    yyjson_mut_obj_add_uint(doc, root, "pageCount", (count + page->per_page - 1) / page->per_page);
    yyjson_mut_val *items = yyjson_mut_obj_add_arr(doc, root, "items");
    for (size_t i = page->number * page->per_page; i < count && i < (page->number + 1) * page->per_page;
         i++) {
        yyjson_mut_arr_append(items, write(doc, i, arg));
    }
    gtv_media_reply_json(req, doc);
}
