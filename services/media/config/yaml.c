#include "services/media/config/yaml.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { WAY_MAX = 1024 };

struct gtv_yaml {
    yyjson_doc *doc;
    struct gtv_map *lines; // way -> line, as a pointer's value
};

struct reading {
    yaml_parser_t parser;
    yyjson_mut_doc *doc;
    struct gtv_map *lines;
    struct gtv_error *err;
};

static bool fail(struct reading *r, size_t line, const char *text)
{
    gtv_error_set(r->err, GTV_E_BAD_REQUEST, NULL, "line %zu: %s", line + 1, text);
    return false;
}

// The next event; the caller deletes it. On false there is none.
static bool next(struct reading *r, yaml_event_t *event)
{
    if (!yaml_parser_parse(&r->parser, event)) {
        const char *problem = r->parser.problem != NULL ? r->parser.problem : "this is no YAML";
        return fail(r, r->parser.problem_mark.line, problem);
    }
    return true;
}

static bool is_word(struct gtv_str s, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (gtv_str_ieq(s, gtv_str_of(*words))) {
            return true;
        }
    }
    return false;
}

static yyjson_mut_val *scalar(struct reading *r, const yaml_event_t *event)
{
    static const char *const yes[] = {"true", "yes", "on", NULL}, *const no[] = {"false", "no", "off", NULL},
                             *const nothing[] = {"", "~", "null", NULL};
    struct gtv_str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    int64_t whole = 0;
    double number = 0;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (is_word(text, nothing)) {
            return yyjson_mut_null(r->doc);
        }
        if (is_word(text, yes) || is_word(text, no)) {
            return yyjson_mut_bool(r->doc, is_word(text, yes));
        }
        if (gtv_parse_int(text, INT64_MIN, INT64_MAX, &whole)) {
            return whole < 0 ? yyjson_mut_sint(r->doc, whole) : yyjson_mut_uint(r->doc, (uint64_t)whole);
        }
        bool digits = text.p[0] == '-' || text.p[0] == '.' || (text.p[0] >= '0' && text.p[0] <= '9');
        if (digits && gtv_parse_double(text, -1e15, 1e15, &number)) {
            return yyjson_mut_real(r->doc, number);
        }
    }
    return yyjson_mut_strncpy(r->doc, text.p, text.n);
}

static yyjson_mut_val *value(struct reading *r, yaml_event_t *event, const char *way, unsigned depth);

static yyjson_mut_val *sequence(struct reading *r, const char *way, unsigned depth)
{
    yyjson_mut_val *list = yyjson_mut_arr(r->doc);
    for (;;) {
        yaml_event_t event;
        if (!next(r, &event)) {
            return NULL;
        }
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        yyjson_mut_val *item = end ? NULL : value(r, &event, way, depth);
        yaml_event_delete(&event);
        if (end) {
            return list;
        }
        if (item == NULL) {
            return NULL;
        }
        yyjson_mut_arr_append(list, item);
    }
}

// The key of an entry; its way is written to inner.
static yyjson_mut_val *read_key(struct reading *r, yaml_event_t *event, const yyjson_mut_val *object,
                                const char *way, char inner[WAY_MAX])
{
    size_t line = event->start_mark.line;
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.length == 0) {
        fail(r, line, "a key is expected here");
        return NULL;
    }
    struct gtv_str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (yyjson_mut_obj_getn((yyjson_mut_val *)(uintptr_t)object, text.p, text.n) != NULL) {
        char message[128];
        snprintf(message, sizeof message, "the key \"%.80s\" is here a second time", text.p);
        fail(r, line, message);
        return NULL;
    }
    if ((size_t)snprintf(inner, WAY_MAX, "%s%s" GTV_STR_FMT, way, way[0] != '\0' ? "/" : "",
                         GTV_STR_ARG(text)) >= WAY_MAX) {
        fail(r, line, "this key is too long");
        return NULL;
    }
    gtv_map_put(r->lines, gtv_str_of(inner), (void *)(uintptr_t)(line + 1));
    return yyjson_mut_strncpy(r->doc, text.p, text.n);
}

