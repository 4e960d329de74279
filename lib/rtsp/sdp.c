#include "lib/rtsp/sdp.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    SETS_MAX = 16 * 1024, // bytes of parameter sets, beyond it they are taken from the stream
    SET_MAX = 4096,       // of one of them
    CONFIG_MAX = 64,      // bytes of an AudioSpecificConfig; real ones take 2 to 5
};

// ---- Values ----

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

// With or without padding. -1 for anything else, or when it does not fit.
static ptrdiff_t base64_decode(struct gtv_str text, uint8_t *out, size_t cap)
{
    uint32_t bits = 0;
    size_t n = 0, count = 0;
    while (text.n > 0 && text.p[text.n - 1] == '=') {
        text.n--;
    }
    for (size_t i = 0; i < text.n; i++) {
        int digit = base64_digit(text.p[i]);
        if (digit < 0) {
            return -1;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (++count % 4 != 1) {
            if (n == cap) {
                return -1;
            }
            out[n++] = (uint8_t)(bits >> ((4 - (count - 1) % 4 - 1) * 2));
        }
    }
    return (ptrdiff_t)n;
}

static ptrdiff_t hex_decode(struct gtv_str text, uint8_t *out, size_t cap)
{
    if (text.n % 2 != 0 || text.n / 2 > cap) {
        return -1;
    }
    for (size_t i = 0; i < text.n; i++) {
        int lower = text.p[i] | 0x20;
        int digit = lower >= '0' && lower <= '9'   ? lower - '0'
                    : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                   : -1;
        if (digit < 0) {
            return -1;
        }
        out[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : out[i / 2] | digit);
    }
    return (ptrdiff_t)(text.n / 2);
}

// The value of a parameter of an fmtp line ("96 a=1; b=2"); p NULL without it.
static struct gtv_str fmtp_value(struct gtv_str fmtp, const char *name)
{
    while (fmtp.n > 0) {
        struct gtv_str value = gtv_str_cut(&fmtp, ';');
        struct gtv_str key = gtv_str_trim(gtv_str_cut(&value, '='));
        if (gtv_str_ieq(key, gtv_str_of(name))) {
            return gtv_str_trim(value);
        }
    }
    return (struct gtv_str){0};
}

static unsigned fmtp_number(struct gtv_str fmtp, const char *name, unsigned max, unsigned otherwise)
{
    int64_t number = 0;
    return gtv_parse_int(fmtp_value(fmtp, name), 0, max, &number) ? (unsigned)number : otherwise;
}

// ---- Parameter sets ----

static bool is_set_of(enum gtv_codec codec, uint8_t head)
{
    int type = codec == GTV_CODEC_H264 ? head & 0x1f : head >> 1 & 0x3f;
    return codec == GTV_CODEC_H264 ? type == 7 || type == 8 : type >= 32 && type <= 34;
}

static void add_sets(struct gtv_buf *sets, enum gtv_codec codec, struct gtv_str list)
{
    uint8_t set[SET_MAX];
    while (list.n > 0) {
        ptrdiff_t n = base64_decode(gtv_str_trim(gtv_str_cut(&list, ',')), set, sizeof set);
        if (n < 4 || !is_set_of(codec, set[0])) {
            continue;
        }
        uint8_t length[4] = {0, 0, (uint8_t)(n >> 8), (uint8_t)n};
        gtv_buf_append(sets, length, sizeof length);
        gtv_buf_append(sets, set, (size_t)n);
    }
}

static void read_video(struct gtv_sdp_track *t, struct gtv_str fmtp)
{
    struct gtv_buf sets;
    gtv_buf_init(&sets, SETS_MAX);
    if (t->codec == GTV_CODEC_H264) {
        t->packetization_mode = (int)fmtp_number(fmtp, "packetization-mode", 2, 0);
        add_sets(&sets, t->codec, fmtp_value(fmtp, "sprop-parameter-sets"));
    } else {
        t->donl = fmtp_number(fmtp, "sprop-max-don-diff", 32767, 0) > 0;
        add_sets(&sets, t->codec, fmtp_value(fmtp, "sprop-vps"));
        add_sets(&sets, t->codec, fmtp_value(fmtp, "sprop-sps"));
        add_sets(&sets, t->codec, fmtp_value(fmtp, "sprop-pps"));
    }
    t->sets = sets.len > 0 && !sets.failed ? gtv_bytes_copy(sets.data, sets.len) : NULL;
    gtv_buf_finish(&sets);
}

// ---- AAC ----

struct bits {
    const uint8_t *p;
    size_t n, at; // in bits
};

static unsigned take_bits(struct bits *b, unsigned count)
{
    unsigned value = 0;
    for (; count > 0; count--, b->at++) {
        value = value << 1 | (b->at < b->n ? (unsigned)b->p[b->at / 8] >> (7 - b->at % 8) & 1U : 0);
    }
    return value;
}

// The AudioSpecificConfig out of a StreamMuxConfig of one program with one layer (ISO/IEC 14496-3, 1.7.3),
// AAC-LC with or without SBR. NULL for anything more elaborate.
static struct gtv_bytes *latm_config(const uint8_t *data, size_t n)
{
    struct bits b = {data, n * 8, 0};
    bool plain = take_bits(&b, 1) == 0 && take_bits(&b, 1) == 1 && take_bits(&b, 6) == 0 &&
                 take_bits(&b, 4) == 0 && take_bits(&b, 3) == 0;
    struct bits look = b;
    unsigned type = take_bits(&look, 5), rate = take_bits(&look, 4);
    unsigned count = type == 2 ? 16 : type == 5 || type == 29 ? 25 : 0;
    if (!plain || count == 0 || rate == 15 || b.at + count > b.n) {
        return NULL;
    }
    struct gtv_bytes *config = gtv_bytes_create(4);
    if (config == NULL) {
        return NULL;
    }
    for (unsigned left = count; left > 0;) {
        unsigned now = left < 8 ? left : 8;
        config->data[config->len++] = (uint8_t)(take_bits(&b, now) << (8 - now));
        left -= now;
    }
    return config;
}

static void read_aac(struct gtv_sdp_track *t, struct gtv_str fmtp)
{
    uint8_t config[CONFIG_MAX];
    ptrdiff_t n = hex_decode(fmtp_value(fmtp, "config"), config, sizeof config);
    if (t->latm) {
        t->config = n > 0 && fmtp_number(fmtp, "cpresent", 1, 1) == 0 ? latm_config(config, (size_t)n) : NULL;
    } else {
        bool low = gtv_str_ieq(fmtp_value(fmtp, "mode"), GTV_STR("AAC-lbr"));
        t->size_length = fmtp_number(fmtp, "sizelength", 32, low ? 6 : 13);
        t->index_length = fmtp_number(fmtp, "indexlength", 32, low ? 2 : 3);
        t->index_delta_length = fmtp_number(fmtp, "indexdeltalength", 32, low ? 2 : 3);
        t->config = n >= 2 ? gtv_bytes_copy(config, (size_t)n) : NULL;
    }
    if (t->config == NULL || (!t->latm && t->size_length == 0)) {
        t->codec = GTV_CODEC_NONE;
    }
}

// ---- Parsing ----

struct encoding {
    const char *name;
    enum gtv_sdp_kind kind;
    enum gtv_codec codec;
    int static_type; // RFC 3551, table 4; -1: none
    uint32_t clock;  // of the static type
};

static const struct encoding encodings[] = {
    {"H264", GTV_SDP_VIDEO, GTV_CODEC_H264, -1, 90000},
    {"H265", GTV_SDP_VIDEO, GTV_CODEC_H265, -1, 90000},
    {"HEVC", GTV_SDP_VIDEO, GTV_CODEC_H265, -1, 90000},
    {"JPEG", GTV_SDP_VIDEO, GTV_CODEC_NONE, 26, 90000},
    {"MPV", GTV_SDP_VIDEO, GTV_CODEC_NONE, 32, 90000},
    {"MPEG4-GENERIC", GTV_SDP_AUDIO, GTV_CODEC_AAC, -1, 0},
    {"MP4A-LATM", GTV_SDP_AUDIO, GTV_CODEC_AAC, -1, 0},
    {"OPUS", GTV_SDP_AUDIO, GTV_CODEC_OPUS, -1, 48000},
    {"PCMU", GTV_SDP_AUDIO, GTV_CODEC_PCMU, 0, 8000},
    {"PCMA", GTV_SDP_AUDIO, GTV_CODEC_PCMA, 8, 8000},
    {"G722", GTV_SDP_AUDIO, GTV_CODEC_NONE, 9, 8000},
    {"L16", GTV_SDP_AUDIO, GTV_CODEC_NONE, 11, 44100},
    {"MPA", GTV_SDP_AUDIO, GTV_CODEC_NONE, 14, 90000},
};
enum { ENCODING_COUNT = sizeof encodings / sizeof encodings[0] };

static const struct encoding *find_encoding(enum gtv_sdp_kind kind, struct gtv_str name)
{
    for (size_t i = 0; i < ENCODING_COUNT; i++) {
        if (encodings[i].kind == kind && gtv_str_ieq(name, gtv_str_of(encodings[i].name))) {
            return &encodings[i];
        }
    }
    return NULL;
}

static void copy_upper(char *out, size_t cap, struct gtv_str text)
{
    size_t n = text.n < cap - 1 ? text.n : cap - 1;
    for (size_t i = 0; i < n; i++) {
        char c = text.p[i];
        // It ends up in sentences and logs.
        out[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c > ' ' && c < 0x7f ? c : '?';
    }
    out[n] = '\0';
}

// "96 H264/90000" or "97 MPEG4-GENERIC/48000/2".
static bool read_rtpmap(struct gtv_str value, struct gtv_sdp_track *t, int *type)
{
    int64_t number = 0, clock = 0, channels = 1;
    struct gtv_str rest = gtv_str_trim(value), pt = gtv_str_cut(&rest, ' ');
    rest = gtv_str_trim(rest);
    struct gtv_str name = gtv_str_cut(&rest, '/'), rate = gtv_str_cut(&rest, '/');
    if (!gtv_parse_int(pt, 0, 127, &number) || name.n == 0) {
        return false;
    }
    const struct encoding *known = find_encoding(t->kind, name);
    if (!gtv_parse_int(gtv_str_trim(rate), 1, 10000000, &clock)) {
        clock = known != NULL && known->clock > 0 ? known->clock : 90000;
    }
    if (rest.n > 0 && !gtv_parse_int(gtv_str_trim(rest), 1, 64, &channels)) {
        channels = 1;
    }
    *type = (int)number;
    t->codec = known != NULL ? known->codec : GTV_CODEC_NONE;
    t->clock = (uint32_t)clock;
    t->channels = (int)channels;
    t->latm = known != NULL && strcmp(known->name, "MP4A-LATM") == 0;
    copy_upper(t->encoding, sizeof t->encoding, name);
    return true;
}

// What "m=" begins, up to the next one.
struct section {
    struct gtv_str media; // behind "m="
    struct gtv_str lines;
};

static bool next_line(struct gtv_str *text, struct gtv_str *line)
{
    if (text->n == 0) {
        return false;
    }
    *line = gtv_str_cut(text, '\n');
    while (line->n > 0 && (line->p[line->n - 1] == '\r' || line->p[line->n - 1] == '\0')) {
        line->n--;
    }
    return true;
}

// The value of "a=NAME:" when the line is one.
static bool attribute(struct gtv_str line, struct gtv_str prefix, struct gtv_str *value)
{
    if (!gtv_str_starts(line, prefix)) {
        return false;
    }
    *value = gtv_str_trim((struct gtv_str){line.p + prefix.n, line.n - prefix.n});
    return true;
}

static bool listed(struct gtv_str types, int type)
{
    while (types.n > 0) {
        int64_t number = 0;
        if (gtv_parse_int(gtv_str_cut(&types, ' '), 0, 127, &number) && number == type) {
            return true;
        }
    }
    return false;
}

// The first payload type of the list that can be carried, else the first of all.
static void choose_type(const struct section *s, struct gtv_str types, struct gtv_sdp_track *t)
{
    int64_t first = 0;
    struct gtv_str rest = types, lines = s->lines, line, value;
    bool any = gtv_parse_int(gtv_str_cut(&rest, ' '), 0, 127, &first);
    t->payload_type = (uint8_t)first;
    for (size_t i = 0; any && i < ENCODING_COUNT; i++) {
        if (encodings[i].static_type == (int)first && encodings[i].kind == t->kind) {
            t->codec = encodings[i].codec;
            t->clock = encodings[i].clock;
            snprintf(t->encoding, sizeof t->encoding, "%s", encodings[i].name);
        }
    }
    while (next_line(&lines, &line)) {
        struct gtv_sdp_track mapped = {.kind = t->kind};
        int type = -1;
        if (!attribute(line, GTV_STR("a=rtpmap:"), &value) || !read_rtpmap(value, &mapped, &type) ||
            !listed(types, type)) {
            continue;
        }
        if (type == (int)first ? t->codec == GTV_CODEC_NONE
                               : t->codec == GTV_CODEC_NONE && mapped.codec != GTV_CODEC_NONE) {
            *t = mapped;
            t->payload_type = (uint8_t)type;
        }
    }
}

static void read_track(const struct section *s, struct gtv_sdp_track *t)
{
    struct gtv_str rest = s->media, lines = s->lines, line, value, fmtp = {0};
    struct gtv_str kind = gtv_str_cut(&rest, ' ');
    gtv_str_cut(&rest, ' '); // port
    struct gtv_str profile = gtv_str_cut(&rest, ' ');
    *t = (struct gtv_sdp_track){.kind = gtv_str_eq(kind, GTV_STR("video"))   ? GTV_SDP_VIDEO
                                        : gtv_str_eq(kind, GTV_STR("audio")) ? GTV_SDP_AUDIO
                                                                             : GTV_SDP_OTHER,
                                .clock = 90000,
                                .channels = 1};
    choose_type(s, gtv_str_trim(rest), t);
    if (!gtv_str_starts(profile, GTV_STR("RTP/AVP"))) {
        t->codec = GTV_CODEC_NONE;
    }
    while (next_line(&lines, &line)) {
        if (attribute(line, GTV_STR("a=control:"), &value)) {
            if (!gtv_str_copy(t->control, sizeof t->control, value)) {
                t->codec = GTV_CODEC_NONE;
            }
        } else if (attribute(line, GTV_STR("a=fmtp:"), &value)) {
            int64_t type = 0;
            if (gtv_parse_int(gtv_str_cut(&value, ' '), 0, 127, &type) && type == t->payload_type) {
                fmtp = value;
            }
        }
    }
    if (t->codec == GTV_CODEC_H264 || t->codec == GTV_CODEC_H265) {
        read_video(t, fmtp);
    } else if (t->codec == GTV_CODEC_AAC) {
        read_aac(t, fmtp);
    }
}

bool gtv_sdp_parse(struct gtv_str text, struct gtv_sdp *out, struct gtv_error *err)
{
    *out = (struct gtv_sdp){0};
    struct section current = {0};
    struct gtv_str line, value;
    bool in_media = false, any = false;
    size_t lines = 0;
    while (next_line(&text, &line)) {
        if (++lines > GTV_SDP_LINES_MAX) {
            gtv_error_set(err, GTV_E_TOO_LARGE, "", "the description has too many lines");
            return false;
        }
        bool media = attribute(line, GTV_STR("m="), &value);
        any |= media || gtv_str_starts(line, GTV_STR("v="));
        if (media) {
            if (in_media && out->count < GTV_SDP_TRACKS_MAX) {
                read_track(&current, &out->tracks[out->count++]);
            }
            in_media = true;
            current = (struct section){value, {text.p, 0}};
        } else if (in_media) {
            current.lines.n = (size_t)(line.p + line.n - current.lines.p);
        } else if (attribute(line, GTV_STR("a=control:"), &value) &&
                   !gtv_str_copy(out->control, sizeof out->control, value)) {
            out->control[0] = '\0';
        }
    }
    if (in_media && out->count < GTV_SDP_TRACKS_MAX) {
        read_track(&current, &out->tracks[out->count++]);
    }
    if (!any) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "", "this is no session description");
    }
    return any;
}

