#include "unit.h"

#include <string.h>

#include "../layout/loader.h"

#define PROGRAM(file, words) loader_program(file, words, sizeof words)

static void test_programs(void **state) {
    (void)state;
    static const char glibc[] = "ld.so\0--library-path\0/lib\0--inhibit-cache\0./server\0--port";
    static const char musl[] = "x\0--library-path=/lib\0--argv0\0name\0--\0--server";
    assert_string_equal(PROGRAM("/lib64/ld-linux-x86-64.so.2", glibc), "./server");
    assert_string_equal(PROGRAM("/opt/ld-musl-x86_64.so.1", musl), "--server");
    assert_string_equal(PROGRAM("/lib/x86_64-linux-musl/libc.so", musl), "--server");
}

static void test_none(void **state) {
    (void)state;
    static const char alone[] = "ld.so", option[] = "ld.so\0--list", value[] = "ld.so\0--argv0";
    static const char ends[] = "ld.so\0--", program[] = "ld.so\0./server";
    assert_null(PROGRAM("/lib64/ld.so", alone));
    assert_null(PROGRAM("/lib64/ld.so", option));
    assert_null(PROGRAM("/lib64/ld.so", value));
    assert_null(PROGRAM("/lib64/ld.so", ends));
    assert_null(PROGRAM("/usr/bin/ld", program));
    assert_null(PROGRAM("/lib/libc.so.6", program));
    assert_null(loader_program("/lib64/ld.so", program, 0));
    /* The text that was read ends in the middle of it. */
    assert_null(loader_program("/lib64/ld.so", program, sizeof program - 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
