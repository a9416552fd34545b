#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "variables.h"

#define ENVIRONMENT(...) ((char *[]){__VA_ARGS__, NULL})
#define S(text) ((char *)(text))

/* expected: the entries, in order. */
static void check(char **given, const struct variables *variables, const char *const *expected) {
    char **made = variables_extend(given, variables);
    assert_non_null(made);
    size_t i;
    for (i = 0; expected[i] != NULL; i++) {
        assert_non_null(made[i]);
        assert_string_equal(made[i], expected[i]);
    }
    assert_null(made[i]);
    for (i = 0; made[i] != NULL; i++) {
        bool is_given = false;
        for (size_t j = 0; given[j] != NULL; j++)
            is_given = is_given || made[i] == given[j];
        if (!is_given)
            free(made[i]);
    }
    free(made);
}

#define CHECK(given, entry, prepended, ...)                                                        \
    check(given, &(const struct variables){{entry}, {prepended}, 1},                               \
          (const char *const[]){__VA_ARGS__, NULL})

static void test_gives_what_is_missing_and_keeps_the_rest(void **state) {
    (void)state;
    CHECK(ENVIRONMENT(S("A=1")), "B=2", false, "A=1", "B=2");
    CHECK(ENVIRONMENT(S("A=1")), "A=23", false, "A=1");
    CHECK(ENVIRONMENT(S("A=")), "A=2", false, "A=");
    CHECK(ENVIRONMENT(S("AB=1"), S("A")), "A=2", false, "AB=1", "A", "A=2");
    CHECK(ENVIRONMENT(S("A=1")), "B=", false, "A=1", "B=");
}

static void test_prepends_to_what_there_is(void **state) {
    (void)state;
    CHECK(ENVIRONMENT(S("A=1")), "B=x y ", true, "A=1", "B=x y");
    CHECK(ENVIRONMENT(S("B=z"), S("A=1")), "B=x y ", true, "B=x y z", "A=1");
    CHECK(ENVIRONMENT(S("B=")), "B=x,", true, "B=x");
    CHECK(ENVIRONMENT(S("B=z"), S("B=u")), "B=x,", true, "B=x,z", "B=x,u");
}

static void test_a_second_launch_adds_nothing(void **state) {
    (void)state;
    CHECK(ENVIRONMENT(S("B=x y")), "B=x y ", true, "B=x y");
    CHECK(ENVIRONMENT(S("B=x y z")), "B=x y ", true, "B=x y z");
}

/* An entry that the kernel would refuse would keep the command from starting. */
static void test_what_would_be_too_long_stays(void **state) {
    (void)state;
    static char longest[(128 << 10) - 1];
    memset(longest, 'z', sizeof longest - 1);
    memcpy(longest, "B=", 2);
    CHECK(ENVIRONMENT(longest), "B=x ", true, longest);
}

static void test_names(void **state) {
    (void)state;
    static const char *const valid[] = {"A=", "_1a=x=y", "JAVA_TOOL_OPTIONS=-Xbatch ", "a1b2=3"};
    static const char *const wrong[] = {"", "=", "=a", "A", "1A=", "A B=1", "A-B=1", "A\n=1"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        assert_true(variables_is_entry(valid[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(variables_is_entry(wrong[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gives_what_is_missing_and_keeps_the_rest),
        cmocka_unit_test(test_prepends_to_what_there_is),
        cmocka_unit_test(test_a_second_launch_adds_nothing),
        cmocka_unit_test(test_what_would_be_too_long_stays),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