void gtv_sdp_finish(struct gtv_sdp *s)
{
    for (size_t i = 0; i < s->count; i++) {
        gtv_bytes_unref(s->tracks[i].sets);
        gtv_bytes_unref(s->tracks[i].config);
    }
    *s = (struct gtv_sdp){0};
}

// ---- Writing ----

static void put_base64(struct gtv_buf *out, struct gtv_str data)
{
    char text[SET_MAX * 4 / 3 + 8];
    if (data.n > SET_MAX) {
        out->failed = true;
        return;
    }
    int n = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)data.p, (int)data.n);
    gtv_buf_append(out, text, (size_t)n);
}

// The next set of `type` behind *at; sets are stored behind their lengths.
static bool next_set(const struct gtv_bytes *sets, size_t *at, struct gtv_str *set)
{
    if (sets == NULL || sets->len - *at < 4) {
        return false;
    }
    const uint8_t *p = sets->data + *at;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n == 0 || n > sets->len - *at - 4) {
        return false;
    }
    *set = (struct gtv_str){(const char *)p + 4, n};
    *at += 4 + n;
    return true;
}

// `before`, then all sets of this type, with commas; nothing where there are none. type < 0: of any type.
static void put_sets(struct gtv_buf *out, const struct gtv_sdp_track *t, int type, const char *before)
{
    size_t at = 0;
    struct gtv_str set;
    const char *separator = before;
    while (next_set(t->sets, &at, &set)) {
        if (type < 0 || ((uint8_t)set.p[0] >> 1 & 0x3f) == type) {
            gtv_buf_puts(out, separator);
            put_base64(out, set);
            separator = ",";
        }
    }
}

