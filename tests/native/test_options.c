#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "options.h"

enum { ERROR_BYTES = 512 };
static char error[ERROR_BYTES];

static bool parse(struct options *options, const char *const *words) {
    static char *argv[16];
    int argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)words[argc];
    argv[argc] = NULL;
    error[0] = '\0';
    return options_parse(argc, argv, options, error, ERROR_BYTES);
}

#define PARSE(options, ...) parse(options, (const char *const[]){"ksmrun-exec", __VA_ARGS__, NULL})

static void test_defaults(void **state) {
    (void)state;
    struct options options;
    assert_true(PARSE(&options, "true"));
    assert_int_equal(options.action, ACTION_RUN);
    assert_int_equal(options.merge, MERGE_ON);
    assert_false(options.thp_off || options.require || options.quiet || options.verify);
    assert_null(options.preload);
    assert_null(options.argv0);
    assert_string_equal(options.command[0], "true");
}

static void test_options_end_at_the_command(void **state) {
    (void)state;
    struct options options;
    assert_true(PARSE(&options, "--quiet", "ls", "--help", "--require"));
    assert_int_equal(options.action, ACTION_RUN);
    assert_false(options.require);
    assert_string_equal(options.command[1], "--help");
    assert_true(PARSE(&options, "--", "--probe"));
    assert_string_equal(options.command[0], "--probe");
}

static void test_every_option(void **state) {
    (void)state;
    struct options options;
    assert_true(PARSE(&options, "--merge=keep", "--thp=off", "--preload=/a.so",
                      "--argv0=", "--require", "--quiet", "--verify", "x"));
    assert_int_equal(options.merge, MERGE_KEEP);
    assert_true(options.thp_off && options.require && options.quiet && options.verify);
    assert_string_equal(options.preload, "/a.so");
    assert_string_equal(options.argv0, "");
    assert_int_equal(options.require_max_map_count, 0);
    assert_true(PARSE(&options, "--require-max-map-count=131072", "x"));
    assert_int_equal(options.require_max_map_count, 131072);
    assert_true(PARSE(&options, "--merge", "off", "x"));
    assert_int_equal(options.merge, MERGE_OFF);
    assert_true(PARSE(&options, "--probe"));
    assert_int_equal(options.action, ACTION_PROBE);
}

