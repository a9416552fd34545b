#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/layout/bases.h"
#include "../../native/layout/relocate.h"
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

static void test_entropy_and_windows(void **state) {
    (void)state;
    static uint64_t mmap[KEYS], program[KEYS], brk[KEYS], stack[KEYS];
    srand(1);
    for (int i = 0; i < KEYS; i++) {
        unsigned char key[KEY_BYTES];
        for (int j = 0; j < KEY_BYTES; j++)
            key[j] = (unsigned char)(rand() >> 7);
        struct bases bases = bases_derive(key, "id", 2, 0);
        mmap[i] = bases.mmap_top - 0x7ebf00000000;
        program[i] = bases.program - 0x555555554000;
        brk[i] = bases.brk_offset - 4096;
        stack[i] = bases.stack_top - 0x7fdfc0000000 - bases.stack_offset;
        /* ThreadSanitizer's windows, and room for the stack above all else. */
        assert_true(bases.program >= 0x550000000000 && bases.program < 0x568000000000);
        assert_true(bases.mmap_top >= 0x7e8000000000 && bases.mmap_top < 0x7fc000000000);
        assert_true(bases.stack_top > bases.mmap_top + ((uint64_t)64 << 30));
        assert_true(bases.stack_top <= 0x7ffffffff000);
        assert_int_equal((bases.mmap_top | bases.program | bases.stack_top | brk[i]) & 4095, 0);
        assert_int_equal(bases.stack_offset & 15, 0);
    }
    assert_true(free_bits(mmap) >= BITS_MIN);
    assert_true(free_bits(program) >= BITS_MIN);
    assert_true(free_bits(brk) >= BITS_MIN);
    assert_true(free_bits(stack) >= BITS_MIN);
}

static void test_what_differs(void **state) {
    (void)state;
    const unsigned char key[KEY_BYTES] = {1}, other[KEY_BYTES] = {2};
    struct bases bases = bases_derive(key, "a", 1, 0);
    struct bases again = bases_derive(key, "a", 1, 0);
    assert_memory_equal(&bases, &again, sizeof bases);
    struct bases program = bases_derive(key, "b", 1, 0);
    /* Known before the program is. */
    assert_int_equal(program.mmap_top, bases.mmap_top);
    assert_int_not_equal(program.program, bases.program);
    assert_int_not_equal(program.stack_top, bases.stack_top);
    assert_int_not_equal(program.brk_offset, bases.brk_offset);
    assert_int_not_equal(bases_derive(other, "a", 1, 0).mmap_top, bases.mmap_top);
    assert_int_not_equal(bases_derive(key, "a", 1, 1).program, bases.program);
}

static void test_no_step_on_itself(void **state) {
    (void)state;
    struct image image = {.program_start = 0x555555554000,
                          .program_end = 0x555555564000,
                          .program_align = 4096,
                          .is_movable = true};
    struct bases bases = {.program = 0x555555554000};
    assert_false(relocate_fits(&image, &bases));
    bases.program = 0x555555560000;
    assert_false(relocate_fits(&image, &bases));
    bases.program = 0x555555564000;
    assert_true(relocate_fits(&image, &bases));
    image.program_align = 0x200000;
    assert_false(relocate_fits(&image, &bases));
    bases.program = 0x555555554000;
    image.is_movable = false;
    assert_true(relocate_fits(&image, &bases));
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

/* Of every program of a group, and of no other group; and what a CPython of the group can tell of
 * its own seed is not a part of it. */
static void test_the_shims_seed(void **state) {
    (void)state;
    const unsigned char key[KEY_BYTES] = {1}, other[KEY_BYTES] = {2};
    char word[SEEDS_WORD_BYTES], again[SEEDS_WORD_BYTES], different[SEEDS_WORD_BYTES];
    seeds_shim_word(key, word);
    seeds_shim_word(key, again);
    seeds_shim_word(other, different);
    assert_string_equal(word, again);
    assert_string_not_equal(word, different);
    assert_int_equal(strlen(word), 5 + 64);
    assert_int_equal(strspn(word + 5, "0123456789abcdef"), 64);
    char *nothing[] = {NULL};
    char **seeded = seeds_environment(nothing, key);
    assert_non_null(seeded);
    assert_memory_equal(seeded[1], "PERL_HASH_SEED=0x", 17);
    for (const char *part = seeded[1] + 17; strlen(part) >= 4; part++)
        assert_null(strstr(word, part));
    for (int i = 0; i < 3; i++)
        free(seeded[i]);
    free(seeded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac),           cmocka_unit_test(test_entropy_and_windows),
        cmocka_unit_test(test_what_differs),   cmocka_unit_test(test_no_step_on_itself),
        cmocka_unit_test(test_the_shims_seed), cmocka_unit_test(test_seeds_leave_what_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
