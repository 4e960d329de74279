#include "services/media/pathconf.h"

#include "lib/base/url.h"
#include "services/media/dial.h"
#include "services/media/duration.h"
#include "services/media/gojson.h"
#include "services/media/pattern.h"
#include "services/media/record/pattern.h"
#include "services/media/size.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

enum kind { KIND_STRING, KIND_BOOL, KIND_INT, KIND_DURATION, KIND_SIZE, KIND_CHOICE, KIND_FIXED };

struct field {
    const char *name;
    enum kind kind;
    size_t offset;
    size_t cap;       // of strings, NUL included
    const char *text; // of choices: "a|b", by number; of fixed ones: the JSON of their only value
    const char *word; // of choices: how MediaMTX calls the thing when it is wrong
};

#define AT(member) offsetof(struct gtv_pathconf, member)
#define FIXED(name, json)                                                                                    \
    {                                                                                                        \
        name, KIND_FIXED, 0, 0, json, NULL                                                                   \
    }

// One table for parsing and writing, in the order of MediaMTX's answers. Fixed ones are settings of MediaMTX
// that this node has no use for: shown with MediaMTX's default, and accepted with nothing else, so that a
// whole answer of "get" can be sent back and nothing is accepted and ignored.
static const struct field fields[] = {
    {"source", KIND_STRING, AT(source), GTV_SOURCE_MAX + 1, NULL, NULL},
    {"sourceFingerprint", KIND_STRING, AT(source_fingerprint), GTV_FINGERPRINT_MAX + 1, NULL, NULL},
    {"sourceOnDemand", KIND_BOOL, AT(source_on_demand), 0, NULL, NULL},
    {"sourceOnDemandStartTimeout", KIND_DURATION, AT(start_timeout_ms), 0, NULL, NULL},
    {"sourceOnDemandCloseAfter", KIND_DURATION, AT(close_after_ms), 0, NULL, NULL},
    {"maxReaders", KIND_INT, AT(max_readers), 0, NULL, NULL},
    FIXED("srtReadPassphrase", "\"\""),
    FIXED("useAbsoluteTimestamp", "false"),
    FIXED("alwaysAvailable", "false"),
    FIXED("alwaysAvailableFile", "\"\""),
    FIXED("alwaysAvailableTracks", "[]"),
    {"record", KIND_BOOL, AT(record), 0, NULL, NULL},
    {"recordPath", KIND_STRING, AT(record_path), GTV_RECORD_PATH_MAX + 1, NULL, NULL},
    {"recordFormat", KIND_CHOICE, AT(record_format), 0, "fmp4|mpegts", "record format"},
    {"recordPartDuration", KIND_DURATION, AT(record_part_ms), 0, NULL, NULL},
    {"recordMaxPartSize", KIND_SIZE, AT(record_max_part), 0, NULL, NULL},
    {"recordSegmentDuration", KIND_DURATION, AT(record_segment_ms), 0, NULL, NULL},
    {"recordDeleteAfter", KIND_DURATION, AT(record_delete_after_ms), 0, NULL, NULL},
    FIXED("forward", "[]"),
    {"overridePublisher", KIND_BOOL, AT(override_publisher), 0, NULL, NULL},
    FIXED("srtPublishPassphrase", "\"\""),
    FIXED("rtspDemuxMpegts", "false"),
    {"rtspTransport", KIND_CHOICE, AT(rtsp_transport), 0, "automatic|udp|multicast|tcp", "protocol"},
    FIXED("rtspAnyPort", "false"),
    FIXED("rtspRangeType", "\"\""),
    FIXED("rtspRangeStart", "\"\""),
    FIXED("rtspUDPSourcePortRange", "[10000,65535]"),
    FIXED("rtpSDP", "\"\""),
    FIXED("sourceRedirect", "\"\""),
    FIXED("whepBearerToken", "\"\""),
    FIXED("whepSTUNGatherTimeout", "\"5s\""),
    FIXED("whepHandshakeTimeout", "\"10s\""),
    FIXED("whepTrackGatherTimeout", "\"2s\""),
    FIXED("rpiCameraCamID", "0"),
    FIXED("rpiCameraSecondary", "false"),
    FIXED("rpiCameraWidth", "1920"),
    FIXED("rpiCameraHeight", "1080"),
    FIXED("rpiCameraHFlip", "false"),
    FIXED("rpiCameraVFlip", "false"),
    FIXED("rpiCameraBrightness", "0"),
    FIXED("rpiCameraContrast", "1"),
    FIXED("rpiCameraSaturation", "1"),
    FIXED("rpiCameraSharpness", "1"),
    FIXED("rpiCameraExposure", "\"normal\""),
    FIXED("rpiCameraAWB", "\"auto\""),
    FIXED("rpiCameraAWBGains", "[0,0]"),
    FIXED("rpiCameraDenoise", "\"off\""),
    FIXED("rpiCameraShutter", "0"),
    FIXED("rpiCameraMetering", "\"centre\""),
    FIXED("rpiCameraGain", "0"),
    FIXED("rpiCameraEV", "0"),
    FIXED("rpiCameraROI", "\"\""),
    FIXED("rpiCameraHDR", "false"),
    FIXED("rpiCameraTuningFile", "\"\""),
    FIXED("rpiCameraMode", "\"\""),
    FIXED("rpiCameraFPS", "30"),
    FIXED("rpiCameraAfMode", "\"continuous\""),
    FIXED("rpiCameraAfRange", "\"normal\""),
    FIXED("rpiCameraAfSpeed", "\"normal\""),
    FIXED("rpiCameraLensPosition", "0"),
    FIXED("rpiCameraAfWindow", "\"\""),
    FIXED("rpiCameraFlickerPeriod", "0"),
    FIXED("rpiCameraTextOverlayEnable", "false"),
    FIXED("rpiCameraTextOverlay", "\"%Y-%m-%d %H:%M:%S - MediaMTX\""),
    FIXED("rpiCameraCodec", "\"auto\""),
    FIXED("rpiCameraIDRPeriod", "60"),
    FIXED("rpiCameraBitrate", "5000000"),
    FIXED("rpiCameraMJPEGQuality", "60"),
    FIXED("runOnInit", "\"\""),
    FIXED("runOnInitRestart", "false"),
    FIXED("runOnDemand", "\"\""),
    FIXED("runOnDemandRestart", "false"),
    FIXED("runOnDemandStartTimeout", "\"10s\""),
    FIXED("runOnDemandCloseAfter", "\"10s\""),
    FIXED("runOnUnDemand", "\"\""),
    FIXED("runOnAvailable", "\"\""),
    FIXED("runOnAvailableRestart", "false"),
    FIXED("runOnUnavailable", "\"\""),
    FIXED("runOnRead", "\"\""),
    FIXED("runOnReadRestart", "false"),
    FIXED("runOnUnread", "\"\""),
    FIXED("runOnRecordSegmentCreate", "\"\""),
    FIXED("runOnRecordSegmentComplete", "\"\""),
    // What MediaMTX lacks.
    {"recordQuota", KIND_SIZE, AT(record_quota), 0, NULL, NULL},
    {"audioTranscode", KIND_BOOL, AT(audio_transcode), 0, NULL, NULL},
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };
_Static_assert((int)FIELD_COUNT <= (int)GTV_PATHCONF_FIELDS_MAX, "every field has its bit");

