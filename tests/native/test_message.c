#include "unit.h"

#include <string.h>
#include <unistd.h>

#include "message.h"

static char line[16384];

/* Calls message with stderr going into a pipe, whose buffer (64 KiB) holds the longest line. */
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

static void test_long_text_is_cut(void **state) {
    (void)state;
    char text[12000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CAPTURE("%s", text);
    assert_int_equal(strlen(line), 9216 - 1);
    assert_int_equal(line[strlen(line) - 1], '\n');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
