#include "services/ai/picture/exif.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3 };

static const uint8_t *bytes_of(struct gtv_str s)
{
    return (const uint8_t *)s.p;
}

static uint32_t read_number(const uint8_t *p, int n, bool big)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint32_t)p[i] << 8 * (big ? n - 1 - i : i);
    return v;
}

int gtv_exif_orientation(struct gtv_str tiff)
{
    const uint8_t *p = bytes_of(tiff);
    if (tiff.n < 8 || (memcmp(p, "II*\0", 4) != 0 && memcmp(p, "MM\0*", 4) != 0))
        return 1;
    bool big = p[0] == 'M';
    size_t at = read_number(p + 4, 4, big);
    if (at > tiff.n - 2) // n is at least 8
        return 1;
    size_t count = read_number(p + at, 2, big);
    for (at += 2; count > 0 && at + 12 <= tiff.n; count--, at += 12) {
        if (read_number(p + at, 2, big) != TAG_ORIENTATION)
            continue;
        uint32_t value = read_number(p + at + 8, 2, big);
        bool sane = read_number(p + at + 2, 2, big) == TYPE_SHORT && read_number(p + at + 4, 4, big) == 1 &&
                    value >= 1 && value <= 8;
        return sane ? (int)value : 1;
    }
    return 1;
}

// One marker segment of a JPEG: its marker and what follows its length; behind it *at. False at the first
// scan and at anything malformed.
static bool next_segment(struct gtv_str file, size_t *at, uint8_t *marker, struct gtv_str *content)
{
    const uint8_t *p = bytes_of(file);
    while (*at < file.n && p[*at] != 0xFF) // libjpeg passes over what lies between as well
        (*at)++;
    while (*at < file.n && p[*at] == 0xFF)
        (*at)++;
    if (*at + 3 > file.n)
        return false;
    *marker = p[*at];
    if (*marker == 0xDA || *marker == 0xD9)
        return false;
    *at += 1;
    if (*marker == 0 || *marker == 0x01 || (*marker >= 0xD0 && *marker <= 0xD8)) { // these have no length
        *content = (struct gtv_str){file.p + *at, 0};
        return true;
    }
    size_t n = read_number(p + *at, 2, true);
    if (n < 2 || n > file.n - *at)
        return false;
    *content = (struct gtv_str){file.p + *at + 2, n - 2};
    *at += n;
    return true;
}

int gtv_exif_jpeg(struct gtv_str file)
{
    static const char name[6] = "Exif\0";
    size_t at = 2;
    uint8_t marker;
    struct gtv_str s;
    while (next_segment(file, &at, &marker, &s)) {
        if (marker == 0xE1 && s.n > 6 && memcmp(s.p, name, 6) == 0)
            return gtv_exif_orientation((struct gtv_str){s.p + 6, s.n - 6});
    }
    return 1;
}

bool gtv_jpeg_size(struct gtv_str file, int *width, int *height)
{
    size_t at = 2;
    uint8_t marker;
    struct gtv_str s;
    while (next_segment(file, &at, &marker, &s)) {
        bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
        if (!frame)
            continue;
        if (s.n < 5)
            return false;
        *height = (int)read_number(bytes_of(s) + 1, 2, true);
        *width = (int)read_number(bytes_of(s) + 3, 2, true);
        return true;
    }
    return false;
}

int gtv_exif_png(struct gtv_str file)
{
    const uint8_t *p = bytes_of(file);
    for (size_t at = 8; at + 8 <= file.n;) {
        size_t n = read_number(p + at, 4, true);
        if (n > file.n - at - 8)
            return 1;
        if (memcmp(p + at + 4, "eXIf", 4) == 0)
            return gtv_exif_orientation((struct gtv_str){file.p + at + 8, n});
        at += 8 + n + 4; // the checksum behind it
    }
    return 1;
}

int gtv_exif_webp(struct gtv_str file)
{
    const uint8_t *p = bytes_of(file);
    for (size_t at = 12; at + 8 <= file.n;) {
        size_t n = read_number(p + at + 4, 4, false);
        if (n > file.n - at - 8)
            return 1;
        struct gtv_str s = {file.p + at + 8, n};
        if (memcmp(p + at, "EXIF", 4) == 0) {
            // Some writers leave JPEG's prefix in front.
            if (s.n > 6 && memcmp(s.p, "Exif\0", 6) == 0)
                s = (struct gtv_str){s.p + 6, s.n - 6};
            return gtv_exif_orientation(s);
        }
        at += 8 + n + (n & 1);
    }
    return 1;
}