static yyjson_mut_val *mapping(struct reading *r, const char *way, unsigned depth)
{
    yyjson_mut_val *object = yyjson_mut_obj(r->doc);
    for (;;) {
        yaml_event_t event;
        char inner[WAY_MAX];
        if (!next(r, &event)) {
            return NULL;
        }
        bool end = event.type == YAML_MAPPING_END_EVENT;
        yyjson_mut_val *key = end ? NULL : read_key(r, &event, object, way, inner);
        yaml_event_delete(&event);
        if (end) {
            return object;
        }
        if (key == NULL || !next(r, &event)) {
            return NULL;
        }
        yyjson_mut_val *v = value(r, &event, inner, depth);
        yaml_event_delete(&event);
        if (v == NULL) {
            return NULL;
        }
        yyjson_mut_obj_add(object, key, v);
    }
}

// The value that the event begins.
static yyjson_mut_val *value(struct reading *r, yaml_event_t *event, const char *way, unsigned depth)
{
    size_t line = event->start_mark.line;
    if (depth >= GTV_YAML_DEPTH_MAX) {
        fail(r, line, "this is nested too deeply");
        return NULL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL) {
            break;
        }
        return scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL) {
            break;
        }
        return sequence(r, way, depth + 1);
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL) {
            break;
        }
        return mapping(r, way, depth + 1);
    default:
        break;
    }
    fail(r, line, "anchors, aliases and tags are not accepted here");
    return NULL;
}

// From the beginning of the stream to its end, one document. NULL with *err.
static yyjson_mut_val *document(struct reading *r)
{
    yyjson_mut_val *root = NULL;
    bool ended = false;
    while (!ended) {
        yaml_event_t event;
        if (!next(r, &event)) {
            return NULL;
        }
        bool ok = true;
        switch (event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            ok = root == NULL || fail(r, event.start_mark.line, "a second document begins here");
            break;
        case YAML_STREAM_END_EVENT:
            ended = true;
            break;
        default:
            root = value(r, &event, "", 0);
            ok = root != NULL;
            if (ok && !yyjson_mut_is_obj(root) && !yyjson_mut_is_null(root)) {
                ok = fail(r, event.start_mark.line, "keys with values are expected");
            }
        }
        yaml_event_delete(&event);
        if (!ok) {
            return NULL;
        }
    }
    return root != NULL && yyjson_mut_is_obj(root) ? root : yyjson_mut_obj(r->doc);
}

struct gtv_yaml *gtv_yaml_parse(struct gtv_str text, struct gtv_error *err)
{
    if (text.n > GTV_YAML_BYTES_MAX) {
        gtv_error_set(err, GTV_E_TOO_LARGE, NULL, "the file is larger than %d bytes", GTV_YAML_BYTES_MAX);
        return NULL;
    }
    struct reading r = {.doc = yyjson_mut_doc_new(NULL), .lines = gtv_map_create(), .err = err};
    if (r.doc == NULL || !yaml_parser_initialize(&r.parser)) {
        abort(); // as every small allocation
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.n > 0 ? text.p : ""), text.n);
    struct gtv_yaml *y = NULL;
    yyjson_mut_val *root = document(&r);
    if (root != NULL) {
        yyjson_mut_doc_set_root(r.doc, root);
        y = GTV_NEW(struct gtv_yaml);
        *y = (struct gtv_yaml){yyjson_mut_doc_imut_copy(r.doc, NULL), r.lines};
        r.lines = NULL;
    }
    if (r.lines != NULL) {
        gtv_map_destroy(r.lines, NULL);
    }
    yaml_parser_delete(&r.parser);
    yyjson_mut_doc_free(r.doc);
    return y;
}

void gtv_yaml_free(struct gtv_yaml *y)
{
    if (y == NULL) {
        return;
    }
    gtv_map_destroy(y->lines, NULL);
    yyjson_doc_free(y->doc);
    free(y);
}

yyjson_val *gtv_yaml_root(const struct gtv_yaml *y)
{
    return yyjson_doc_get_root(y->doc);
}

yyjson_val *gtv_yaml_get(const struct gtv_yaml *y, const char *key)
{
    return y != NULL ? yyjson_obj_get(gtv_yaml_root(y), key) : NULL;
}

size_t gtv_yaml_line(const struct gtv_yaml *y, const char *way)
{
    struct gtv_str rest = gtv_str_of(way);
    while (rest.n > 0) {
        void *line = gtv_map_get(y->lines, rest);
        if (line != NULL) {
            return (size_t)(uintptr_t)line;
        }
        size_t n = rest.n;
        while (n > 0 && rest.p[n - 1] != '/') {
            n--;
        }
        rest.n = n > 0 ? n - 1 : 0;
    }
    return 0;
}
