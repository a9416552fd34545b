/* The interpreter compared with the kernel: the same filter and call give the same result. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filter.h"
#include "linux.h"
#include "syscalls.h"

#define LOAD(offset)                                                                               \
    { 0x20, 0, 0, offset }
#define RETURN(value)                                                                              \
    { 0x06, 0, 0, value }
#define EQUAL(value, yes, no)                                                                      \
    { 0x15, yes, no, value }
enum { ALLOW = 0x7fff0000, ERRNO = 0x00050000 };
static const uint32_t kill_process = 0x80000000u;

#define PROGRAM(...)                                                                               \
    (&(struct sock_fprog){sizeof((struct sock_filter[]){__VA_ARGS__}) /                            \
                              sizeof(struct sock_filter),                                          \
                          (struct sock_filter[]){__VA_ARGS__}})

static void test_who_lives(void **state) {
    (void)state;
    assert_true(filter_lets_sweeper_live(PROGRAM(RETURN(ALLOW))));
    /* If waiting and ending fail, the sweeper would spin. */
    assert_false(filter_lets_sweeper_live(PROGRAM(RETURN(ERRNO | 1))));
    assert_true(filter_lets_sweeper_live(
        PROGRAM(LOAD(0), EQUAL(NUMBER_CAPSET, 0, 1), RETURN(ERRNO | 1), RETURN(ALLOW))));
    assert_false(filter_lets_sweeper_live(
        PROGRAM(LOAD(0), EQUAL(NUMBER_FUTEX, 0, 1), RETURN(ERRNO | 1), RETURN(ALLOW))));
    assert_false(filter_lets_sweeper_live(PROGRAM(RETURN(0))));
    assert_false(filter_lets_sweeper_live(PROGRAM(RETURN(0x00030000))));
    /* One killing result among the calls is enough; one for a call that is not made does not
     * count. */
    assert_false(filter_lets_sweeper_live(
        PROGRAM(LOAD(0), EQUAL(NUMBER_MADVISE, 0, 1), RETURN(kill_process), RETURN(ALLOW))));
    assert_true(filter_lets_sweeper_live(
        PROGRAM(LOAD(0), EQUAL(NUMBER_SETNS, 0, 1), RETURN(kill_process), RETURN(ALLOW))));
    /* By argument: only madvise(MADV_MERGEABLE) is allowed. */
    assert_true(filter_lets_sweeper_live(PROGRAM(LOAD(0), EQUAL(NUMBER_MADVISE, 0, 2), LOAD(32),
                                                 EQUAL(12, 0, 1), RETURN(ALLOW), RETURN(ERRNO))));
}

static void test_what_the_kernel_refuses_kills(void **state) {
    (void)state;
    const long none[6] = {0};
    assert_int_equal(filter_answer(PROGRAM(LOAD(64), RETURN(ALLOW)), 1, none), kill_process);
    assert_int_equal(filter_answer(PROGRAM(LOAD(3), RETURN(ALLOW)), 1, none), kill_process);
    assert_int_equal(filter_answer(PROGRAM({0x02, 0, 0, 16}, RETURN(ALLOW)), 1, none),
                     kill_process);
    assert_int_equal(filter_answer(PROGRAM({0x34, 0, 0, 0}, RETURN(ALLOW)), 1, none), kill_process);
    assert_int_equal(filter_answer(PROGRAM({0x05, 0, 0, 99}, RETURN(ALLOW)), 1, none),
                     kill_process);
    assert_int_equal(filter_answer(PROGRAM(LOAD(0)), 1, none), kill_process);
}

