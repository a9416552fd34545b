#include "unit.h"

#include <string.h>

#include "arguments.h"

enum { WORDS = 24 };

static struct arguments parse(const char *const *words) {
    static char *argv[WORDS];
    int count = 0;
    for (; words[count] != NULL; count++)
        argv[count] = (char *)words[count];
    argv[count] = NULL;
    struct arguments arguments;
    arguments_parse(argv, &arguments);
    return arguments;
}

#define PARSE(...) parse((const char *const[]){"ksmrun-oci", __VA_ARGS__, NULL})

/* As podman's conmon, containerd's shim and docker call it. */
static void test_what_engines_say(void **state) {
    (void)state;
    struct arguments a =
        PARSE("--root", "/run/r", "--log", "/l", "--log-format", "json", "--systemd-cgroup",
              "create", "--bundle", "/b", "--pid-file", "/p", "--console-socket", "/c", "id");
    assert_int_equal(a.command, COMMAND_CREATE);
    assert_null(a.unknown);
    assert_string_equal(a.root, "/run/r");
    assert_string_equal(a.log, "/l");
    assert_string_equal(a.log_format, "json");
    assert_string_equal(a.bundle, "/b");
    assert_string_equal(a.id, "id");
    a = PARSE("--log-format=json", "--log=/l", "exec", "--pid-file", "/p", "--process", "/x", "-d",
              "id");
    assert_int_equal(a.command, COMMAND_EXEC);
    assert_string_equal(a.log_format, "json");
    assert_string_equal(a.process, "/x");
    assert_string_equal(a.id, "id");
    assert_int_equal(a.exec_words, 0);
}

static void test_create_in_every_form(void **state) {
    (void)state;
    struct arguments a = PARSE("run", "-b", "/b", "id");
    assert_string_equal(a.bundle, "/b");
    a = PARSE("run", "-bundle=/b", "id");
    assert_string_equal(a.bundle, "/b");
    a = PARSE("create", "-b/b", "-f", "other.json", "id");
    assert_string_equal(a.bundle, "/b");
    assert_string_equal(a.config, "other.json");
    a = PARSE("run", "id", "-d", "--bundle", "/b");
    assert_string_equal(a.bundle, "/b");
    assert_string_equal(a.id, "id");
    a = PARSE("run", "-db", "/b", "--", "id");
    assert_string_equal(a.bundle, "/b");
    assert_string_equal(a.id, "id");
    a = PARSE("run");
    assert_int_equal(a.command, COMMAND_CREATE);
    assert_null(a.id);
}

static void test_exec_on_the_command_line(void **state) {
    (void)state;
    assert_int_equal(PARSE("exec", "id", "sh", "-c", "x").exec_words, 3);
    assert_int_equal(PARSE("exec", "-t", "-u", "0:0", "-e", "A=B", "id", "sh").exec_words, 8);
    assert_int_equal(PARSE("exec", "-turoot", "id", "sh").exec_words, 4);
    assert_int_equal(PARSE("exec", "--", "id", "sh").exec_words, 4);
    assert_int_equal(PARSE("exec", "id", "--", "sh").exec_words, 4);
    assert_int_equal(PARSE("exec", "--tty=true", "id").exec_words, 0);
    /* The command's own words are not ours to parse. */
    struct arguments a = PARSE("exec", "id", "sh", "--process", "/x", "--bogus");
    assert_null(a.process);
    assert_null(a.unknown);
}

static void test_restore(void **state) {
    (void)state;
    struct arguments a = PARSE("restore", "--image-path", "/i", "--work-path=/w", "--file-locks",
                               "--bundle", "/b", "--pid-file", "/p", "-d", "id");
    assert_int_equal(a.command, COMMAND_RESTORE);
    assert_null(a.unknown);
    assert_string_equal(a.bundle, "/b");
    assert_string_equal(a.id, "id");
    a = PARSE("restore", "--unheard-of", "id");
    assert_string_equal(a.unknown, "--unheard-of");
}

static void test_own_options_come_first(void **state) {
    (void)state;
    struct arguments a = PARSE("--ksmrun-by-request", "--ksmrun-runtime=/r", "--root=/x", "state");
    assert_true(a.by_request);
    assert_string_equal(a.runtime, "/r");
    assert_int_equal(a.first, 3);
    assert_int_equal(a.command, COMMAND_OTHER);
    a = PARSE("--root=/x", "--ksmrun-by-request", "run", "id");
    assert_false(a.by_request);
    assert_int_equal(a.first, 1);
    a = parse((const char *const[]){"/x/ksmrun-oci-by-request", "run", "id", NULL});
    assert_true(a.by_request);
    assert_false(a.only_crun);
    a = parse((const char *const[]){"/x-crun/ksmrun-oci", "run", "id", NULL});
    assert_false(a.only_crun || a.by_request);
    a = parse((const char *const[]){"ksmrun-oci-crun-by-request", "run", "id", NULL});
    assert_true(a.only_crun && a.by_request);
    a = PARSE("--ksmrun-request=layout=shared", "--ksmrun-config=/c", "--ksmrun-environment",
              "run");
    assert_string_equal(a.request, "layout=shared");
    assert_string_equal(a.policy, "/c");
    assert_true(a.heeds_image);
    assert_int_equal(a.first, 4);
    a = PARSE("exec", "--user", "5:6", "id", "sh", "--ksmrun-request=merge=off");
    assert_string_equal(a.user, "5:6");
    assert_null(a.request);
    assert_true(PARSE("--ksmrun-help").help);
    assert_false(PARSE("--help").help);
}

static void test_what_is_not_known_is_said(void **state) {
    (void)state;
    assert_string_equal(PARSE("run", "--bund", "/b", "id").unknown, "--bund");
    assert_string_equal(PARSE("exec", "-tx", "id", "sh").unknown, "-tx");
    assert_string_equal(PARSE("run", "--bundle").unknown, "--bundle");
    /* Before the command it is unknown which command it is. */
    struct arguments a = PARSE("--bogus", "run", "id");
    assert_int_equal(a.command, COMMAND_OTHER);
    a = PARSE("-");
    assert_int_equal(a.command, COMMAND_OTHER);
}

/* Any words, in any order, truncated anywhere: nothing is read past the end. */
static void test_any_words(void **state) {
    (void)state;
    static const char *const words[] = {"--root", "--root=", "-",  "--",  "create", "exec", "-b",
                                        "-tu",    "id",      "-p", "-e=", "",       "-=",   "run"};
    enum { COUNT = sizeof words / sizeof *words, LENGTH = 5 };
    for (unsigned number = 0; number < COUNT * COUNT * COUNT * COUNT; number++) {
        const char *list[LENGTH + 1] = {"x"};
        unsigned rest = number;
        for (int i = 1; i < LENGTH; i++, rest /= COUNT)
            list[i] = words[rest % COUNT];
        list[LENGTH] = NULL;
        struct arguments a = parse(list);
        assert_in_range(a.first, 1, LENGTH);
        assert_in_range(a.exec_words, 0, LENGTH - 1);
    }
    char *none[] = {NULL};
    struct arguments a;
    arguments_parse(none, &a);
    assert_int_equal(a.first, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_engines_say),
        cmocka_unit_test(test_create_in_every_form),
        cmocka_unit_test(test_exec_on_the_command_line),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_own_options_come_first),
        cmocka_unit_test(test_what_is_not_known_is_said),
        cmocka_unit_test(test_any_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
