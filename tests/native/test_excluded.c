#include "unit.h"

#include <string.h>

#include "excluded.h"

static struct excluded excluded;

static int clear(void **state) {
    (void)state;
    memset(&excluded, 0, sizeof excluded);
    return 0;
}

static void test_overlaps(void **state) {
    (void)state;
    assert_false(excluded_overlaps(&excluded, 0, UINTPTR_MAX, NULL));
    excluded_add(&excluded, 0x2000, 0x3000);
    excluded_add(&excluded, 0x5000, 0x5000);
    assert_true(excluded_overlaps(&excluded, 0, UINTPTR_MAX, NULL));
    assert_true(excluded_overlaps(&excluded, 0x2fff, 0x9000, NULL));
    assert_true(excluded_overlaps(&excluded, 0x1000, 0x2001, NULL));
    assert_false(excluded_overlaps(&excluded, 0x3000, 0x9000, NULL));
    assert_false(excluded_overlaps(&excluded, 0x1000, 0x2000, NULL));
}

static void test_only_whole_ranges_are_taken_back(void **state) {
    (void)state;
    excluded_add(&excluded, 0x2000, 0x4000);
    excluded_remove(&excluded, 0x2000, 0x3000);
    assert_true(excluded_overlaps(&excluded, 0x2000, 0x3000, NULL));
    excluded_remove(&excluded, 0x1000, 0x4000);
    assert_false(excluded_overlaps(&excluded, 0, UINTPTR_MAX, NULL));
}

static void test_what_is_known_takes_no_place(void **state) {
    (void)state;
    excluded_add(&excluded, 0x1000, 0x9000);
    for (uintptr_t i = 0; i < 2 * EXCLUDED_MAX; i++)
        excluded_add(&excluded, 0x2000, 0x3000 + i);
    assert_int_equal(excluded.used, 1);
    assert_false(excluded.is_full);
}

static void test_more_than_can_be_remembered(void **state) {
    (void)state;
    for (uintptr_t i = 1; i <= EXCLUDED_MAX; i++)
        excluded_add(&excluded, i * 0x2000, i * 0x2000 + 0x1000);
    assert_false(excluded.is_full);
    excluded_add(&excluded, 0x1000, 0x1800);
    assert_true(excluded.is_full);
}

static void test_what_is_unmapped_is_forgotten(void **state) {
    (void)state;
    bool is_seen[EXCLUDED_MAX] = {0};
    excluded_add(&excluded, 0x1000, 0x2000);
    excluded_add(&excluded, 0x5000, 0x6000);
    unsigned changes = excluded.changes;
    assert_true(excluded_overlaps(&excluded, 0x5000, 0x7000, is_seen));
    excluded_forget_unseen(&excluded, is_seen, changes - 1);
    assert_true(excluded_overlaps(&excluded, 0x1000, 0x2000, NULL));
    excluded_forget_unseen(&excluded, is_seen, changes);
    assert_false(excluded_overlaps(&excluded, 0x1000, 0x2000, NULL));
    assert_true(excluded_overlaps(&excluded, 0x5000, 0x6000, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_overlaps, clear),
        cmocka_unit_test_setup(test_only_whole_ranges_are_taken_back, clear),
        cmocka_unit_test_setup(test_what_is_known_takes_no_place, clear),
        cmocka_unit_test_setup(test_more_than_can_be_remembered, clear),
        cmocka_unit_test_setup(test_what_is_unmapped_is_forgotten, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
