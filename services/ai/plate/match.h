// Watch-lists: many entries against one reading. An entry is a plate, or a pattern with * (any signs, also
// none) and ? (one sign); a plate may also be met by what the recogniser takes for it.
#ifndef GTV_AI_PLATE_MATCH_H
#define GTV_AI_PLATE_MATCH_H

#include "lib/contract/plate.h"
#include "services/ai/plate/decode.h"

enum {
    GTV_PLATE_PATTERN_MAX = 16,     // signs and wildcards of an entry, without spaces, dashes and dots
    GTV_PLATE_MATCHER_MAX = 200000, // entries of one matcher
    GTV_PLATE_SLIPS_MAX = 4,        // differences of one match
    GTV_PLATE_WHY_CAP = 256,
};
// Sum of the costs of a match's differences, in nats, up to which it is one unless the entry says otherwise:
// one confusion that happens, or two that happen often.
#define GTV_PLATE_TOLERANCE 5.5

struct gtv_plate_watch {
    const char *pattern; // upper or lower case; spaces, dashes and dots are left out
    bool exact;          // no confusions: the plate itself, its converted form, or the pattern
    double tolerance;    // 0: GTV_PLATE_TOLERANCE
};

enum gtv_plate_match_kind {
    GTV_PLATE_MATCH_EXACT,     // the same text
    GTV_PLATE_MATCH_CONVERTED, // the same plate in its other form (lib/contract/plate.h)
    GTV_PLATE_MATCH_WILDCARD,
    GTV_PLATE_MATCH_SIMILAR, // with differences, each with its cost
};
extern const char *const gtv_plate_match_names[]; // "exact", "converted", "wildcard", "similar"

struct gtv_plate_slip {
    int position;      // of the read text, from 0; where a sign is missing: of the one after it
    char listed, read; // 0: there is none (a sign too many, or one too few)
    double cost;       // nats
};

struct gtv_plate_match {
    size_t entry; // index into what the matcher was made of
    enum gtv_plate_match_kind kind;
    double cost; // 0 but for similar ones
    size_t slip_count;
    struct gtv_plate_slip slips[GTV_PLATE_SLIPS_MAX];
};

struct gtv_plate_matcher; // does not change once it is made: any number of threads

// The entries are copied. NULL with GTV_E_INVALID, and the number of the entry at fault in *bad (may be
// NULL), when one has other signs, none, or too many, or nothing but wildcards; GTV_E_TOO_LARGE with too many
// entries.
struct gtv_plate_matcher *gtv_plate_matcher_create(const struct gtv_plate_watch *entries, size_t count,
                                                   size_t *bad, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_plate_matcher_destroy(struct gtv_plate_matcher *m); // NULL is accepted

// All entries that the read text meets, the best first, at most cap. chars are the reading's probabilities
// (NULL: not known): where it was in doubt itself, a difference costs less. Five thousand entries take some
// 0.2 ms.
size_t gtv_plate_matcher_find(const struct gtv_plate_matcher *m, const char *text,
                              const struct gtv_plate_chars *chars, struct gtv_plate_match *out, size_t cap);

// Why, in one sentence without a full stop: "B of the list was read as 8 at position 4 (cost 3.9 of 5.5)".
const char *gtv_plate_match_why(const struct gtv_plate_matcher *m, const struct gtv_plate_match *match,
                                char out[GTV_PLATE_WHY_CAP]);

#endif