/* The errno of getpriority under the filter in the kernel; -1 if the kernel rejects the filter. */
static int kernel_errno(const struct sock_fprog *program, const long argument[6]) {
    pid_t child = fork();
    if (child == 0) {
        SYSTEM_CALL(NUMBER_PRCTL, PR_SET_NO_NEW_PRIVS, 1);
        if (SYSTEM_CALL(NUMBER_PRCTL, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (long)program) != 0)
            _exit(255);
        long result = system_call(SYS_getpriority, argument);
        _exit(is_error(result) ? (int)-result : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

/* Arithmetic on an argument, ended by "allow all but getpriority, which gets the result as errno".
 */
static void test_arithmetic_as_in_the_kernel(void **state) {
    (void)state;
    static const uint16_t operations[] = {0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x44, 0x4c,
                                          0x54, 0x5c, 0x64, 0x74, 0x84, 0xa4, 0xac, 0x87, 0x07};
    srand(1);
    int compared = 0;
    for (int round = 0; round < 200; round++) {
        struct sock_filter code[24] = {LOAD(0), EQUAL(SYS_getpriority, 1, 0), RETURN(ALLOW)};
        int length = 3;
        code[length++] = (struct sock_filter)LOAD(16 + 4 * (uint32_t)(rand() % 4));
        code[length++] = (struct sock_filter){0x07, 0, 0, 0};
        for (int i = 0; i < 8; i++) {
            uint16_t operation = operations[rand() % (int)(sizeof operations / sizeof *operations)];
            uint32_t operand = 1 + (uint32_t)rand() % 31;
            code[length++] = (struct sock_filter){operation, 0, 0, operand};
        }
        uint16_t jump = (uint16_t)(0x15 + 0x10 * (rand() % 4));
        code[length++] = (struct sock_filter){jump, 0, 1, (uint32_t)rand() % 200};
        code[length++] = (struct sock_filter){0xa4, 0, 0, 0x55};
        code[length++] = (struct sock_filter){0x02, 0, 0, 3};
        code[length++] = (struct sock_filter){0x60, 0, 0, 3};
        code[length++] = (struct sock_filter){0x54, 0, 0, 0x7f};
        code[length++] = (struct sock_filter){0x44, 0, 0, ERRNO};
        code[length++] = (struct sock_filter){0x16, 0, 0, 0};
        struct sock_fprog program = {(unsigned short)length, code};
        const long argument[6] = {rand() % 1000, rand()};
        int expected = kernel_errno(&program, argument);
        if (expected < 0)
            continue;
        uint32_t answer = filter_answer(&program, SYS_getpriority, argument);
        assert_int_equal(answer, ERRNO | (uint32_t)expected);
        compared++;
    }
    assert_true(compared > 150);
}

static void test_the_own_filter(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        SYSTEM_CALL(NUMBER_PRCTL, PR_SET_NO_NEW_PRIVS, 1);
        filter_confine();
        struct {
            long seconds, nanoseconds;
        } time;
        const int none = 0;
        bool works =
            SYSTEM_CALL(NUMBER_CLOCK_GETTIME, 1, (long)&time) == 0 &&
            SYSTEM_CALL(NUMBER_MADVISE, 0, 0, 12) == 0 && SYSTEM_CALL(NUMBER_GETPID, 0) == -EPERM &&
            SYSTEM_CALL(NUMBER_SCHED_SETSCHEDULER, 0, SCHED_OTHER, (long)&none) == 0 &&
            SYSTEM_CALL(NUMBER_SCHED_SETSCHEDULER, 1, SCHED_OTHER, (long)&none) == -EPERM &&
            SYSTEM_CALL(NUMBER_SCHED_SETSCHEDULER, 0, 3, (long)&none) == -EPERM &&
            SYSTEM_CALL(NUMBER_OPENAT, -100, (long)"/", 0) == -EPERM &&
            SYSTEM_CALL(NUMBER_UNSHARE, 0) == -EPERM;
        SYSTEM_CALL(NUMBER_EXIT, works ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_lives),
        cmocka_unit_test(test_what_the_kernel_refuses_kills),
        cmocka_unit_test(test_arithmetic_as_in_the_kernel),
        cmocka_unit_test(test_the_own_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
