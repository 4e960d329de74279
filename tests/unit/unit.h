// cmocka with the headers that it wants to see first, and what every unit test here needs.
#ifndef GTV_TESTS_UNIT_UNIT_H
#define GTV_TESTS_UNIT_UNIT_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "lib/base/str.h"

// Compares a slice with a C string, and shows both when they differ.
#define assert_str(slice, expected)                                                                          \
    do {                                                                                                     \
        struct gtv_str assert_slice = (slice);                                                               \
        assert_int_equal(assert_slice.n, strlen(expected));                                                  \
        if (assert_slice.n)                                                                                  \
            assert_memory_equal(assert_slice.p, expected, assert_slice.n);                                   \
    } while (0)

#endif
