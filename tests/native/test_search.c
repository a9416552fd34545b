#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "search.h"

static char folder[] = "/tmp/ksmrun-search-XXXXXX";
static char path[512];
static struct exec_failure failure;

static const char *file(const char *name, const void *content, size_t size, mode_t mode) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(content, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static const char *why(const char *command) {
    static char text[512];
    char *argv[] = {(char *)command, NULL};
    char *envp[] = {NULL};
    search_and_exec(command, argv, envp, &failure);
    failure_describe(&failure, text, sizeof text);
    return text;
}

static void test_not_found(void **state) {
    (void)state;
    setenv("PATH", "/nonexistent:/tmp", 1);
    assert_non_null(strstr(why("no-such-command"), "no such command in PATH"));
    assert_int_equal(failure.error, ENOENT);
    assert_non_null(strstr(why("/nonexistent/x"), "no such file"));
    static char long_name[5001];
    memset(long_name, 'a', sizeof long_name - 1);
    assert_non_null(strstr(why(long_name), "each name in it 255"));
    assert_int_equal(failure.error, ENAMETOOLONG);
    why("");
    assert_int_equal(failure.error, ENOENT);
    unsetenv("PATH");
    why("no-such-command");
    assert_int_equal(failure.error, ENOENT);
}

static void test_denied_wins_over_missing(void **state) {
    (void)state;
    file("denied", "x", 1, 0644);
    char search_path[600];
    snprintf(search_path, sizeof search_path, "%s:/nonexistent", folder);
    setenv("PATH", search_path, 1);
    assert_non_null(strstr(why("denied"), "looks like data"));
    static const char script[] = "#!/bin/sh\n";
    file("denied", script, sizeof script - 1, 0644);
    assert_non_null(strstr(why("denied"), "no execute permission; run chmod +x"));
    assert_int_equal(failure.error, EACCES);
    assert_string_equal(failure.path, path);
    assert_non_null(strstr(why(folder), "directory"));
    char fifo[600];
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0644), 0);
    assert_non_null(strstr(why(fifo), "it is a FIFO, socket or device"));
    assert_int_equal(unlink(fifo), 0);
}

static void test_missing_interpreters(void **state) {
    (void)state;
    static const char script[] = "#! /no/such/interpreter -x\n";
    assert_non_null(strstr(why(file("script", script, sizeof script - 1, 0755)),
                           "'/no/such/interpreter' does not exist"));
    assert_int_equal(failure.error, ENOENT);
    char line[600];
    int length = snprintf(line, sizeof line, "#!%s/script\n", folder);
    assert_non_null(strstr(why(file("second", line, (size_t)length, 0755)), "script' exists, but"));
    assert_int_equal(failure.error, ENOENT);
    length = snprintf(line, sizeof line, "#!%s\n", folder);
    assert_non_null(strstr(why(file("folder", line, (size_t)length, 0755)), "is a directory; cor"));
    assert_int_equal(failure.error, EACCES);
}

static void test_interpreters_in_a_circle(void **state) {
    (void)state;
    char line[600];
    int length = snprintf(line, sizeof line, "#!%s/circle\n", folder);
    assert_non_null(strstr(why(file("circle", line, (size_t)length, 0755)), "in a circle"));
    assert_int_equal(failure.error, ELOOP);
    /* Links can be, too. */
    char link[600];
    snprintf(link, sizeof link, "%s/link", folder);
    assert_int_equal(symlink(link, link), 0);
    assert_non_null(strstr(why(link), "links of its path"));
    assert_int_equal(failure.error, ELOOP);
    length = snprintf(line, sizeof line, "#!%s\n", link);
    assert_non_null(
        strstr(why(file("linked", line, (size_t)length, 0755)), "links of its interpreter"));
}