static void put_h264(struct gtv_buf *out, const struct gtv_sdp_track *t)
{
    gtv_buf_printf(out, "a=rtpmap:%u H264/90000\r\na=fmtp:%u packetization-mode=1", t->payload_type,
                   t->payload_type);
    size_t at = 0;
    struct gtv_str set;
    while (next_set(t->sets, &at, &set)) {
        const uint8_t *p = (const uint8_t *)set.p;
        if ((p[0] & 0x1f) == 7 && set.n >= 4) {
            gtv_buf_printf(out, "; profile-level-id=%02X%02X%02X", p[1], p[2], p[3]);
            break;
        }
    }
    put_sets(out, t, -1, "; sprop-parameter-sets=");
    gtv_buf_puts(out, "\r\n");
}

static void put_h265(struct gtv_buf *out, const struct gtv_sdp_track *t)
{
    gtv_buf_printf(out, "a=rtpmap:%u H265/90000\r\n", t->payload_type);
    if (t->sets != NULL) {
        gtv_buf_printf(out, "a=fmtp:%u ", t->payload_type);
        put_sets(out, t, 32, "sprop-vps=");
        put_sets(out, t, 33, "; sprop-sps=");
        put_sets(out, t, 34, "; sprop-pps=");
        gtv_buf_puts(out, "\r\n");
    }
}

