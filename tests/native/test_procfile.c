#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "procfile.h"

static void test_reads_and_cuts(void **state) {
    (void)state;
    char text[8];
    assert_int_equal(procfile_read("/proc/self/status", text, sizeof text), 7);
    assert_int_equal(strlen(text), 7);
    assert_int_equal(procfile_read("/nonexistent", text, sizeof text), -ENOENT);
    assert_int_equal(procfile_read("/", text, sizeof text), -EISDIR);
}

static void test_moves_out_of_stdio(void **state) {
    (void)state;
    int saved = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    int low = open("/dev/null", O_RDONLY);
    assert_int_equal(low, STDIN_FILENO);
    int moved = descriptor_above_stdio(low);
    assert_true(moved > STDERR_FILENO);
    assert_int_equal(fcntl(moved, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
    close(moved);
    dup2(saved, STDIN_FILENO);
    close(saved);
    errno = EMFILE;
    assert_int_equal(descriptor_above_stdio(-1), -EMFILE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_cuts),
        cmocka_unit_test(test_moves_out_of_stdio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