static bool is_given(const struct gtv_pathconf *c, size_t i)
{
    return (c->given[i / 64] >> (i % 64) & 1) != 0;
}

void gtv_pathconf_defaults(struct gtv_pathconf *c, struct gtv_str name)
{
    *c = (struct gtv_pathconf){.source = "publisher",
                               .start_timeout_ms = 10000,
                               .close_after_ms = 10000,
                               .override_publisher = true,
                               .record_path = "./recordings/%path/%Y-%m-%d_%H-%M-%S-%f",
                               .record_part_ms = 1000,
                               .record_max_part = INT64_C(50) << 20,
                               .record_segment_ms = 3600000,
                               .record_delete_after_ms = 86400000};
    if (!gtv_str_copy(c->name, sizeof c->name, name)) {
        c->name[0] = '\0'; // the check of the name refuses it
    }
}

static size_t width(const struct field *f)
{
    return f->kind == KIND_STRING ? f->cap : f->kind == KIND_BOOL ? sizeof(bool) : sizeof(int64_t);
}

void gtv_pathconf_inherit(struct gtv_pathconf *c, const struct gtv_pathconf *defaults)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct field *f = &fields[i];
        if (f->kind != KIND_FIXED && !is_given(c, i)) {
            memcpy((char *)c + f->offset, (const char *)defaults + f->offset, width(f));
        }
    }
}

