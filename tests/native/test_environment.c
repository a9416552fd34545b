#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>

#include "environment.h"

#define ENVIRONMENT(...) ((char *[]){__VA_ARGS__, NULL})

static void release(char **environment, char **original) {
    for (size_t i = 0; environment[i] != NULL; i++) {
        bool is_new = true;
        for (size_t j = 0; original[j] != NULL; j++)
            is_new = is_new && environment[i] != original[j];
        if (is_new)
            free(environment[i]);
    }
    free(environment);
}

/* expected: the entries, in order. */
static void check_seeded(char **given, const char *file, const char *shim, const char *seed,
                         const char **expected) {
    char **made = environment_with_preload(given, file, shim, seed);
    assert_non_null(made);
    size_t i;
    for (i = 0; expected[i] != NULL; i++) {
        assert_non_null(made[i]);
        assert_string_equal(made[i], expected[i]);
    }
    assert_null(made[i]);
    release(made, given);
}

static void check(char **given, const char *file, const char *shim, const char **expected) {
    check_seeded(given, file, shim, NULL, expected);
}

#define EXPECT(...) ((const char *[]){__VA_ARGS__, NULL})
#define S(text) ((char *)(text))

static void test_appends_where_absent(void **state) {
    (void)state;
    check(ENVIRONMENT(S("A=1"), S("A=2")), "/x.so", NULL, EXPECT("A=1", "A=2", "LD_PRELOAD=/x.so"));
    check(ENVIRONMENT(S("A=1")), "/x.so", "mark",
          EXPECT("A=1", "LD_PRELOAD=/x.so", "KSMRUN_SHIM=mark"));
}

static void test_seed_is_the_last_word(void **state) {
    (void)state;
    char **given = ENVIRONMENT(S("KSMRUN_SHIM=mark,seed=0"));
    check_seeded(given, "/x.so", "keep", "seed=1",
                 EXPECT("LD_PRELOAD=/x.so", "KSMRUN_SHIM=keep,seed=1"));
    check_seeded(given, "/x.so", NULL, "seed=1", EXPECT("LD_PRELOAD=/x.so", "KSMRUN_SHIM=seed=1"));
    check_seeded(given, NULL, "keep", "seed=1", EXPECT(NULL));
}

static void test_comes_last_and_keeps_the_rest(void **state) {
    (void)state;
    check(ENVIRONMENT(S("LD_PRELOAD=/y.so /z.so"), S("B="), S("LD_PRELOAD=")), "/x.so", NULL,
          EXPECT("LD_PRELOAD=/y.so /z.so:/x.so", "B=", "LD_PRELOAD=/x.so"));
}

static void test_leaves_names_that_only_begin_alike(void **state) {
    (void)state;
    check(ENVIRONMENT(S("LD_PRELOAD_X=1"), S("LD_PRELOAD")), "/x.so", NULL,
          EXPECT("LD_PRELOAD_X=1", "LD_PRELOAD", "LD_PRELOAD=/x.so"));
}

static void test_takes_an_older_shim_out(void **state) {
    (void)state;
    char *list = S("LD_PRELOAD=/a/libksmrun-preload.so:/y.so /b/libksmrun-preload.so");
    check(ENVIRONMENT(list, S("KSMRUN_SHIM=mark")), "/x/libksmrun-preload.so", "once",
          EXPECT("LD_PRELOAD=/y.so:/x/libksmrun-preload.so", "KSMRUN_SHIM=once"));
    check(ENVIRONMENT(list, S("KSMRUN_SHIM=mark")), NULL, NULL, EXPECT("LD_PRELOAD=/y.so"));
    check(ENVIRONMENT(S("LD_PRELOAD=/a/libksmrun-preload.so"), S("A=")), NULL, NULL, EXPECT("A="));
}

static void test_touches_nothing_where_nothing_is_ours(void **state) {
    (void)state;
    check(ENVIRONMENT(S("LD_PRELOAD=:/y.so: "), S("A=")), NULL, NULL,
          EXPECT("LD_PRELOAD=:/y.so: ", "A="));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_where_absent),
        cmocka_unit_test(test_seed_is_the_last_word),
        cmocka_unit_test(test_comes_last_and_keeps_the_rest),
        cmocka_unit_test(test_leaves_names_that_only_begin_alike),
        cmocka_unit_test(test_takes_an_older_shim_out),
        cmocka_unit_test(test_touches_nothing_where_nothing_is_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
