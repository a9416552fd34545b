#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static void write_file(const char *path, const char *before, int words, const char *after) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(before, file);
    for (int i = 0; i < words; i++)
        fputs("65535 ", file);
    fputs(after, file);
    assert_int_equal(fclose(file), 0);
}

static void test_rows(void **state) {
    (void)state;
    char path[] = "/tmp/test_procfile.XXXXXX", value[32];
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    /* For a process named SigPnd:ffff, in many groups. */
    static const int words[] = {0, 1, 168, 169, 170, 171, 65536};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        write_file(path, "Name:\tSigPnd:ffff\nGroups:\t", words[i], "\nSigPnd:\t12\nCapEff:\t0\n");
        assert_true(procfile_row(path, "SigPnd", value, sizeof value));
        assert_string_equal(value, "\t12");
        assert_true(procfile_row(path, "CapEff", value, sizeof value));
        assert_string_equal(value, "\t0");
        assert_false(procfile_row(path, "65535 ", value, sizeof value));
        assert_false(procfile_row(path, "CapEf", value, sizeof value));
    }
    assert_true(procfile_row(path, "CapEff", value, 3));
    assert_false(procfile_row(path, "CapEff", value, 2));
    write_file(path, "CapEff:\t0", 0, "");
    assert_false(procfile_row(path, "CapEff", value, sizeof value));
    unlink(path);
    assert_false(procfile_row(path, "CapEff", value, sizeof value));
}

static void test_regular_files_only(void **state) {
    (void)state;
    char folder[] = "/tmp/test_procfile.XXXXXX", fifo[64], text[8];
    assert_non_null(mkdtemp(folder));
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    /* That would wait for a writer. */
    assert_int_equal(procfile_read_regular(fifo, text, sizeof text), -EINVAL);
    assert_int_equal(procfile_read_regular("/dev/null", text, sizeof text), -EINVAL);
    assert_int_equal(procfile_read_regular("/nonexistent", text, sizeof text), -ENOENT);
    assert_int_equal(procfile_read_regular("/proc/self/exe", text, 5), 4);
    assert_memory_equal(text, "\177ELF", 4);
    unlink(fifo);
    rmdir(folder);
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
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_regular_files_only),
        cmocka_unit_test(test_moves_out_of_stdio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