bool gtv_pathconf_is_pattern(struct gtv_str name)
{
    return (name.n > 0 && name.p[0] == '~') || gtv_str_eq(name, GTV_STR("all")) ||
           gtv_str_eq(name, GTV_STR("all_others"));
}

// "<before>'<value>'<after>"; the value may be a URL with credentials.
static bool fail(struct gtv_error *err, const char *field, const char *before, const char *value,
                 const char *after)
{
    char shown[GTV_SOURCE_MAX + 8];
    gtv_redact(gtv_str_of(value), shown, sizeof shown);
    gtv_error_set(err, GTV_E_BAD_REQUEST, field, "%s'%s'%s", before, shown, after);
    return false;
}

// The number of text in "a|b|c", or -1.
static int choice_number(const char *choices, struct gtv_str text)
{
    struct gtv_str rest = gtv_str_of(choices);
    for (int i = 0; rest.n > 0; i++) {
        if (gtv_str_eq(gtv_str_cut(&rest, '|'), text)) {
            return i;
        }
    }
    return -1;
}

static struct gtv_str choice_text(const char *choices, int64_t number)
{
    struct gtv_str rest = gtv_str_of(choices), text = gtv_str_cut(&rest, '|');
    while (number-- > 0) {
        text = gtv_str_cut(&rest, '|');
    }
    return text;
}

static bool set_source(struct gtv_pathconf *c, struct gtv_str text, struct gtv_error *err)
{
    struct gtv_url url;
    if (gtv_url_parse(text, &url) && url.has_user && !url.has_pass && gtv_str_eq(url.user, GTV_STR("***"))) {
        // What we answered came back: the credentials that we have still hold, if the rest is unchanged.
        char known[GTV_SOURCE_MAX + 8];
        size_t n = gtv_redact(gtv_str_of(c->source), known, sizeof known);
        if (gtv_str_eq((struct gtv_str){known, n}, text)) {
            return true;
        }
        gtv_error_set(err, GTV_E_BAD_REQUEST, "source",
                      "'source' has *** in place of its credentials: give user and password again");
        return false;
    }
    if (!gtv_str_copy(c->source, sizeof c->source, text)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "source", "'source' is longer than %d bytes", GTV_SOURCE_MAX);
        return false;
    }
    return true;
}

static bool set_string(struct gtv_pathconf *c, const struct field *f, struct gtv_str text,
                       struct gtv_error *err)
{
    char *at = (char *)c + f->offset;
    if (memchr(text.p, 0, text.n) != NULL) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, f->name, "'%s' contains a NUL character", f->name);
        return false;
    }
    if (f->offset == AT(source)) {
        return set_source(c, text, err);
    }
    if (!gtv_str_copy(at, f->cap, text)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, f->name, "'%s' is too long", f->name);
        return false;
    }
    return true;
}

static bool set_choice(struct gtv_pathconf *c, const struct field *f, struct gtv_str text,
                       struct gtv_error *err)
{
    int number = choice_number(f->text, text);
    if (number < 0) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, f->name, "invalid %s '%.*s'", f->word,
                      (int)(text.n < 80 ? text.n : 80), text.p);
        return false;
    }
    int64_t value = number;
    memcpy((char *)c + f->offset, &value, sizeof value);
    return true;
}

static bool set_duration(struct gtv_pathconf *c, const struct field *f, struct gtv_str text,
                         struct gtv_error *err)
{
    int64_t ms = 0;
    if (!gtv_duration_parse(text, &ms, err)) {
        return false;
    }
    if (ms < 0) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, f->name, "'%s' can't be negative", f->name);
        return false;
    }
    memcpy((char *)c + f->offset, &ms, sizeof ms);
    return true;
}

static bool set_size(struct gtv_pathconf *c, const struct field *f, struct gtv_str text,
                     struct gtv_error *err)
{
    int64_t bytes = 0;
    if (!gtv_size_parse(text, &bytes, err)) {
        return false;
    }
    memcpy((char *)c + f->offset, &bytes, sizeof bytes);
    return true;
}