static void put_aac(struct gtv_buf *out, const struct gtv_sdp_track *t)
{
    gtv_buf_printf(out,
                   "a=rtpmap:%u mpeg4-generic/%u/%d\r\n"
                   "a=fmtp:%u profile-level-id=1; streamtype=5; mode=AAC-hbr; sizelength=13; indexlength=3; "
                   "indexdeltalength=3; config=",
                   t->payload_type, t->clock, t->channels, t->payload_type);
    for (size_t i = 0; t->config != NULL && i < t->config->len; i++) {
        gtv_buf_printf(out, "%02x", t->config->data[i]);
    }
    gtv_buf_puts(out, "\r\n");
}

static void put_track(struct gtv_buf *out, const struct gtv_sdp_track *t)
{
    gtv_buf_printf(out, "m=%s 0 RTP/AVP %u\r\n", t->kind == GTV_SDP_VIDEO ? "video" : "audio",
                   t->payload_type);
    switch (t->codec) {
    case GTV_CODEC_H264:
        put_h264(out, t);
        break;
    case GTV_CODEC_H265:
        put_h265(out, t);
        break;
    case GTV_CODEC_AAC:
        put_aac(out, t);
        break;
    case GTV_CODEC_OPUS:
        gtv_buf_printf(out, "a=rtpmap:%u opus/48000/2\r\na=fmtp:%u sprop-stereo=%d\r\n", t->payload_type,
                       t->payload_type, t->channels == 2);
        break;
    default:
        gtv_buf_printf(out, "a=rtpmap:%u %s/%u/%d\r\n", t->payload_type,
                       t->codec == GTV_CODEC_PCMA ? "PCMA" : "PCMU", t->clock, t->channels);
        break;
    }
    gtv_buf_printf(out, "a=control:%s\r\n", t->control);
}

