// Borrowed string slices and strict number parsing.
#ifndef GTV_BASE_STR_H
#define GTV_BASE_STR_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Bytes that somebody else owns; not NUL-terminated. p may be NULL when n is 0.
struct gtv_str {
    const char *p;
    size_t n;
};

#define GTV_STR(literal) ((struct gtv_str){(literal), sizeof(literal) - 1})
#define GTV_STR_FMT      "%.*s"
#define GTV_STR_ARG(s)   (int)(s).n, (s).p

static inline struct gtv_str gtv_str_of(const char *cstr)
{
    return (struct gtv_str){cstr, cstr ? strlen(cstr) : 0};
}

bool gtv_str_eq(struct gtv_str a, struct gtv_str b);
bool gtv_str_ieq(struct gtv_str a, struct gtv_str b); // ASCII case-insensitive
bool gtv_str_starts(struct gtv_str s, struct gtv_str prefix);
bool gtv_str_ends(struct gtv_str s, struct gtv_str suffix);
struct gtv_str gtv_str_trim(struct gtv_str s); // without spaces and tabs at both ends
// Position of c in s, or -1.
ptrdiff_t gtv_str_find(struct gtv_str s, char c);
// Cuts s at the first sep: returns what is before it and leaves in *s what follows (all of s, and empty,
// without one).
struct gtv_str gtv_str_cut(struct gtv_str *s, char sep);

// Whole string, optional sign, decimal, within [min, max]; anything else returns false and leaves *out alone.
bool gtv_parse_int(struct gtv_str s, int64_t min, int64_t max, int64_t *out) GTV_WARN_UNUSED;
bool gtv_parse_double(struct gtv_str s, double min, double max, double *out) GTV_WARN_UNUSED;
bool gtv_parse_bool(struct gtv_str s, bool *out) GTV_WARN_UNUSED; // true/false, 1/0, yes/no, on/off, any case

// Copies s into dst with a NUL; false (and an empty dst) when it does not fit.
bool gtv_str_copy(char *dst, size_t cap, struct gtv_str s) GTV_WARN_UNUSED;

// True for well-formed UTF-8 (RFC 3629: no surrogates, no over-long forms).
bool gtv_utf8_valid(struct gtv_str s);
// Length (1 to 4) of the well-formed character that s begins with, or 0 when there is none.
size_t gtv_utf8_next(struct gtv_str s);

#endif