// Numbers by their value (1 and 1.0), durations by their length, all else as it stands.
static bool same_value(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_is_num(a) && yyjson_is_num(b)) {
        return yyjson_get_num(a) == yyjson_get_num(b);
    }
    int64_t left = 0, right = 1;
    if (yyjson_is_str(a) && yyjson_is_str(b) &&
        gtv_duration_parse((struct gtv_str){yyjson_get_str(a), yyjson_get_len(a)}, &left, NULL) &&
        gtv_duration_parse((struct gtv_str){yyjson_get_str(b), yyjson_get_len(b)}, &right, NULL)) {
        return left == right;
    }
    return yyjson_equals(a, b);
}

static const char *go_type(yyjson_val *v)
{
    return yyjson_is_bool(v)  ? "bool"
           : yyjson_is_str(v) ? "string"
           : yyjson_is_arr(v) ? "[]string"
                              : "float64";
}

static bool check_fixed(const struct field *f, yyjson_val *value, struct gtv_error *err)
{
    yyjson_doc *doc = yyjson_read(f->text, strlen(f->text), YYJSON_READ_NOFLAG);
    yyjson_val *only = yyjson_doc_get_root(doc);
    bool ok = same_value(value, only);
    if (!ok && yyjson_get_type(value) != yyjson_get_type(only)) {
        gtv_gojson_wrong_type(value, go_type(only), f->name, err);
    } else if (!ok) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, f->name,
                      "'%s' is not supported by this node: only its default, %s, is accepted", f->name,
                      f->text);
    }
    yyjson_doc_free(doc);
    return ok;
}

static bool set_field(struct gtv_pathconf *c, const struct field *f, yyjson_val *value, struct gtv_error *err)
{
    if (f->kind == KIND_FIXED) {
        return check_fixed(f, value, err);
    }
    if (f->kind == KIND_BOOL) {
        if (!yyjson_is_bool(value)) {
            return gtv_gojson_wrong_type(value, "bool", f->name, err);
        }
        *(bool *)((char *)c + f->offset) = yyjson_get_bool(value);
        return true;
    }
    if (f->kind == KIND_INT) {
        if (!yyjson_is_int(value)) {
            return gtv_gojson_wrong_type(value, "int", f->name, err);
        }
        if (yyjson_is_sint(value) || yyjson_get_uint(value) > INT32_MAX) {
            gtv_error_set(err, GTV_E_BAD_REQUEST, f->name, "'%s' must be between 0 and %d", f->name,
                          INT32_MAX);
            return false;
        }
        int64_t number = (int64_t)yyjson_get_uint(value);
        memcpy((char *)c + f->offset, &number, sizeof number);
        return true;
    }
    if (!yyjson_is_str(value)) {
        return gtv_gojson_wrong_type(value, "string", f->name, err);
    }
    struct gtv_str text = {yyjson_get_str(value), yyjson_get_len(value)};
    switch (f->kind) {
    case KIND_DURATION:
        return set_duration(c, f, text, err);
    case KIND_SIZE:
        return set_size(c, f, text, err);
    case KIND_CHOICE:
        return set_choice(c, f, text, err);
    default:
        return set_string(c, f, text, err);
    }
}

static void name_field(struct gtv_error *err, const char *name)
{
    if (err != NULL && err->field[0] == '\0') {
        snprintf(err->field, sizeof err->field, "%s", name);
    }
}

bool gtv_pathconf_apply_object(struct gtv_pathconf *c, yyjson_val *object, struct gtv_error *err)
{
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        struct gtv_str name = {yyjson_get_str(key), yyjson_get_len(key)};
        size_t f = 0;
        while (f < FIELD_COUNT && !gtv_str_eq(name, gtv_str_of(fields[f].name))) {
            f++;
        }
        // The answer of "get" may be sent back as it is.
        bool own_name =
            gtv_str_eq(name, GTV_STR("name")) &&
            gtv_str_eq((struct gtv_str){yyjson_get_str(value), yyjson_get_len(value)}, gtv_str_of(c->name));
        if (f == FIELD_COUNT && !own_name) {
            return gtv_gojson_unknown_field(name, err);
        }
        if (f < FIELD_COUNT && !yyjson_is_null(value)) {
            if (!set_field(c, &fields[f], value, err)) {
                name_field(err, fields[f].name);
                return false;
            }
            if (fields[f].kind != KIND_FIXED) {
                c->given[f / 64] |= UINT64_C(1) << (f % 64);
            }
        }
    }
    return true;
}