void gtv_sdp_write(struct gtv_buf *out, const struct gtv_sdp *s, const char *name, const char *address)
{
    const char *family = strchr(address, ':') != NULL ? "IP6" : "IP4";
    gtv_buf_printf(out, "v=0\r\no=- 0 0 IN %s %s\r\ns=", family, address);
    size_t from = out->len;
    gtv_buf_puts(out, name[0] != '\0' ? name : " ");
    for (size_t i = from; i < out->len; i++) {
        if (out->data[i] == '\r' || out->data[i] == '\n') {
            out->data[i] = ' ';
        }
    }
    gtv_buf_printf(out, "\r\nc=IN %s %s\r\nt=0 0\r\n", family, address);
    if (s->control[0] != '\0') {
        gtv_buf_printf(out, "a=control:%s\r\n", s->control);
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->tracks[i].codec != GTV_CODEC_NONE) {
            put_track(out, &s->tracks[i]);
        }
    }
}

bool gtv_sdp_control_url(struct gtv_str base, struct gtv_str control, char *out, size_t cap)
{
    int n;
    if (control.n == 0 || gtv_str_eq(control, GTV_STR("*"))) {
        n = snprintf(out, cap, GTV_STR_FMT, GTV_STR_ARG(base));
    } else if (memmem(control.p, control.n, "://", 3) != NULL) {
        n = snprintf(out, cap, GTV_STR_FMT, GTV_STR_ARG(control));
    } else {
        // Behind the base, with one slash between: so cameras mean it, also where the base ends with a query.
        bool slash = base.n > 0 && base.p[base.n - 1] == '/';
        if (slash && control.p[0] == '/') {
            base.n--;
        }
        bool needs = !slash && control.p[0] != '/' && control.p[0] != '?';
        n = snprintf(out, cap, GTV_STR_FMT "%s" GTV_STR_FMT, GTV_STR_ARG(base), needs ? "/" : "",
                     GTV_STR_ARG(control));
    }
    return n >= 0 && (size_t)n < cap;
}
