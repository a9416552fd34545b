#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../inject/i386.h"
#include "../inject/inject.h"
#include "../inject/wait.h"
#include "clock.h"

enum { LIMIT_NS = 50 * 1000 * 1000, PAGE = 4096, MARK = 77 };

static unsigned char *code;
static unsigned late_calls;

static int prepare(void **state) {
    (void)state;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED || sigprocmask(SIG_BLOCK, &child, NULL) != 0;
}

static void take_back(struct injection *injection, unsigned times) {
    late_calls = times;
    if (times == 1)
        inject_take_back(injection);
}

/* A stopped child that spins until a word in its memory tells it to exit with MARK. */
static struct injection stopped_child(volatile int **word) {
    struct injection injection;
    *word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(*word, MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        **word = 1;
        while (**word == 1)
            ;
        _exit(MARK);
    }
    while (**word == 0)
        ;
    assert_int_equal(ptrace(PTRACE_SEIZE, pid, 0L, (long)PTRACE_O_TRACESYSGOOD), 0);
    assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, 0L, 0L), 0);
    assert_true(wait_for_stop(pid, clock_now_ns() + 20L * LIMIT_NS) > 0);
    assert_int_equal(injection_begin(&injection, pid), 0);
    injection.limit_ns = LIMIT_NS;
    injection.late = take_back;
    injection.instruction = (uint64_t)(uintptr_t)code;
    late_calls = 0;
    return injection;
}

/* It continues as if nothing had happened. */
static void expect_well(struct injection *injection, volatile int *word) {
    int status;
    assert_int_equal(injection_end(injection), 0);
    assert_int_equal(ptrace(PTRACE_DETACH, injection->pid, 0L, 0L), 0);
    *word = 2;
    assert_int_equal(waitpid(injection->pid, &status, 0), injection->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), MARK);
    munmap((void *)(uintptr_t)word, PAGE);
}

static int64_t call_getppid(const unsigned char *bytes, size_t size, bool is_possible) {
    volatile int *word;
    memset(code, 0x90, PAGE);
    memcpy(code, bytes, size);
    struct injection injection = stopped_child(&word);
    assert_int_equal(injection_is_possible(&injection), is_possible);
    int64_t start = clock_now_ns();
    int64_t result = remote_call(&injection, getppid);
    assert_in_range(clock_now_ns() - start, 0, 10L * LIMIT_NS);
    expect_well(&injection, word);
    return result;
}

/* What attach takes for a process that is gone. */
static void test_a_thread_that_is_killed_while_it_is_stopped(void **state) {
    (void)state;
    volatile int *word;
    struct injection injection = stopped_child(&word), again;
    siginfo_t end;
    assert_int_equal(kill(injection.pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)injection.pid, &end, WEXITED | WNOWAIT), 0);
    assert_int_equal(injection_begin(&again, injection.pid), -ESRCH);
    injection_end(&injection);
    assert_int_equal(waitpid(injection.pid, NULL, 0), injection.pid);
    munmap((void *)(uintptr_t)word, PAGE);
}

static void test_calls_of_i386(void **state) {
    (void)state;
    uint64_t arguments[6] = {1, 2, 3, 4, 5, 3 * PAGE}, as_given[6] = {1, 2, 3, 4, 5, 3 * PAGE};
    assert_int_equal(i386_call(SYS_mremap, arguments), 163);
    assert_memory_equal(arguments, as_given, sizeof arguments);
    assert_int_equal(i386_call(SYS_mmap, arguments), 192);
    assert_int_equal(arguments[5], 3);
    assert_int_equal(i386_call(SYS_getppid, arguments), -1);
    assert_int_equal(i386_native_exec(11), SYS_execve);
    assert_int_equal(i386_native_exec(358), SYS_execveat);
    assert_int_equal(i386_native_exec(SYS_exit_group), -1);
    assert_true(i386_is_code_segment(0x23) && !i386_is_code_segment(0x33));
}

#if defined(__x86_64__)
static void test_a_call(void **state) {
    (void)state;
    static const unsigned char call[] = {0x0f, 0x05};
    assert_int_equal(call_getppid(call, sizeof call, true), getpid());
}

static void test_code_that_goes_nowhere(void **state) {
    (void)state;
    static const unsigned char loop[] = {0xeb, 0xfe};
    assert_int_equal(call_getppid(loop, sizeof loop, false), INJECT_LATE);
    /* More than one on a busy machine. */
    assert_in_range(late_calls, 1, 1000);
}

static void test_code_that_makes_another_call(void **state) {
    (void)state;
    /* exit_group(1); pause(), by i386's number; getppid() from further on. None is made. */
    static const unsigned char ends[] = {0xb8, 231, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x0f, 0x05};
    static const unsigned char waits[] = {0xb8, 29, 0, 0, 0, 0xcd, 0x80};
    static const unsigned char later[] = {0x90, 0x0f, 0x05};
    assert_int_equal(call_getppid(ends, sizeof ends, false), INJECT_LOST);
    assert_int_equal(call_getppid(waits, sizeof waits, false), INJECT_LOST);
    assert_int_equal(call_getppid(later, sizeof later, false), INJECT_LOST);
}

static void test_code_that_faults(void **state) {
    (void)state;
    static const unsigned char undefined[] = {0x0f, 0x0b}, halts[] = {0xf4};
    assert_int_equal(call_getppid(undefined, sizeof undefined, false), INJECT_LOST);
    assert_int_equal(call_getppid(halts, sizeof halts, false), INJECT_LOST);
}

static void test_a_call_that_waits(void **state) {
    (void)state;
    static const unsigned char call[] = {0x0f, 0x05};
    volatile int *word;
    memcpy(code, call, sizeof call);
    struct injection injection = stopped_child(&word);
    /* Not to be made again after it was taken back. */
    assert_int_equal(remote_call(&injection, pause), INJECT_LATE);
    /* More than one on a busy machine. */
    assert_in_range(late_calls, 1, 1000);
    expect_well(&injection, word);
}

static void test_a_storm_of_stops(void **state) {
    (void)state;
    static const unsigned char loop[] = {0xeb, 0xfe};
    volatile int *word;
    memcpy(code, loop, sizeof loop);
    struct injection injection = stopped_child(&word);
    pid_t storm = fork();
    if (storm == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            kill(injection.pid, SIGSTOP);
            kill(injection.pid, SIGCONT);
        }
    }
    assert_int_equal(remote_call(&injection, getppid), INJECT_LATE);
    assert_int_equal(kill(storm, SIGKILL), 0);
    assert_int_equal(waitpid(storm, NULL, 0), storm);
    assert_int_equal(kill(injection.pid, SIGCONT), 0);
    expect_well(&injection, word);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_of_i386),
        cmocka_unit_test(test_a_thread_that_is_killed_while_it_is_stopped),
        cmocka_unit_test(test_a_call),
        cmocka_unit_test(test_code_that_goes_nowhere),
        cmocka_unit_test(test_code_that_makes_another_call),
        cmocka_unit_test(test_code_that_faults),
        cmocka_unit_test(test_a_call_that_waits),
        cmocka_unit_test(test_a_storm_of_stops),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
#else
int main(void) {
    (void)prepare;
    (void)call_getppid;
    return 0;
}
#endif