bool gtv_pathconf_apply(struct gtv_pathconf *c, struct gtv_str json, struct gtv_error *err)
{
    yyjson_doc *doc = gtv_gojson_read(json, err);
    if (doc == NULL) {
        return false;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool ok = yyjson_is_null(root) || (yyjson_is_obj(root) && gtv_pathconf_apply_object(c, root, err));
    if (!yyjson_is_null(root) && !yyjson_is_obj(root)) {
        ok = gtv_gojson_wrong_type(root, "map[string]json.RawMessage", NULL, err);
    }
    yyjson_doc_free(doc);
    return ok;
}

// libavformat takes settings of the socket out of the query: only what names the stream, and no listening.
static bool check_srt(const struct gtv_pathconf *c, const struct gtv_url *url, struct gtv_error *err)
{
    static const char *const known[] = {"streamid", "passphrase", "pbkeylen", "latency", "mode"};
    struct gtv_str rest = url->query;
    if (!url->has_port) {
        return fail(err, "source", "", c->source, " is not a valid URL");
    }
    while (rest.n > 0) {
        struct gtv_str value = gtv_str_cut(&rest, '&'), key = gtv_str_cut(&value, '=');
        bool ok = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            ok = ok || gtv_str_eq(key, gtv_str_of(known[i]));
        }
        if (!ok || (gtv_str_eq(key, GTV_STR("mode")) && !gtv_str_eq(value, GTV_STR("caller")))) {
            return fail(
                err, "source",
                "an srt source may have streamid, passphrase, pbkeylen, latency and mode=caller only: ",
                c->source, "");
        }
    }
    return true;
}

static bool check_source(const struct gtv_pathconf *c, struct gtv_error *err)
{
    struct gtv_str source = gtv_str_of(c->source);
    if (gtv_str_eq(source, GTV_STR("publisher"))) {
        if (c->source_on_demand) {
            gtv_error_set(err, GTV_E_BAD_REQUEST, "sourceOnDemand",
                          "'sourceOnDemand' is useless when source is 'publisher'");
            return false;
        }
        return true;
    }
    if (gtv_pathconf_is_pulled(c)) {
        struct gtv_url url;
        if (!gtv_url_parse(source, &url)) {
            return fail(err, "source", "", c->source, " is not a valid URL");
        }
        return !gtv_str_eq(url.scheme, GTV_STR("srt")) || check_srt(c, &url, err);
    }
    static const char *const elsewhere[] = {"udp://",         "udp+mpegts://", "udp+rtp://",
                                            "unix+mpegts://", "unix+rtp://",   "whep://",
                                            "wheps://",       "redirect",      "rpiCamera"};
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        if (gtv_str_starts(source, gtv_str_of(elsewhere[i]))) {
            return fail(err, "source", "sources of this kind are not supported by this node: ", c->source,
                        "");
        }
    }
    return fail(err, "source", "invalid source: ", c->source, "");
}

static bool check_name(const struct gtv_pathconf *c, struct gtv_error *err)
{
    struct gtv_str name = gtv_str_of(c->name);
    struct gtv_error why = {0};
    if (name.n > 0 && name.p[0] == '~') {
        struct gtv_pattern *p = gtv_pattern_create((struct gtv_str){name.p + 1, name.n - 1}, err);
        gtv_pattern_destroy(p);
        return p != NULL;
    }
    if (!gtv_pathconf_is_pattern(name) && !gtv_name_check(name, &why)) {
        char message[sizeof why.message + GTV_NAME_MAX + 32];
        snprintf(message, sizeof message, "invalid path name '%s': %s", c->name, why.message);
        gtv_error_set(err, GTV_E_BAD_REQUEST, "name", "%s", message);
        return false;
    }
    return true;
}

static bool refuse(struct gtv_error *err, const char *field, const char *text)
{
    gtv_error_set(err, GTV_E_BAD_REQUEST, field, "%s", text);
    return false;
}

bool gtv_pathconf_check(const struct gtv_pathconf *c, struct gtv_error *err)
{
    bool has_path = strstr(c->record_path, "%path") != NULL;
    if (!check_name(c, err) || !check_source(c, err)) {
        return false;
    }
    if (gtv_pathconf_is_pattern(gtv_str_of(c->name)) && gtv_pathconf_is_pulled(c) && !c->source_on_demand) {
        return refuse(err, "sourceOnDemand",
                      "a path with a regular expression and a source that is dialled must have "
                      "'sourceOnDemand' set to true");
    }
    if (!has_path) {
        return refuse(err, "recordPath", "'recordPath' must contain %path");
    }
    if (c->record && !gtv_record_pattern_check(gtv_str_of(c->record_path), err)) {
        return false;
    }
    if (c->record && c->record_format != 0) {
        return refuse(err, "recordFormat", "'recordFormat' mpegts is not supported by this node: use fmp4");
    }
    return true;
}