/* Not the script, which is named first, but the other. */
static void test_what_is_wrong_with_an_interpreter(void **state) {
    (void)state;
    char line[600], other[600];
    int length = snprintf(line, sizeof line, "#!/etc/passwd/sh\n");
    assert_non_null(strstr(why(file("through", line, (size_t)length, 0755)),
                           "path of its interpreter '/etc/passwd/sh' goes through a file"));
    snprintf(other, sizeof other, "%s/pipe", folder);
    assert_int_equal(mkfifo(other, 0755), 0);
    length = snprintf(line, sizeof line, "#!%s\n", other);
    assert_non_null(strstr(why(file("of-pipe", line, (size_t)length, 0755)),
                           "/pipe' is a FIFO, socket or device"));
    static const char text[] = "#!/bin/true\n";
    strcpy(other, file("busy", text, sizeof text - 1, 0755));
    int writer = open(other, O_WRONLY);
    assert_true(writer >= 0);
    length = snprintf(line, sizeof line, "#!%s\n", other);
    assert_non_null(
        strstr(why(file("of-busy", line, (size_t)length, 0755)), "/busy' is open for writing"));
    close(writer);
    static const char mac[] = "#!/bin/sh\recho\r";
    assert_non_null(strstr(why(file("mac", mac, sizeof mac - 1, 0755)),
                           "carriage returns alone, which the kernel takes as part of the "
                           "interpreter's name '/bin/sh'; replace them with sed -i "
                           "'s/\\r/\\n/g' FILE"));
    static const char dos[] = "#!/bin/sh\r\necho\r\n";
    assert_non_null(strstr(why(file("dos", dos, sizeof dos - 1, 0755)), "sed -i 's/\\r$//' FILE"));
}

static void test_foreign_binaries_stay_out_of_the_shell(void **state) {
    (void)state;
    unsigned char elf[64] = "\x7f"
                            "ELF\x02\x01\x01";
    elf[18] = 0xb7; /* EM_AARCH64 */
    assert_non_null(strstr(why(file("foreign", elf, sizeof elf, 0755)), "aarch64"));
    assert_int_equal(failure.error, ENOEXEC);
    elf[5] = 2; /* big endian */
    elf[18] = 0;
    elf[19] = 22; /* EM_S390 */
    assert_non_null(strstr(why(file("s390", elf, sizeof elf, 0755)), "s390x"));
    elf[19] = 99;
    assert_non_null(strstr(why(file("machine99", elf, sizeof elf, 0755)), "machine 99"));
    elf[4] = 1; /* 32 bits */
    elf[5] = 1;
    elf[18] = 62; /* EM_X86_64 */
    elf[19] = 0;
    assert_non_null(strstr(why(file("x32", elf, sizeof elf, 0755)), "ELF file for x32"));
    assert_non_null(strstr(why(file("cut", elf, 6, 0755)), "format"));
    assert_non_null(strstr(why(file("zeros", "MZ\0\0", 4, 0755)), "format"));
    assert_int_equal(failure.error, ENOEXEC);
}

static void test_overlong_folders_are_passed_over(void **state) {
    (void)state;
    char *search_path = malloc(3 * PATH_MAX);
    assert_non_null(search_path);
    memset(search_path, 'a', 3 * PATH_MAX - 1);
    search_path[3 * PATH_MAX - 1] = '\0';
    memcpy(search_path + 2 * PATH_MAX, ":/bin:", 6);
    setenv("PATH", search_path, 1);
    why("no-such-command");
    assert_int_equal(failure.error, ENOENT);
    free(search_path);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    char command[600];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    setenv("PATH", "/bin:/usr/bin", 1);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_denied_wins_over_missing),
        cmocka_unit_test(test_missing_interpreters),
        cmocka_unit_test(test_interpreters_in_a_circle),
        cmocka_unit_test(test_what_is_wrong_with_an_interpreter),
        cmocka_unit_test(test_foreign_binaries_stay_out_of_the_shell),
        cmocka_unit_test(test_overlong_folders_are_passed_over),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
