// Comma-separated values as RFC 4180 has them, and as spreadsheets write them: the separator may be a
// semicolon, lines may end in LF or CRLF, a byte order mark is skipped, a quoted field may hold separators,
// line ends and doubled quotes. Pure; works in place.
#ifndef GTV_STREAMING_CSV_H
#define GTV_STREAMING_CSV_H

#include "lib/base/str.h"

enum { GTV_CSV_FIELDS_MAX = 64 };

struct gtv_csv {
    char *at, *end;
    char separator;
    size_t line; // of the next record, from 1
};

enum gtv_csv_result { GTV_CSV_RECORD, GTV_CSV_END, GTV_CSV_BROKEN };

// text is changed while it is read and must outlive the fields. The separator is the one of , ; and tab that
// the first line has most of outside of quotes.
void gtv_csv_begin(struct gtv_csv *csv, char *text, size_t n);

struct gtv_csv_record {
    struct gtv_str field[GTV_CSV_FIELDS_MAX]; // slices of the text, quotes and outer blanks taken away
    size_t count;
    size_t line; // where it begins
};

// The next record that is not empty. BROKEN: *err says why (a quote that is never closed, text after a
// closing quote, too many fields, a NUL); reading goes on with the next line, except after an open quote.
enum gtv_csv_result gtv_csv_next(struct gtv_csv *csv, struct gtv_csv_record *out,
                                 struct gtv_error *err) GTV_WARN_UNUSED;

#endif
