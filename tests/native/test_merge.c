#include "unit.h"

#include "merge.h"

/* ../../native/common/merge.h names the commits. */
static void test_releases_that_never_scan(void **state) {
    (void)state;
    const char *never[] = {"6.7.0", "6.7.12-amd64", "6.8.0-rc1", "6.8.11", "6.9.0", "6.9.2-1"};
    const char *fine[] = {"6.6.30", "6.8.12", "6.9.3", "6.10.0", "6.18.44",
                          "5.7.1",  "7.7.0",  "",      "x"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_true(release_never_scans(never[i]));
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_false(release_never_scans(fine[i]));
}

static void test_releases_that_may_lose_at_exec(void **state) {
    (void)state;
    assert_true(release_may_lose_at_exec("6.4.0"));
    assert_true(release_may_lose_at_exec("6.6.30-amd64"));
    assert_false(release_may_lose_at_exec("6.3.9"));
    assert_false(release_may_lose_at_exec("6.7.0"));
    assert_false(release_may_lose_at_exec("6.40.0"));
    assert_false(release_may_lose_at_exec("5.5.1"));
}

static void test_every_obstacle_has_its_words(void **state) {
    (void)state;
    for (int i = OBSTACLE_NONE; i <= OBSTACLE_UNKNOWN; i++) {
        enum merge_obstacle obstacle = (enum merge_obstacle)i;
        assert_non_null(obstacle_name(obstacle));
        assert_non_null(obstacle_what(obstacle));
        assert_non_null(obstacle_todo(obstacle));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_releases_that_never_scan),
        cmocka_unit_test(test_releases_that_may_lose_at_exec),
        cmocka_unit_test(test_every_obstacle_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
