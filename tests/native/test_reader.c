#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "look.h"
#include "reader.h"

static uint64_t taken, wrong;

static void pause_ms(long ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&left, NULL);
}

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool take(void *order, const struct record *record) {
    (void)order;
    wrong += record->content != taken;
    taken++;
    return true;
}

static bool take_three(void *order, const struct record *record) {
    return take(order, record) && taken < 3;
}

static int send_many(void *order, struct walked *walked) {
    enum { COUNT = 100000 };
    (void)order;
    for (uint64_t i = 0; i < COUNT; i++) {
        const struct record record = {.content = i};
        if (!reader_send(&record))
            return -EPIPE;
    }
    walked->swapped_pages = 5;
    return 0;
}

static int refuse(void *order, struct walked *walked) {
    (void)order;
    (void)walked;
    return -EACCES;
}

static int hang(void *order, struct walked *walked) {
    (void)order;
    (void)walked;
    return pause();
}

static int go_on(void *order, struct walked *walked) {
    (void)walked;
    for (int i = 0; i < *(const int *)order; i++, reader_tick())
        pause_ms(100);
    return 0;
}

static int crash(void *order, struct walked *walked) {
    (void)order;
    (void)walked;
    return raise(SIGKILL);
}

static int result_of(int (*read)(void *, struct walked *), int order, double seconds_max,
                     struct walked *walked) {
    const struct reading reading = {read, take, &order, seconds_max};
    taken = wrong = 0;
    return reader_run(&reading, walked);
}

static void test_records_come_in_order(void **state) {
    (void)state;
    struct walked walked;
    assert_int_equal(result_of(send_many, 0, 60, &walked), 0);
    assert_int_equal(taken, 100000);
    assert_int_equal(wrong, 0);
    assert_int_equal(walked.swapped_pages, 5);
}

static void test_no_memory_for_them(void **state) {
    (void)state;
    struct walked walked;
    const struct reading reading = {send_many, take_three, NULL, 60};
    taken = 0;
    assert_int_equal(reader_run(&reading, &walked), -ENOMEM);
    assert_int_equal(taken, 3);
}

static void test_what_it_says(void **state) {
    (void)state;
    struct walked walked;
    assert_int_equal(result_of(refuse, 0, 60, &walked), -EACCES);
    assert_int_equal(result_of(crash, 0, 60, &walked), -EIO);
}

static void test_one_that_hangs(void **state) {
    (void)state;
    struct walked walked;
    double start = now_seconds();
    assert_int_equal(result_of(hang, 0, 60, &walked), -ETIME);
    assert_true(now_seconds() - start > 1 && now_seconds() - start < 2.5);
}

static void test_one_that_takes_long(void **state) {
    (void)state;
    struct walked walked;
    assert_int_equal(result_of(go_on, 20, 60, &walked), 0);
    assert_int_equal(result_of(go_on, 1000, 0.5, &walked), -ETIME);
}

/* Pages made to have equal hashes in one run do not in another. */
static void test_each_run_has_hashes_of_its_own(void **state) {
    (void)state;
    static struct look one, other;
    assert_true(look_prepare(&one));
    assert_true(look_prepare(&other));
    assert_int_not_equal(one.zero_content, other.zero_content);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_in_order),
        cmocka_unit_test(test_no_memory_for_them),
        cmocka_unit_test(test_what_it_says),
        cmocka_unit_test(test_one_that_hangs),
        cmocka_unit_test(test_one_that_takes_long),
        cmocka_unit_test(test_each_run_has_hashes_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
