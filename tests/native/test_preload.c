#include "unit.h"

#include <stdlib.h>

#include "preload.h"

#define ENVIRONMENT(...) ((char *[]){__VA_ARGS__, NULL})

static void test_appends_where_absent(void **state) {
    (void)state;
    char *first = (char *)"A=1", *second = (char *)"A=2";
    char **extended = preload_environment(ENVIRONMENT(first, second), "/x.so");
    assert_non_null(extended);
    assert_ptr_equal(extended[0], first);
    assert_ptr_equal(extended[1], second);
    assert_string_equal(extended[2], "LD_PRELOAD=/x.so");
    assert_null(extended[3]);
    free(extended[2]);
    free(extended);
}

static void test_keeps_what_was_there_and_its_place(void **state) {
    (void)state;
    char **extended = preload_environment(
        ENVIRONMENT((char *)"LD_PRELOAD=/y.so /z.so", (char *)"B=", (char *)"LD_PRELOAD="),
        "/x.so");
    assert_non_null(extended);
    assert_string_equal(extended[0], "LD_PRELOAD=/x.so:/y.so /z.so");
    assert_string_equal(extended[1], "B=");
    assert_string_equal(extended[2], "LD_PRELOAD=/x.so");
    assert_null(extended[3]);
    free(extended[0]);
    free(extended[2]);
    free(extended);
}

static void test_leaves_names_that_only_begin_alike(void **state) {
    (void)state;
    char *alike = (char *)"LD_PRELOAD_X=1";
    char **extended = preload_environment(ENVIRONMENT(alike, (char *)"LD_PRELOAD"), "/x.so");
    assert_non_null(extended);
    assert_ptr_equal(extended[0], alike);
    assert_string_equal(extended[2], "LD_PRELOAD=/x.so");
    free(extended[2]);
    free(extended);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_where_absent),
        cmocka_unit_test(test_keeps_what_was_there_and_its_place),
        cmocka_unit_test(test_leaves_names_that_only_begin_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
