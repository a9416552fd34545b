#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "log.h"

#include <yyjson/yyjson.h>

static char folder[] = "/tmp/ksmrun-test-XXXXXX";

static int enter(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int leave(void **state) {
    (void)state;
    static const char *const names[] = {"file", "link", "pipe", "log"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    /* Fails if anything is left. */
    return chdir("/") != 0 || rmdir(folder) != 0;
}

static void put(const char *name, const char *text, mode_t mode) {
    unlink(name);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    assert_int_equal(chmod(name, mode), 0);
}

static void assert_holds(const char *name, const char *text) {
    char *bytes;
    size_t length;
    assert_int_equal(file_read(name, &bytes, &length), 0);
    assert_int_equal(length, strlen(text));
    assert_memory_equal(bytes, text, length);
    free(bytes);
}

static void test_replaced_whole(void **state) {
    (void)state;
    struct stat status;
    put("file", "before", 0440);
    unlink("link");
    assert_int_equal(symlink("file", "link"), 0);
    assert_int_equal(file_replace("link", "after", 5), 0);
    assert_holds("file", "after");
    assert_int_equal(lstat("link", &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat("file", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0440);
    if (geteuid() == 0) {
        assert_int_equal(chown("file", 12, 34), 0);
        assert_int_equal(chmod("file", 0640), 0);
        assert_int_equal(file_replace("file", "", 0), 0);
        assert_int_equal(stat("file", &status), 0);
        assert_true(status.st_uid == 12 && status.st_gid == 34);
        assert_int_equal(status.st_mode & 07777, 0640);
        assert_holds("file", "");
    }
}

static void test_what_is_no_file(void **state) {
    (void)state;
    char *bytes;
    size_t length;
    unlink("pipe");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(file_read("pipe", &bytes, &length), -EINVAL);
    assert_int_equal(file_read(".", &bytes, &length), -EINVAL);
    assert_int_equal(file_read("nothing", &bytes, &length), -ENOENT);
    assert_int_equal(file_replace("nothing", "x", 1), -ENOENT);
    assert_true(file_replace("/proc/self/status", "x", 1) < 0);
}

static void test_links_of_others(void **state) {
    (void)state;
    char *bytes;
    size_t length;
    if (geteuid() != 0)
        skip();
    put("file", "another's", 0600);
    unlink("link");
    assert_int_equal(symlink("file", "link"), 0);
    assert_int_equal(lchown("link", 12, 34), 0);
    assert_int_equal(file_read("link", &bytes, &length), -ELOOP);
    assert_int_equal(file_replace("link", "x", 1), -ELOOP);
    assert_holds("file", "another's");
}

/* Replaces what is there, which may be a link to elsewhere. */
static void test_secrets(void **state) {
    (void)state;
    struct stat status;
    put("file", "another's", 0644);
    unlink("link");
    assert_int_equal(symlink("file", "link"), 0);
    assert_int_equal(file_put_secret(".", "link", "key", 3, geteuid()), 0);
    assert_holds("file", "another's");
    assert_int_equal(lstat("link", &status), 0);
    assert_true(S_ISREG(status.st_mode) && status.st_uid == geteuid());
    assert_int_equal(status.st_mode & 07777, 0400);
    assert_holds("link", "key");
    assert_int_equal(file_put_secret("nothing", "x", "key", 3, geteuid()), -ENOENT);
}

/* Nothing is left beside it, and it is unchanged. */
static void test_no_room(void **state) {
    (void)state;
    struct rlimit before, small;
    static const char text[8192];
    put("file", "before", 0600);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){4096, before.rlim_max};
    void (*action)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(file_replace("file", text, sizeof text), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, action);
    assert_holds("file", "before");
}

static void test_too_large(void **state) {
    (void)state;
    char *bytes;
    size_t length;
    put("file", "", 0600);
    assert_int_equal(truncate("file", FILE_BYTES_MAX + 1), 0);
    assert_int_equal(file_read("file", &bytes, &length), -EFBIG);
    put("file", "", 0600);
}

static void test_log_lines(void **state) {
    (void)state;
    char *bytes;
    size_t length;
    struct arguments arguments = {.log = "file:log", .log_format = "json"};
    log_line(&arguments, LEVEL_WARNING, "%s", "a \"b\" \\ \n\x01 c");
    assert_int_equal(file_read("log", &bytes, &length), 0);
    yyjson_doc *line = yyjson_read(bytes, length, YYJSON_READ_NOFLAG);
    assert_non_null(line);
    yyjson_val *root = yyjson_doc_get_root(line);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "level")), "warning");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "msg")), "ksmrun-oci: a \"b\" \\ ?? c");
    yyjson_doc_free(line);
    free(bytes);
    /* An umlaut stays; half of one, a control character of 8 bits, the end of a line, a surrogate
     * and a byte that UTF-8 does not use are replaced. */
    unlink("log");
    log_line(&arguments, LEVEL_WARNING, "%s",
             "\xc3\xa4 \xc3 \xc2\x9b \xe2\x80\xa8 \xed\xa0\x80 \xff\xf0");
    assert_int_equal(file_read("log", &bytes, &length), 0);
    line = yyjson_read(bytes, length, YYJSON_READ_NOFLAG);
    assert_non_null(line);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(line), "msg")),
                        "ksmrun-oci: \xc3\xa4 ? ?? ??? ??? ??");
    yyjson_doc_free(line);
    free(bytes);
    unlink("log");
    log_line(&arguments, LEVEL_WARNING, "x");
    /* A line longer than a pipe takes at once stays one line, without its middle. */
    static char text[32768];
    memset(text, '"', sizeof text - 1);
    arguments = (struct arguments){.log = "log"};
    log_line(&arguments, LEVEL_ERROR, "%s", text);
    assert_int_equal(file_read("log", &bytes, &length), 0);
    assert_int_equal(bytes[length - 1], '\n');
    bytes[length - 1] = '\0';
    char *second = memchr(bytes, '\n', length);
    assert_int_equal(strncmp(second + 1, "time=\"", 6), 0);
    assert_non_null(strstr(second, "\" level=error msg=\"ksmrun-oci: "));
    assert_non_null(strstr(second, "\\\" ... \\\""));
    assert_true(strlen(second + 1) < PIPE_BUF);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced_whole),  cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_links_of_others), cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_no_room),         cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_log_lines),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
