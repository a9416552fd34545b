#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"

/* A folder like /proc/PID, with the status of one thread, 9. */
static struct process made(const char *status, char *path) {
    assert_non_null(mkdtemp(path));
    struct process process = {.pid = 9, .folder = open(path, O_RDONLY | O_DIRECTORY)};
    assert_int_equal(mkdirat(process.folder, "task", 0700), 0);
    assert_int_equal(mkdirat(process.folder, "task/9", 0700), 0);
    int file = openat(process.folder, "task/9/status", O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(file, status, strlen(status)), strlen(status));
    close(file);
    return process;
}

static void drop(struct process *process, const char *path) {
    unlinkat(process->folder, "task/9/status", 0);
    unlinkat(process->folder, "task/9", AT_REMOVEDIR);
    unlinkat(process->folder, "task", AT_REMOVEDIR);
    close(process->folder);
    rmdir(path);
}

static char status[1 << 20];

static void expect_field(const char *text, const char *expected) {
    char path[] = "/tmp/ksmrun-process-XXXXXX", value[16] = "";
    struct process process = made(text, path);
    bool is_found = thread_field(&process, 9, "Seccomp:", value, sizeof value);
    drop(&process, path);
    assert_int_equal(is_found, expected != NULL);
    if (expected != NULL)
        assert_string_equal(value, expected);
}

static void test_a_field_behind_many_groups(void **state) {
    (void)state;
    size_t used = (size_t)snprintf(status, sizeof status, "Name:\tx\nGroups:\t");
    for (int i = 0; i < 65536; i++, used += 11)
        memcpy(status + used, "4294967294 ", 11);
    snprintf(status + used, sizeof status - used, "\nSeccomp:\t2\nSeccomp_filters:\t3\n");
    expect_field(status, "2\n");
}

static void test_a_field_is_at_the_start_of_its_line(void **state) {
    (void)state;
    /* A long line is read in parts. */
    for (int length = 250; length < 260; length++) {
        memset(status, 'x', (size_t)length);
        strcpy(status + length, "Seccomp:\t9\nSeccomp:\t2\n");
        expect_field(status, "2\n");
    }
}

static void test_none(void **state) {
    (void)state;
    expect_field("Name:\tx\n", NULL);
    expect_field("", NULL);
}

static void test_who_it_is(void **state) {
    (void)state;
    struct process process;
    assert_true(process_open(&process, getpid(), 0));
    assert_int_equal(process_state(&process), 'R');
    assert_true(process_has_memory(&process));
    assert_false(process_has_ended(&process));
    assert_false(thread_has_ended(&process, getpid()));
    assert_true(thread_has_ended(&process, getppid()));
    close(process.folder);
    assert_false(process_open(&process, getpid(), 1));
}

static void test_faults(void **state) {
    (void)state;
    struct process process;
    assert_true(process_open(&process, getpid(), 0));
    uint64_t before = thread_faults(&process, getpid());
    volatile char *pages =
        mmap(NULL, 100 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    madvise((void *)(uintptr_t)pages, 100 * 4096, MADV_NOHUGEPAGE);
    for (int i = 0; i < 100; i++)
        pages[i * 4096] = 1;
    assert_in_range(thread_faults(&process, getpid()) - before, 100, 1000);
    munmap((void *)(uintptr_t)pages, 100 * 4096);
    close(process.folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_field_behind_many_groups),
        cmocka_unit_test(test_a_field_is_at_the_start_of_its_line),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_who_it_is),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
