#include "unit.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

static char line[16384];

/* Calls message with stderr connected to a pipe, whose buffer (64 KiB) holds the longest line. */
#define CAPTURE(...)                                                                               \
    do {                                                                                           \
        int ends[2], saved = dup(STDERR_FILENO);                                                   \
        assert_int_equal(pipe(ends), 0);                                                           \
        assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);                             \
        message(__VA_ARGS__);                                                                      \
        dup2(saved, STDERR_FILENO);                                                                \
        close(saved);                                                                              \
        close(ends[1]);                                                                            \
        ssize_t length = read(ends[0], line, sizeof line - 1);                                     \
        close(ends[0]);                                                                            \
        assert_true(length > 0);                                                                   \
        line[length] = '\0';                                                                       \
    } while (0)

static void test_one_line(void **state) {
    (void)state;
    CAPTURE("cannot run '%s'", "a\nb\x1b[31mc");
    assert_string_equal(line, "ksmrun-exec: cannot run 'a?b?[31mc'\n");
}

static void test_controls_of_unicode(void **state) {
    (void)state;
    CAPTURE("%s", "a\xc2\x9b"
                  "31m\xc3\xa4\xc2\xa0\xc2");
    assert_string_equal(line, "ksmrun-exec: a??31m\xc3\xa4\xc2\xa0\xc2\n");
}

/* As much as a pipe takes in one piece (pipe(7)). */
static void test_long_text_is_cut(void **state) {
    (void)state;
    static const size_t lengths[] = {4000, 4082, 4083, 4200, 9000, 9203, 12000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char text[12001];
        memset(text, 'x', lengths[i]);
        text[lengths[i]] = '\0';
        CAPTURE("%s", text);
        size_t whole = lengths[i] + sizeof "ksmrun-exec: ";
        assert_int_equal(strlen(line), whole < PIPE_BUF ? whole : PIPE_BUF);
        assert_int_equal(line[strlen(line) - 1], '\n');
        assert_int_equal(strstr(line, "x...x") != NULL, whole > PIPE_BUF);
    }
}

static void test_both_ends_of_long_text_are_kept(void **state) {
    (void)state;
    char path[4000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    CAPTURE("cannot read %s or %s; do this", path, path);
    assert_int_equal(strlen(line), PIPE_BUF);
    assert_memory_equal(line, "ksmrun-exec: cannot read x", 25);
    assert_non_null(strstr(line, "x; do this\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_controls_of_unicode),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_both_ends_of_long_text_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
