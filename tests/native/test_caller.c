#include "unit.h"

#include <stdbool.h>
#include <stdint.h>

#include "caller.h"

/* Stays a function of its own, and a call at its end stays a call. */
#ifdef __clang__
#define ALONE __attribute__((noinline, optnone))
#else
#define ALONE __attribute__((noinline, noclone))
#endif
#define CALL_STAYS() __asm__ volatile("" ::: "memory")

struct answers {
    bool is_named, is_called_by_named;
};
typedef struct answers (*asker)(void);

/* Called like the shim's own functions: by the function that is identified. */
ALONE static struct answers ask(void) {
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    return (struct answers){caller_is_named(caller), caller_is_called_by_named(caller)};
}

ALONE static struct answers ask_nameless(void) {
    struct answers answers = ask();
    CALL_STAYS();
    return answers;
}

/* Among the dynamic symbols, as the program is linked with -rdynamic. */
struct answers first_name(asker through);
struct answers another_name(void);

ALONE struct answers first_name(asker through) {
    struct answers answers = through != NULL ? through() : ask();
    CALL_STAYS();
    return answers;
}

struct answers second_name(void);

ALONE struct answers second_name(void) {
    struct answers answers = ask_nameless();
    CALL_STAYS();
    return answers;
}

ALONE struct answers another_name(void) {
    struct answers answers = ask_nameless();
    CALL_STAYS();
    return answers;
}

static void check(struct answers answers, bool is_named, bool is_called_by_named) {
    assert_true(answers.is_named == is_named);
    assert_true(answers.is_called_by_named == is_called_by_named);
}

static void test_who_calls(void **state) {
    (void)state;
    check(first_name(NULL), true, false);
    check(second_name(), false, true);
    check(first_name(ask_nameless), false, false);
    check(another_name(), false, false);
    check(ask(), false, false);
}

static void test_addresses_of_nothing(void **state) {
    (void)state;
    static char data[16];
    const uintptr_t addresses[] = {1, 4096, (uintptr_t)data + 1, (uintptr_t)&state + 1};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        assert_false(caller_is_named(addresses[i]));
        assert_false(caller_is_called_by_named(addresses[i]));
    }
}

int main(void) {
    static const char *const names[] = {"first_name", "second_name", NULL};
    caller_begin(names);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_calls),
        cmocka_unit_test(test_addresses_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
