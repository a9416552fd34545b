#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../inject/wait.h"
#include "clock.h"
#include "worker.h"

/* Shared with the workers. */
static volatile struct {
    pid_t worker;
    bool is_released;
} * seen;

static int prepare(void **state) {
    (void)state;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    seen = shared;
    return shared == MAP_FAILED || sigprocmask(SIG_BLOCK, &child, NULL) != 0;
}

static void pause_ms(long ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&left, NULL);
}

static void finish(const void *order, struct report *report) {
    report->outcome = *(const enum outcome *)order;
    report->error = 7;
}

static void test_a_report(void **state) {
    (void)state;
    const enum outcome order = ATTACH_FILTERED;
    struct report report = worker_run(finish, &order);
    assert_int_equal(report.outcome, ATTACH_FILTERED);
    assert_int_equal(report.error, 7);
    /* It has been reaped. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void wait_forever(const void *order, struct report *report) {
    (void)report;
    seen->worker = getpid();
    if (order != NULL)
        worker_touch();
    for (;;)
        pause();
}

static void test_a_silent_one_is_ended(void **state) {
    (void)state;
    int64_t start = clock_now_ns();
    struct report report = worker_run(wait_forever, NULL);
    assert_int_equal(report.outcome, ATTACH_UNREADABLE);
    assert_in_range(clock_now_ns() - start, 900000000, 1900000000);
    assert_int_equal(kill(seen->worker, 0), -1);
}

static void test_one_that_must_not_be_ended(void **state) {
    (void)state;
    int order = 1;
    struct report report = worker_run(wait_forever, &order);
    assert_int_equal(report.outcome, ATTACH_PENDING);
    assert_int_equal(kill(seen->worker, 0), 0);
    assert_int_equal(kill(seen->worker, SIGKILL), 0);
    assert_int_equal(waitpid(seen->worker, NULL, 0), seen->worker);
}

static void go_on_slowly(const void *order, struct report *report) {
    (void)order;
    for (int i = 0; i < 20; i++, worker_beat())
        pause_ms(100);
    report->outcome = ATTACH_DONE;
}

static void test_one_that_gets_on_is_waited_for(void **state) {
    (void)state;
    assert_int_equal(worker_run(go_on_slowly, NULL).outcome, ATTACH_DONE);
}

static void report_and_go_on(const void *order, struct report *report) {
    (void)order;
    seen->worker = getpid();
    report->outcome = ATTACH_PENDING;
    worker_touch();
    worker_report(report);
    pause_ms(300);
    seen->is_released = true;
}

static void test_the_end_after_the_report(void **state) {
    (void)state;
    struct report report = worker_run(report_and_go_on, NULL);
    assert_int_equal(report.outcome, ATTACH_PENDING);
    assert_false(seen->is_released);
    assert_int_equal(waitpid(seen->worker, NULL, 0), seen->worker);
    assert_true(seen->is_released);
}

static void crash(const void *order, struct report *report) {
    (void)order;
    (void)report;
    raise(SIGKILL);
}

static void test_one_that_is_killed(void **state) {
    (void)state;
    assert_int_equal(worker_run(crash, NULL).outcome, ATTACH_LOST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report),
        cmocka_unit_test(test_a_silent_one_is_ended),
        cmocka_unit_test(test_one_that_must_not_be_ended),
        cmocka_unit_test(test_one_that_gets_on_is_waited_for),
        cmocka_unit_test(test_the_end_after_the_report),
        cmocka_unit_test(test_one_that_is_killed),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
