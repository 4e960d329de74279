#include "services/media/size.h"

#include <inttypes.h>
#include <stdio.h>

#define SIZE_TOP (INT64_C(1) << 53)

static const char letters[] = "BKMGT";

// The power of 1024 that "", "b", "k", "KB", "kib" stand for, or -1.
static int unit_power(struct gtv_str unit)
{
    if (unit.n == 0) {
        return 0;
    }
    for (int i = 0; letters[i] != '\0'; i++) {
        if ((unit.p[0] & ~0x20) != letters[i]) {
            continue;
        }
        struct gtv_str rest = {unit.p + 1, unit.n - 1};
        bool plain = rest.n == 0;
        bool named = i > 0 && (gtv_str_ieq(rest, GTV_STR("B")) || gtv_str_ieq(rest, GTV_STR("iB")));
        return plain || named ? i : -1;
    }
    return -1;
}

bool gtv_size_parse(struct gtv_str text, int64_t *bytes, struct gtv_error *err)
{
    struct gtv_str number = gtv_str_trim(text);
    size_t digits = 0;
    while (digits < number.n &&
           ((number.p[digits] >= '0' && number.p[digits] <= '9') || number.p[digits] == '.')) {
        digits++;
    }
    double value = 0;
    int power = unit_power((struct gtv_str){number.p + digits, number.n - digits});
    number.n = digits;
    if (power < 0 || digits == 0 || !gtv_parse_double(number, 0, (double)SIZE_TOP, &value)) {
        gtv_error_set(
            err, GTV_E_BAD_REQUEST, NULL,
            "byte quantity must be a positive integer with a unit of measurement like M, MB, MiB, G, "
            "GiB, or GB");
        return false;
    }
    value *= (double)(INT64_C(1) << (10 * power));
    if (value > (double)SIZE_TOP) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "byte quantity is too large");
        return false;
    }
    *bytes = (int64_t)value;
    return true;
}

const char *gtv_size_write(int64_t bytes, char out[GTV_SIZE_CAP])
{
    for (int power = 4; power > 0; power--) {
        int64_t unit = INT64_C(1) << (10 * power);
        if (bytes < unit || (bytes % unit) * 100 % unit != 0) {
            continue;
        }
        int64_t hundredths = (bytes % unit) * 100 / unit;
        if (hundredths == 0) {
            snprintf(out, GTV_SIZE_CAP, "%" PRId64 "%c", bytes / unit, letters[power]);
        } else if (hundredths % 10 == 0) {
            snprintf(out, GTV_SIZE_CAP, "%" PRId64 ".%d%c", bytes / unit, (int)hundredths / 10,
                     letters[power]);
        } else {
            snprintf(out, GTV_SIZE_CAP, "%" PRId64 ".%02d%c", bytes / unit, (int)hundredths, letters[power]);
        }
        return out;
    }
    snprintf(out, GTV_SIZE_CAP, "%" PRId64 "B", bytes);
    return out;
}
