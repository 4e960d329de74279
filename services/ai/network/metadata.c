#include "services/ai/network/metadata.h"

#include "services/ai/network/classes.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_ENTRY = 64 * 1024, MAX_FIELDS = 10000, IR_TAIL = 256 * 1024 };

static void take_names(struct gtv_str text, bool dict, struct gtv_metadata *out)
{
    struct gtv_model m;
    if (!(dict ? gtv_classes_dict(text, &m) : gtv_classes_words(text, &m)))
        return;
    out->has_classes = true;
    out->class_count = m.class_count;
    memcpy(out->vehicle_class, m.vehicle_class, sizeof(out->vehicle_class));
}

// "[384, 640]": height, width.
static void take_size(struct gtv_str text, struct gtv_metadata *out)
{
    char buf[64];
    int height = 0, width = 0;
    // NOLINTNEXTLINE(cert-err34-c): a number that overflows fails the check below
    if (gtv_str_copy(buf, sizeof(buf), text) && sscanf(buf, " [ %5d , %5d ]", &height, &width) == 2 &&
        height >= 32 && width >= 32 && height <= 2048 && width <= 2048) {
        out->height = height;
        out->width = width;
    }
}

static void take_pair(struct gtv_str key, struct gtv_str value, struct gtv_metadata *out)
{
    if (gtv_str_eq(key, GTV_STR("names")))
        take_names(value, true, out);
    else if (gtv_str_eq(key, GTV_STR("labels")) && !out->has_classes)
        take_names(value, false, out);
    else if (gtv_str_eq(key, GTV_STR("imgsz")))
        take_size(value, out);
}

// ---- ONNX: protocol buffers ----

static bool take_varint(struct gtv_str *s, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && s->n; shift += 7) {
        uint8_t byte = (uint8_t)*s->p++;
        s->n--;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool file_varint(FILE *f, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        int byte = getc(f);
        if (byte == EOF)
            return false;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

// StringStringEntryProto: 1 key, 2 value.
static void read_entry(struct gtv_str entry, struct gtv_metadata *out)
{
    struct gtv_str part[2] = {{0}};
    while (entry.n) {
        uint64_t tag, size;
        if (!take_varint(&entry, &tag) || !take_varint(&entry, &size) || size > entry.n || (tag & 7) != 2)
            return;
        if (tag >> 3 == 1 || tag >> 3 == 2)
            part[(tag >> 3) - 1] = (struct gtv_str){entry.p, (size_t)size};
        entry.p += size;
        entry.n -= (size_t)size;
    }
    take_pair(part[0], part[1], out);
}

// One field of the file's outermost message. False at the end, or at what is no such message.
static bool read_field(FILE *f, char *buf, struct gtv_metadata *out)
{
    uint64_t tag, size;
    if (!file_varint(f, &tag))
        return false;
    switch (tag & 7) {
    case 0:
        return file_varint(f, &size);
    case 1:
        return fseeko(f, 8, SEEK_CUR) == 0;
    case 5:
        return fseeko(f, 4, SEEK_CUR) == 0;
    case 2:
        break;
    default:
        return false;
    }
    if (!file_varint(f, &size) || size > INT64_MAX / 2)
        return false;
    if (tag >> 3 != 14 || size > MAX_ENTRY)
        return fseeko(f, (off_t)size, SEEK_CUR) == 0;
    if (fread(buf, 1, (size_t)size, f) != size)
        return false;
    read_entry((struct gtv_str){buf, (size_t)size}, out);
    return true;
}

static void read_onnx(FILE *f, struct gtv_metadata *out)
{
    char *buf = malloc(MAX_ENTRY);
    for (int i = 0; buf && i < MAX_FIELDS && read_field(f, buf, out); i++)
        ;
    free(buf);
}

// ---- IR: the end of the XML ----

static size_t unescape(char *text, size_t n)
{
    static const struct {
        const char *entity;
        char sign;
    } entities[] = {{"&apos;", '\''}, {"&quot;", '"'}, {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}};
    size_t to = 0;
    for (size_t i = 0; i < n;) {
        size_t used = 0;
        for (size_t e = 0; e < sizeof(entities) / sizeof(entities[0]) && !used; e++) {
            size_t length = strlen(entities[e].entity);
            if (i + length <= n && memcmp(text + i, entities[e].entity, length) == 0) {
                text[to++] = entities[e].sign;
                used = length;
            }
        }
        if (!used)
            text[to++] = text[i];
        i += used ? used : 1;
    }
    return to;
}

// <key value="..." />
static void take_attribute(char *text, const char *key, struct gtv_metadata *out)
{
    char opening[32];
    snprintf(opening, sizeof(opening), "<%s value=\"", key);
    char *at = strstr(text, opening);
    if (!at)
        return;
    at += strlen(opening);
    char *end = strchr(at, '"');
    if (!end)
        return;
    // A copy: the text is searched again for the next key.
    size_t n = (size_t)(end - at);
    char *value = malloc(n + 1);
    if (!value)
        return;
    memcpy(value, at, n);
    n = unescape(value, n);
    take_pair(gtv_str_of(key), (struct gtv_str){value, n}, out);
    free(value);
}

static void read_ir(FILE *f, struct gtv_metadata *out)
{
    char *text = malloc(IR_TAIL + 1);
    if (!text)
        return;
    // rt_info of the whole network stands at the end.
    if (fseeko(f, -IR_TAIL, SEEK_END) != 0)
        rewind(f);
    size_t n = fread(text, 1, IR_TAIL, f);
    text[n] = '\0';
    take_attribute(text, "names", out);
    take_attribute(text, "labels", out);
    take_attribute(text, "imgsz", out);
    free(text);
}

void gtv_metadata_read(const char *path, struct gtv_metadata *out)
{
    memset(out, 0, sizeof(*out));
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (gtv_str_ends(gtv_str_of(path), GTV_STR(".onnx")))
        read_onnx(f, out);
    else if (gtv_str_ends(gtv_str_of(path), GTV_STR(".xml")))
        read_ir(f, out);
    (void)fclose(f);
}
