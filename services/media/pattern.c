#define PCRE2_CODE_UNIT_WIDTH 8
#include "services/media/pattern.h"

#include "lib/base/mem.h"

#include <pcre2.h>
#include <stdlib.h>

enum {
    EXPRESSION_MAX = 255,
    STEPS_MAX = 20000, // of one match, some milliseconds: an expression that backtracks cannot hold the loop
    DEPTH_MAX = 1000,
};

struct gtv_pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

struct gtv_pattern *gtv_pattern_create(struct gtv_str expression, struct gtv_error *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *compiled =
        expression.n > EXPRESSION_MAX
            ? NULL
            : pcre2_compile((PCRE2_SPTR)expression.p, expression.n, PCRE2_NEVER_UTF, &code, &at, NULL);
    if (compiled == NULL) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "invalid regular expression: %.*s",
                      (int)(expression.n < 200 ? expression.n : 200), expression.p);
        return NULL;
    }
    struct gtv_pattern *p = GTV_NEW(struct gtv_pattern);
    p->code = compiled;
    p->match = pcre2_match_data_create(GTV_PATTERN_GROUPS, NULL);
    p->limits = pcre2_match_context_create(NULL);
    if (p->match == NULL || p->limits == NULL) {
        abort(); // as every small allocation
    }
    pcre2_set_match_limit(p->limits, STEPS_MAX);
    pcre2_set_depth_limit(p->limits, DEPTH_MAX);
    return p;
}

void gtv_pattern_destroy(struct gtv_pattern *p)
{
    if (p == NULL) {
        return;
    }
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->match);
    pcre2_code_free(p->code);
    free(p);
}

bool gtv_pattern_match(const struct gtv_pattern *p, struct gtv_str subject,
                       struct gtv_str groups[GTV_PATTERN_GROUPS])
{
    int found = pcre2_match(p->code, (PCRE2_SPTR)(subject.n > 0 ? subject.p : ""), subject.n, 0, 0, p->match,
                            p->limits);
    if (found < 0) {
        return false;
    }
    if (groups == NULL) {
        return true;
    }
    size_t count = found == 0 ? GTV_PATTERN_GROUPS : (size_t)found; // 0: more groups than we keep
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(p->match);
    for (size_t i = 0; i < GTV_PATTERN_GROUPS; i++) {
        bool took_part = i < count && ends[2 * i] != PCRE2_UNSET;
        groups[i] = took_part ? (struct gtv_str){subject.p + ends[2 * i], ends[2 * i + 1] - ends[2 * i]}
                              : (struct gtv_str){NULL, 0};
    }
    return true;
}
