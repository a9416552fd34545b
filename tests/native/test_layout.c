#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/layout/bases.h"
#include "../../native/layout/seeds.h"
#include "../../native/layout/sha256.h"

static void check(const void *key, size_t key_bytes, const char *message, size_t bytes,
                  const char *expected) {
    unsigned char digest[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];
    hmac_sha256(key, key_bytes, message, bytes, digest);
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, expected);
}

/* RFC 4231: test cases 1, 2, 3 and 6. */
static void test_hmac(void **state) {
    (void)state;
    char key[131], data[50];
    memset(key, 0x0b, 20);
    check(key, 20, "Hi There", 8,
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check("Jefe", 4, "what do ya want for nothing?", 28,
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    check(key, 20, data, sizeof data,
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    check(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

enum { KEYS = 4000, BITS_MIN = 28 };
static const uint64_t TASK_SIZE = 0x7ffffffff000;

/* How many bits of a part take both values about equally often over many keys. */
static int free_bits(const uint64_t *values) {
    int bits = 0;
    for (int bit = 0; bit < 48; bit++) {
        int ones = 0;
        for (int i = 0; i < KEYS; i++)
            ones += (values[i] >> bit & 1) != 0;
        bits += ones > KEYS * 2 / 5 && ones < KEYS * 3 / 5;
    }
    return bits;
}

static void random_key(unsigned char key[KEY_BYTES]) {
    for (int i = 0; i < KEY_BYTES; i++)
        key[i] = (unsigned char)(rand() >> 7);
}

static void test_entropy_and_windows(void **state) {
    (void)state;
    static uint64_t mmap[KEYS], program[KEYS], brk[KEYS], stack[KEYS];
    srand(1);
    for (int i = 0; i < KEYS; i++) {
        unsigned char key[KEY_BYTES];
        random_key(key);
        struct bases bases = bases_by_limit(key, "id", 2);
        mmap[i] = bases.mmap_top - 0x7ebf00000000;
        program[i] = bases.program - 0x555555554000;
        brk[i] = bases.brk_offset - 4096;
        stack[i] = bases.stack_top - 0x7fdfc0000000 - bases.stack_offset;
        /* ThreadSanitizer's windows, and room for the stack above all else. */
        assert_true(bases.program >= 0x550000000000 && bases.program < 0x568000000000);
        assert_true(bases.mmap_top >= 0x7e8000000000 && bases.mmap_top < 0x7fc000000000);
        assert_true(bases.stack_top > bases.mmap_top + ((uint64_t)64 << 30));
        assert_true(bases.stack_top <= TASK_SIZE);
        assert_int_equal((bases.mmap_top | bases.program | bases.stack_top | brk[i]) & 4095, 0);
        assert_int_equal(bases.stack_offset & 15, 0);
        assert_int_equal(bases.reserve_end, 0);
    }
    assert_true(free_bits(mmap) >= BITS_MIN);
    assert_true(free_bits(program) >= BITS_MIN);
    assert_true(free_bits(brk) >= BITS_MIN);
    assert_true(free_bits(stack) >= BITS_MIN);
}

/* Whatever the kernel chose, the mmap area is pushed down, and the stack is free above it. */
static void check_reservation(uint64_t limit) {
    static uint64_t mmap[KEYS], stack[KEYS];
    uint64_t highest = bases_mmap_highest(limit), lowest = highest - ((uint64_t)1 << 44);
    for (int i = 0; i < KEYS; i++) {
        unsigned char key[KEY_BYTES];
        random_key(key);
        struct bases bases = bases_by_reservation(key, "id", 2, limit);
        mmap[i] = lowest - bases.mmap_top;
        stack[i] = TASK_SIZE - bases.stack_top + bases.stack_offset;
        assert_true(bases.mmap_top < lowest && bases.mmap_top > (uint64_t)1 << 40);
        assert_int_equal(bases.reserve_end, highest);
        assert_true(bases.stack_top <= TASK_SIZE);
        uint64_t room = bases.stack_top - highest, wanted = limit + (1 << 20);
        assert_true(room >= (limit > TASK_SIZE / 2 ? TASK_SIZE / 2 : wanted));
        assert_int_equal((bases.mmap_top | bases.reserve_end | bases.stack_top) & 4095, 0);
    }
    assert_true(free_bits(mmap) >= BITS_MIN);
    assert_true(free_bits(stack) >= BITS_MIN);
}

static void test_reservations(void **state) {
    (void)state;
    check_reservation(0);
    check_reservation(8 << 20);
    check_reservation((uint64_t)60 << 30);
    check_reservation(UINT64_MAX);
}

static void test_what_differs(void **state) {
    (void)state;
    const unsigned char key[KEY_BYTES] = {1}, other[KEY_BYTES] = {2};
    struct bases bases = bases_by_limit(key, "a", 1);
    struct bases again = bases_by_limit(key, "a", 1);
    assert_memory_equal(&bases, &again, sizeof bases);
    struct bases program = bases_by_limit(key, "b", 1);
    /* Known before the program is. */
    assert_int_equal(program.mmap_top, bases.mmap_top);
    assert_int_not_equal(program.program, bases.program);
    assert_int_not_equal(program.stack_top, bases.stack_top);
    assert_int_not_equal(program.brk_offset, bases.brk_offset);
    assert_int_not_equal(bases_by_limit(other, "a", 1).mmap_top, bases.mmap_top);
}

static void test_seeds_leave_what_is_set(void **state) {
    (void)state;
    const unsigned char key[KEY_BYTES] = {1};
    char *given[] = {(char *)"PYTHONHASHSEED=random", (char *)"PERL_HASH_SEEDS=1", NULL};
    char **seeded = seeds_environment(given, key);
    assert_non_null(seeded);
    assert_ptr_equal(seeded[0], given[0]);
    assert_ptr_equal(seeded[1], given[1]);
    assert_memory_equal(seeded[2], "PERL_HASH_SEED=0x", 17);
    assert_string_equal(seeded[3], "PERL_PERTURB_KEYS=2");
    assert_null(seeded[4]);
    free(seeded[2]);
    free(seeded[3]);
    free(seeded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_entropy_and_windows),
        cmocka_unit_test(test_reservations),
        cmocka_unit_test(test_what_differs),
        cmocka_unit_test(test_seeds_leave_what_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
