#include "services/streaming/bulk.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "services/streaming/provision.h"

#include <stdio.h>
#include <stdlib.h>

void gtv_bulk_finish(struct gtv_bulk *b)
{
    free(b->lines);
    *b = (struct gtv_bulk){NULL, 0};
}

struct gtv_bulk_line *gtv_bulk_add(struct gtv_bulk *b, size_t line, struct gtv_error *err)
{
    if (b->count == GTV_BULK_LINES) {
        gtv_error_set(err, GTV_E_TOO_LARGE, NULL, "more than %d cameras in one request", (int)GTV_BULK_LINES);
        return NULL;
    }
    if (b->count % 64 == 0)
        b->lines = gtv_realloc(b->lines, (b->count + 64) * sizeof *b->lines);
    struct gtv_bulk_line *l = &b->lines[b->count++];
    memset(l, 0, sizeof *l);
    l->line = line;
    return l;
}

static bool parse_csv(char *text, size_t n, struct gtv_bulk *b, struct gtv_error *err)
{
    struct gtv_csv csv;
    struct gtv_csv_record record;
    struct gtv_columns columns;
    gtv_csv_begin(&csv, text, n);
    enum gtv_csv_result r = gtv_csv_next(&csv, &record, err);
    if (r == GTV_CSV_END)
        gtv_error_set(err, GTV_E_INVALID, NULL, "the file is empty");
    if (r != GTV_CSV_RECORD || !gtv_provision_columns(&record, &columns, err))
        return false;
    struct gtv_error broken = {0};
    while ((r = gtv_csv_next(&csv, &record, &broken)) != GTV_CSV_END) {
        struct gtv_bulk_line *l = gtv_bulk_add(b, record.line, err);
        if (!l)
            return false;
        if (r == GTV_CSV_BROKEN)
            l->outcome.err = broken;
        else if (!gtv_provision_record(&record, &columns, &l->camera, &l->outcome.err))
            l->camera.id = 0;
    }
    return true;
}

static bool parse_json(struct gtv_str text, struct gtv_bulk *b, struct gtv_error *err)
{
    yyjson_doc *doc = gtv_json_parse(text, err);
    if (!doc)
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    yyjson_val *list = yyjson_is_obj(root) ? yyjson_obj_get(root, "cameras") : root;
    bool ok = true;
    size_t i, n;
    if (yyjson_is_true(yyjson_obj_get(root, "redacted"))) {
        gtv_error_set(err, GTV_E_INVALID, "redacted",
                      "this export has no users and passwords; export with the key of the administrator");
        ok = false;
    } else if (!yyjson_is_arr(list)) {
        gtv_error_set(err, GTV_E_INVALID, "cameras",
                      "the body must be a list of cameras, or an object with the list \"cameras\"");
        ok = false;
    } else {
        yyjson_arr_foreach(list, i, n, item)
        {
            struct gtv_bulk_line *l = ok ? gtv_bulk_add(b, i + 1, err) : NULL;
            ok = l != NULL;
            if (ok && !gtv_provision_object(item, 0, &l->camera, &l->outcome.err))
                l->camera.id = 0;
        }
    }
    yyjson_doc_free(doc);
    return ok;
}

// The second line of a camera would undo the first, in an order that nobody knows.
static void refuse_twins(struct gtv_bulk *b)
{
    struct gtv_map *seen = gtv_map_create();
    for (size_t i = 0; i < b->count; i++) {
        struct gtv_bulk_line *l = &b->lines[i];
        char key[24];
        int n = snprintf(key, sizeof key, "%lld", (long long)l->camera.id);
        struct gtv_str k = {key, (size_t)n};
        if (l->outcome.err.code)
            continue;
        uintptr_t first = (uintptr_t)gtv_map_get(seen, k);
        if (first)
            gtv_error_set(&l->outcome.err, GTV_E_INVALID, "camera_id", "this camera is in line %zu already",
                          (size_t)first);
        else
            (void)gtv_map_put(seen, k, (void *)(uintptr_t)l->line);
    }
    gtv_map_destroy(seen, NULL);
}

bool gtv_bulk_parse(char *text, size_t n, bool csv, struct gtv_bulk *out, struct gtv_error *err)
{
    *out = (struct gtv_bulk){NULL, 0};
    bool ok = csv ? parse_csv(text, n, out, err) : parse_json((struct gtv_str){text, n}, out, err);
    if (ok && out->count == 0) {
        gtv_error_set(err, GTV_E_INVALID, "cameras", "there is no camera in it");
        ok = false;
    }
    if (!ok) {
        gtv_bulk_finish(out);
        return false;
    }
    refuse_twins(out);
    for (size_t i = 0; i < out->count; i++)
        out->lines[i].over = out->lines[i].outcome.err.code != GTV_OK;
    return true;
}

static void add_result(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct gtv_bulk_line *l)
{
    const struct gtv_error *err = &l->outcome.err;
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_uint(doc, o, "line", l->line);
    if (l->camera.id)
        yyjson_mut_obj_add_sint(doc, o, "camera_id", l->camera.id);
    else
        yyjson_mut_obj_add_null(doc, o, "camera_id");
    yyjson_mut_obj_add_bool(doc, o, "ok", !err->code);
    if (!err->code) {
        yyjson_mut_obj_add_str(doc, o, "result", l->outcome.result);
        return;
    }
    char clean[sizeof err->message];
    size_t n = gtv_redact(gtv_str_of(err->message), clean, sizeof clean);
    yyjson_mut_obj_add_str(doc, o, "code", gtv_code_name(err->code));
    if (err->field[0])
        yyjson_mut_obj_add_strcpy(doc, o, "field", err->field);
    else
        yyjson_mut_obj_add_null(doc, o, "field");
    yyjson_mut_obj_add_strncpy(doc, o, "detail", clean, n);
}

yyjson_mut_doc *gtv_bulk_answer(const struct gtv_bulk *b)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    size_t failed = 0;
    for (size_t i = 0; i < b->count; i++)
        failed += b->lines[i].outcome.err.code != GTV_OK;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_bool(doc, root, "success", failed == 0);
    yyjson_mut_obj_add_uint(doc, root, "total", b->count);
    yyjson_mut_obj_add_uint(doc, root, "succeeded", b->count - failed);
    yyjson_mut_obj_add_uint(doc, root, "failed", failed);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "results");
    for (size_t i = 0; i < b->count; i++)
        add_result(doc, list, &b->lines[i]);
    return doc;
}
