#include "unit.h"

#include <string.h>

#include "../../native/slurm/settings.h"

static void test_wishes(void **state) {
    (void)state;
    enum wish wish = WISH_NONE;
    assert_true(wish_parse("on", &wish) && wish == WISH_ON);
    assert_true(wish_parse("require", &wish) && wish == WISH_REQUIRE);
    assert_true(wish_parse("off", &wish) && wish == WISH_OFF);
    const char *const wrong[] = {"", "On", "on ", "required", NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(wish_parse(wrong[i], &wish));
    assert_int_equal(wish, WISH_OFF);
}

static void test_groups(void **state) {
    (void)state;
    char group[GROUP_BYTES], longest[GROUP_BYTES + 1];
    memset(longest, 'g', sizeof longest);
    longest[GROUP_BYTES - 1] = '\0';
    assert_true(group_parse(longest, group));
    assert_string_equal(group, longest);
    longest[GROUP_BYTES - 1] = 'g';
    longest[GROUP_BYTES] = '\0';
    const char *const wrong[] = {"", "a/b", "../x", "a b", "a\n", "\303\251", longest, NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(group_parse(wrong[i], group));
}

static void test_presets(void **state) {
    (void)state;
    struct settings settings = {.libexec = "/default"};
    assert_true(preset_parse("default=require", &settings));
    assert_true(preset_parse("libexec=/opt/ksmrun", &settings));
    assert_string_equal(settings.libexec, "/opt/ksmrun");
    assert_int_equal(settings.preset, WISH_REQUIRE);
    const char *const wrong[] = {"", "default", "default=", "default=yes", "libexec=relative"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(preset_parse(wrong[i], &settings));
}

static void test_what_counts(void **state) {
    (void)state;
    const struct {
        enum wish preset, wish, result;
        const char *group;
    } cases[] = {
        {WISH_NONE, WISH_NONE, WISH_OFF, ""},
        {WISH_ON, WISH_NONE, WISH_ON, ""},
        {WISH_ON, WISH_OFF, WISH_OFF, ""},
        {WISH_REQUIRE, WISH_ON, WISH_ON, ""},
        {WISH_OFF, WISH_NONE, WISH_ON, "g"},
        {WISH_NONE, WISH_OFF, WISH_OFF, "g"},
        {WISH_REQUIRE, WISH_NONE, WISH_REQUIRE, "g"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings = {.preset = cases[i].preset, .wish = cases[i].wish};
        strcpy(settings.group, cases[i].group);
        assert_int_equal(settings_wish(&settings), cases[i].result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_what_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