static void test_errors_name_the_word(void **state) {
    (void)state;
    struct options options;
    assert_false(PARSE(&options, "--quiet"));
    assert_string_equal(error, "no command given; see `ksmrun-exec --help`");
    assert_false(PARSE(&options, "--bogus", "x"));
    assert_non_null(strstr(error, "--bogus"));
    assert_false(PARSE(&options, "-x", "x"));
    assert_non_null(strstr(error, "-x"));
    assert_false(PARSE(&options, "--merge"));
    assert_non_null(strstr(error, "--merge"));
    assert_false(PARSE(&options, "--merge=maybe", "x"));
    assert_non_null(strstr(error, "maybe"));
    static const char *const counts[] = {"", "0", "-1", "9x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assert_false(PARSE(&options, "--require-max-map-count", counts[i], "x"));
    assert_false(PARSE(&options, "--thp=maybe", "x"));
    assert_non_null(strstr(error, "maybe"));
}

/* What is said about each option without its value, with one that it does not take, and with a
 * wrong one. */
static void test_each_option_with_and_without_a_value(void **state) {
    (void)state;
    static const struct {
        const char *name, *valid; /* valid NULL: it takes no value */
        const char *refusal;      /* of the value "?"; NULL: any value is valid */
    } each[] = {
        {"merge", "keep", "on, off or keep"},
        {"thp", "off", "keep or off"},
        {"inject", NULL, NULL},
        {"preload", "/a.so", NULL},
        {"shim", "mark",
         "mark, join, min=BYTES, reserve=PERCENT (0 to 99), once, keep or secrets, or several with "
         "commas between them"},
        {"layout", "random", "random or shared"},
        {"layout-key", "/k", NULL},
        {"layout-group", "web", NULL},
        {"layout-scope", "tree", "program or tree"},
        {"layout-check", NULL, NULL},
        {"seeds", "go", "shared, own or go"},
        {"domain", "web",
         "a name of 1 to 63 characters of a-z, 0-9 and \"-\", without \"-\" at its start"},
        {"trust-folder", "/t", NULL},
        {"argv0", "x", NULL},
        {"require", NULL, NULL},
        {"require-max-map-count", "7", "a whole number, 1 or more"},
        {"quiet", NULL, NULL},
        {"verify", NULL, NULL},
        {"probe", NULL, NULL},
        {"probe-launched", NULL, NULL},
        {"version", NULL, NULL},
        {"help", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        char word[64], expected[ERROR_BYTES];
        struct options options;
        snprintf(word, sizeof word, "--%s", each[i].name);
        if (each[i].valid == NULL) {
            assert_true(PARSE(&options, "--layout-key=/k", word, "x"));
            snprintf(word, sizeof word, "--%s=?", each[i].name);
            assert_false(PARSE(&options, word, "x"));
            snprintf(expected, sizeof expected, "--%s takes no value; give --%s alone",
                     each[i].name, each[i].name);
            assert_string_equal(error, expected);
            continue;
        }
        assert_true(PARSE(&options, "--preload=/a.so", "--shim=keep", word, each[i].valid, "x"));
        assert_string_equal(options.command[0], "x");
        assert_false(PARSE(&options, word));
        snprintf(expected, sizeof expected, "--%s has no value; add one after it, as in --%s=VALUE",
                 each[i].name, each[i].name);
        assert_string_equal(error, expected);
        snprintf(word, sizeof word, "--%s=?", each[i].name);
        assert_int_equal(PARSE(&options, word, "x"), each[i].refusal == NULL);
        if (each[i].refusal != NULL) {
            snprintf(expected, sizeof expected, "--%s=? is not valid; give %s", each[i].name,
                     each[i].refusal);
            assert_string_equal(error, expected);
        }
    }
}

static void test_options_that_are_not_there(void **state) {
    (void)state;
    struct options options;
    static const char *const words[] = {"--bogus", "--bogus=x", "--quietly", "--l=random",
                                        "-q",      "-",         "--=x"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        bool is_command = strcmp(words[i], "-") == 0;
        assert_int_equal(PARSE(&options, words[i], "x"), is_command);
        if (!is_command)
            assert_non_null(strstr(error, words[i]));
    }
    char word[300];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    memcpy(word, "--", 2);
    assert_false(PARSE(&options, word, "x"));
    assert_non_null(strstr(error, "x...; see `ksmrun-exec --help`"));
    /* An abbreviation that one name alone has. */
    assert_true(PARSE(&options, "--qui", "--thp", "off", "x"));
    assert_true(options.quiet && options.thp_off);
}

static void test_preload_that_ld_so_would_split(void **state) {
    (void)state;
    struct options options;
    assert_false(PARSE(&options, "--preload=/a b.so", "x"));
    assert_false(PARSE(&options, "--preload=/a:b.so", "x"));
    assert_non_null(strstr(error, "colon"));
    assert_false(PARSE(&options, "--preload=", "x"));
}

/* Before Linux 5.18 execve(path, NULL, envp) starts a program without an argv[0]. */
static void test_empty_argv(void **state) {
    (void)state;
    struct options options;
    char *argv[] = {NULL, (char *)"LEAK=1", NULL};
    assert_false(options_parse(0, argv, &options, error, ERROR_BYTES));
    assert_string_equal(error, "no command given; see `ksmrun-exec --help`");
}

static void test_words_for_the_shim(void **state) {
    (void)state;
    struct options options;
    assert_true(
        PARSE(&options, "--preload=/a.so", "--shim=mark,min=0,reserve=99,once,secrets", "x"));
    assert_string_equal(options.shim, "mark,min=0,reserve=99,once,secrets");
    assert_true(PARSE(&options, "--preload=/a.so", "--shim=keep", "x"));
    assert_false(PARSE(&options, "--shim=mark", "x"));
    assert_non_null(strstr(error, "--preload"));
    static const char *const wrong[] = {"",       ",",      "mark,",  "marked",      "min",
                                        "min=",   "min=-1", "min=1k", "reserve=100", "once=1",
                                        "seed=00"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char option[64];
        snprintf(option, sizeof option, "--shim=%s", wrong[i]);
        assert_false(PARSE(&options, "--preload=/a.so", option, "x"));
    }
}

/* What would set the flag or mark memory after the exec, when nobody holds the lock. */
static void test_a_domain_and_what_merges_later(void **state) {
    (void)state;
    struct options options;
    assert_true(PARSE(&options, "--domain=web", "x"));
    assert_string_equal(options.domain, "web");
    assert_true(PARSE(&options, "--domain=web", "--preload=/a.so", "--shim=join,keep", "x"));
    assert_false(PARSE(&options, "--domain=web", "--inject", "x"));
    assert_non_null(strstr(error, "--inject"));
    static const char *const late[] = {"--shim=join", "--shim=mark", "--shim=keep,mark", "--quiet"};
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        assert_false(PARSE(&options, "--domain=web", "--preload=/a.so", late[i], "x"));
        assert_non_null(strstr(error, "--shim=keep"));
    }
}

static void test_variables(void **state) {
    (void)state;
    struct options options;
    assert_true(PARSE(&options, "--variable=A=1", "--prepend=B=x ", "x"));
    assert_int_equal(options.variables.count, 2);
    assert_string_equal(options.variables.list[0], "A=1");
    assert_string_equal(options.variables.list[1], "B=x ");
    assert_false(options.variables.prepends[0]);
    assert_true(options.variables.prepends[1]);
    assert_false(PARSE(&options, "--variable=1=A", "x"));
    assert_non_null(strstr(error, "--variable=1=A"));
    const char *words[VARIABLES_MAX + 4] = {"ksmrun-exec"};
    for (int i = 1; i <= VARIABLES_MAX + 1; i++)
        words[i] = "--variable=A=1";
    words[VARIABLES_MAX + 2] = "x";
    assert_false(parse(&options, words));
    words[1] = "--quiet";
    assert_true(parse(&options, words));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_options_end_at_the_command),
        cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_errors_name_the_word),
        cmocka_unit_test(test_each_option_with_and_without_a_value),
        cmocka_unit_test(test_options_that_are_not_there),
        cmocka_unit_test(test_preload_that_ld_so_would_split),
        cmocka_unit_test(test_words_for_the_shim),
        cmocka_unit_test(test_a_domain_and_what_merges_later),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_empty_argv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
