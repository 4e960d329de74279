#include "lib/video/access.h"

enum {
    LENGTH = 4,             // bytes before each NAL unit
    SCRATCH_KEPT = 8 * 1024 // memory that a source keeps between units: a key frame's would be kept for ever
};

void gtv_access_init(struct gtv_access *a, enum gtv_codec codec)
{
    *a = (struct gtv_access){.codec = codec};
    gtv_buf_init(&a->data, GTV_ACCESS_MAX);
    gtv_buf_init(&a->sets, GTV_SETS_MAX);
}

void gtv_access_finish(struct gtv_access *a)
{
    gtv_buf_finish(&a->data);
    gtv_buf_finish(&a->sets);
}

static void empty(struct gtv_buf *b)
{
    if (b->cap > SCRATCH_KEPT) {
        size_t max = b->max;
        gtv_buf_finish(b);
        gtv_buf_init(b, max);
    } else {
        gtv_buf_reset(b);
    }
}

void gtv_access_reset(struct gtv_access *a)
{
    empty(&a->data);
    empty(&a->sets);
    a->key = a->picture = a->damaged = false;
    a->in_nal = a->in_set = a->skipping = false;
}

static struct gtv_buf *running(struct gtv_access *a)
{
    return a->in_set ? &a->sets : &a->data;
}

void gtv_access_nal_begin(struct gtv_access *a)
{
    if (a->in_nal && !a->skipping) {
        struct gtv_buf *b = running(a);
        if (b->len > a->nal_at) {
            b->len = a->nal_at;
        }
    }
    a->in_nal = true;
    a->skipping = false;
    a->nal_at = SIZE_MAX; // its kind is not known yet
}

// The first byte says where the NAL unit goes.
static void open_nal(struct gtv_access *a, uint8_t header)
{
    enum gtv_nal_kind kind = gtv_nal_kind(a->codec, header);
    a->skipping = kind == GTV_NAL_DROP;
    if (a->skipping) {
        a->nal_at = 0;
        return;
    }
    a->in_set = kind == GTV_NAL_SET;
    a->key |= kind == GTV_NAL_KEY;
    a->picture |= kind == GTV_NAL_KEY || kind == GTV_NAL_PICTURE;
    a->nal_at = running(a)->len;
    a->damaged |= !gtv_buf_append(running(a), "\0\0\0\0", LENGTH);
}

void gtv_access_nal_append(struct gtv_access *a, const void *bytes, size_t n)
{
    if (!a->in_nal || n == 0) {
        return;
    }
    if (a->nal_at == SIZE_MAX) {
        open_nal(a, *(const uint8_t *)bytes);
    }
    if (!a->skipping) {
        a->damaged |= !gtv_buf_append(running(a), bytes, n);
    }
}

// Some senders give the same parameter set twice with one picture (where a clip starts over, say): that is no
// other format.
static bool is_repeated(const struct gtv_access *a)
{
    struct gtv_str before = {a->sets.data, a->nal_at}, nal,
                   last = {a->sets.data + a->nal_at + LENGTH, a->sets.len - a->nal_at - LENGTH};
    for (size_t at = 0; gtv_nal_prefixed_next(before, &at, &nal);) {
        if (gtv_str_eq(nal, last)) {
            return true;
        }
    }
    return false;
}

void gtv_access_nal_end(struct gtv_access *a)
{
    if (!a->in_nal || a->skipping || a->nal_at == SIZE_MAX) {
        a->in_nal = false;
        return;
    }
    a->in_nal = false;
    struct gtv_buf *b = running(a);
    if (b->failed || b->len < a->nal_at + LENGTH) {
        return;
    }
    size_t n = b->len - a->nal_at - LENGTH;
    for (size_t i = 0; i < LENGTH; i++) {
        b->data[a->nal_at + i] = (char)(uint8_t)(n >> (24 - 8 * i));
    }
    if (a->in_set && is_repeated(a)) {
        b->len = a->nal_at;
    }
}

void gtv_access_nal(struct gtv_access *a, struct gtv_str nal)
{
    gtv_access_nal_begin(a);
    gtv_access_nal_append(a, nal.p, nal.n);
    gtv_access_nal_end(a);
}

void gtv_access_annexb(struct gtv_access *a, struct gtv_str data)
{
    size_t at = 0;
    struct gtv_str nal;
    while (gtv_nal_next(data, &at, &nal)) {
        gtv_access_nal(a, nal);
    }
}

bool gtv_access_prefixed(struct gtv_access *a, struct gtv_str data, unsigned size)
{
    while (data.n > 0) {
        size_t n = 0;
        if (data.n < size) {
            return false;
        }
        for (unsigned i = 0; i < size; i++) {
            n = n << 8 | (unsigned char)data.p[i];
        }
        data.p += size;
        data.n -= size;
        if (n > data.n) {
            return false;
        }
        gtv_access_nal(a, (struct gtv_str){data.p, n});
        data.p += n;
        data.n -= n;
    }
    return true;
}

void gtv_access_damage(struct gtv_access *a)
{
    a->damaged = true;
}

struct gtv_bytes *gtv_access_take(struct gtv_access *a)
{
    if (!a->picture || a->data.failed || a->data.len == 0) {
        return NULL;
    }
    return gtv_bytes_copy(a->data.data, a->data.len);
}