static void write_field(const struct gtv_pathconf *c, const struct field *f, yyjson_mut_doc *doc,
                        yyjson_mut_val *object, bool redacted)
{
    const char *at = (const char *)c + f->offset;
    int64_t number = 0;
    if (f->kind != KIND_STRING && f->kind != KIND_BOOL && f->kind != KIND_FIXED) {
        memcpy(&number, at, sizeof number);
    }
    switch (f->kind) {
    case KIND_BOOL:
        yyjson_mut_obj_add_bool(doc, object, f->name, *(const bool *)at);
        break;
    case KIND_INT:
        yyjson_mut_obj_add_int(doc, object, f->name, number);
        break;
    case KIND_DURATION: {
        char text[GTV_DURATION_CAP];
        yyjson_mut_obj_add_strcpy(doc, object, f->name, gtv_duration_write(number, text));
        break;
    }
    case KIND_SIZE: {
        char text[GTV_SIZE_CAP];
        yyjson_mut_obj_add_strcpy(doc, object, f->name, gtv_size_write(number, text));
        break;
    }
    case KIND_FIXED:
        yyjson_mut_obj_add_val(doc, object, f->name, yyjson_mut_raw(doc, f->text));
        break;
    case KIND_CHOICE: {
        struct gtv_str text = choice_text(f->text, number);
        yyjson_mut_obj_add_strncpy(doc, object, f->name, text.p, text.n);
        break;
    }
    case KIND_STRING: {
        char shown[GTV_SOURCE_MAX + 8];
        size_t n = redacted ? gtv_redact(gtv_str_of(at), shown, sizeof shown) : 0;
        yyjson_mut_obj_add_strncpy(doc, object, f->name, redacted ? shown : at, redacted ? n : strlen(at));
        break;
    }
    }
}

yyjson_mut_val *gtv_pathconf_write(const struct gtv_pathconf *c, yyjson_mut_doc *doc, bool redacted)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_strcpy(doc, object, "name", c->name);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        write_field(c, &fields[i], doc, object, redacted);
    }
    return object;
}

yyjson_mut_val *gtv_pathconf_write_given(const struct gtv_pathconf *c, yyjson_mut_doc *doc)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (is_given(c, i)) {
            write_field(c, &fields[i], doc, object, false);
        }
    }
    return object;
}

bool gtv_pathconf_equal(const struct gtv_pathconf *a, const struct gtv_pathconf *b)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct field *f = &fields[i];
        const char *left = (const char *)a + f->offset, *right = (const char *)b + f->offset;
        if (f->kind != KIND_FIXED &&
            (f->kind == KIND_STRING ? strcmp(left, right) != 0 : memcmp(left, right, width(f)) != 0)) {
            return false;
        }
    }
    return strcmp(a->name, b->name) == 0 && strcmp(a->conf_name, b->conf_name) == 0;
}

bool gtv_pathconf_is_rtsp(const struct gtv_pathconf *c)
{
    return gtv_str_starts(gtv_str_of(c->source), GTV_STR("rtsp://")) ||
           gtv_str_starts(gtv_str_of(c->source), GTV_STR("rtsps://"));
}

bool gtv_pathconf_is_pulled(const struct gtv_pathconf *c)
{
    struct gtv_str source = gtv_str_of(c->source);
    ptrdiff_t colon = gtv_str_find(source, ':');
    return gtv_pathconf_is_rtsp(c) ||
           (colon > 0 && gtv_dial_takes(source) && strncmp(c->source + colon, "://", 3) == 0);
}

bool gtv_pathconf_source_differs(const struct gtv_pathconf *a, const struct gtv_pathconf *b)
{
    return strcmp(a->source, b->source) != 0 || a->rtsp_transport != b->rtsp_transport ||
           strcmp(a->source_fingerprint, b->source_fingerprint) != 0 ||
           a->audio_transcode != b->audio_transcode;
}
