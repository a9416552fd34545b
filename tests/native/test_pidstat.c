#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pidstat.h"

/* A stat file in which each number is ten times that of its field. */
static size_t make(char *text, size_t size, const char *name) {
    size_t used = (size_t)snprintf(text, size, "7 (%s) S", name);
    for (int field = PIDSTAT_PARENT; field < PIDSTAT_FIELDS; field++)
        used += (size_t)snprintf(text + used, size - used, " %d", field * 10);
    return used + (size_t)snprintf(text + used, size - used, "\n");
}

static void test_a_name_may_contain_anything(void **state) {
    (void)state;
    static const char *const names[] = {"cat", "", ")", "a) b (c", ") R 1 2 3", "(((", "a\xff b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[PIDSTAT_BYTES];
        struct pidstat stat;
        assert_true(pidstat_parse(text, make(text, sizeof text, names[i]), &stat));
        assert_int_equal(stat.state, 'S');
        for (int field = PIDSTAT_PARENT; field < PIDSTAT_FIELDS; field++)
            assert_int_equal(stat.fields[field], field * 10);
    }
}

/* In memory of exactly that size: nothing beyond it is read. */
static void test_nothing_that_is_cut_off(void **state) {
    (void)state;
    char text[PIDSTAT_BYTES];
    struct pidstat stat;
    size_t bytes = make(text, sizeof text, "a");
    for (size_t length = 0; length < bytes; length++) {
        char *cut = malloc(length + (length == 0));
        assert_non_null(cut);
        memcpy(cut, text, length);
        assert_false(pidstat_parse(cut, length, &stat));
        free(cut);
    }
}

static void test_numbers(void **state) {
    (void)state;
    char text[PIDSTAT_BYTES], tail[PIDSTAT_BYTES];
    struct pidstat stat;
    make(text, sizeof text, "a");
    strcpy(tail, strstr(text, " 50 "));
    size_t bytes =
        (size_t)snprintf(text, sizeof text, "7 (a) S %s%s", "18446744073709551615", tail);
    assert_true(pidstat_parse(text, bytes, &stat));
    assert_true(stat.fields[PIDSTAT_PARENT] == UINT64_MAX);
    bytes = (size_t)snprintf(text, sizeof text, "7 (a) S %s%s", "-1", tail);
    assert_true(pidstat_parse(text, bytes, &stat));
    assert_true(stat.fields[PIDSTAT_PARENT] == UINT64_MAX);
    static const char *const wrong[] = {"",  "x", "-", "+1", "0x1", " 1", "18446744073709551616",
                                        "1)"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bytes = (size_t)snprintf(text, sizeof text, "7 (a) S %s%s", wrong[i], tail);
        assert_false(pidstat_parse(text, bytes, &stat));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_may_contain_anything),
        cmocka_unit_test(test_nothing_that_is_cut_off),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
