#include "services/streaming/csv.h"

static char guess_separator(const char *at, const char *end)
{
    size_t commas = 0, semicolons = 0, tabs = 0;
    bool quoted = false;
    for (; at < end && (quoted || *at != '\n'); at++) {
        if (*at == '"')
            quoted = !quoted;
        if (quoted)
            continue;
        commas += *at == ',';
        semicolons += *at == ';';
        tabs += *at == '\t';
    }
    return semicolons > commas && semicolons >= tabs ? ';' : tabs > commas ? '\t' : ',';
}

void gtv_csv_begin(struct gtv_csv *csv, char *text, size_t n)
{
    *csv = (struct gtv_csv){text, text + n, ',', 1};
    if (gtv_str_starts((struct gtv_str){text, n}, GTV_STR("\xef\xbb\xbf")))
        csv->at += 3;
    csv->separator = guess_separator(csv->at, csv->end);
}

static bool broken(struct gtv_error *err, const char *text)
{
    gtv_error_set(err, GTV_E_INVALID, NULL, "%s", text);
    return false;
}

static bool at_line_end(const struct gtv_csv *csv)
{
    return csv->at == csv->end || *csv->at == '\n' ||
           (*csv->at == '\r' && (csv->at + 1 == csv->end || csv->at[1] == '\n'));
}

static void skip_blanks(struct gtv_csv *csv)
{
    while (csv->at < csv->end && (*csv->at == ' ' || *csv->at == '\t') && *csv->at != csv->separator)
        csv->at++;
}

// After the opening quote. The text without its doubled quotes is moved to where it begins.
static bool quoted_field(struct gtv_csv *csv, struct gtv_str *out, struct gtv_error *err)
{
    char *begin = csv->at, *to = csv->at;
    for (;; csv->at++) {
        if (csv->at == csv->end)
            return broken(err, "a quote is opened and never closed");
        if (*csv->at == '\n')
            csv->line++;
        if (*csv->at == '"') {
            if (csv->at + 1 == csv->end || csv->at[1] != '"')
                break;
            csv->at++;
        }
        *to++ = *csv->at;
    }
    csv->at++;
    *out = (struct gtv_str){begin, (size_t)(to - begin)};
    skip_blanks(csv);
    if (!at_line_end(csv) && *csv->at != csv->separator)
        return broken(err, "there is text after a closing quote");
    return true;
}

static void plain_field(struct gtv_csv *csv, struct gtv_str *out)
{
    char *begin = csv->at;
    while (!at_line_end(csv) && *csv->at != csv->separator)
        csv->at++;
    *out = gtv_str_trim((struct gtv_str){begin, (size_t)(csv->at - begin)});
}

static void skip_line_end(struct gtv_csv *csv)
{
    if (csv->at < csv->end && *csv->at == '\r')
        csv->at++;
    if (csv->at < csv->end && *csv->at == '\n')
        csv->at++;
    csv->line++;
}

static bool record(struct gtv_csv *csv, struct gtv_csv_record *out, struct gtv_error *err)
{
    for (;;) {
        struct gtv_str field;
        skip_blanks(csv);
        if (csv->at < csv->end && *csv->at == '"') {
            csv->at++;
            if (!quoted_field(csv, &field, err))
                return false;
        } else {
            plain_field(csv, &field);
        }
        if (gtv_str_find(field, '\0') >= 0)
            return broken(err, "there is a NUL byte");
        if (out->count == GTV_CSV_FIELDS_MAX)
            return broken(err, "there are more than 64 fields");
        out->field[out->count++] = field;
        if (at_line_end(csv))
            return true;
        csv->at++; // the separator
    }
}

enum gtv_csv_result gtv_csv_next(struct gtv_csv *csv, struct gtv_csv_record *out, struct gtv_error *err)
{
    while (csv->at < csv->end) {
        out->count = 0;
        out->line = csv->line;
        bool ok = record(csv, out, err);
        while (!ok && !at_line_end(csv))
            csv->at++;
        skip_line_end(csv);
        if (!ok)
            return GTV_CSV_BROKEN;
        if (out->count > 1 || out->field[0].n)
            return GTV_CSV_RECORD;
    }
    return GTV_CSV_END;
}
