#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../native/common/sha256.h"
#include "../../native/layout/bases.h"
#include "../../native/layout/gap.h"
#include "../../native/layout/seeds.h"

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

enum { KEYS = 1000, BITS_MIN = 28 };

/* Number of bits of a part, from its lowest in these units, that take both values about equally
 * often over many keys. */
static int free_bits(const uint64_t *values, uint64_t unit_bytes) {
    uint64_t lowest = UINT64_MAX;
    for (int i = 0; i < KEYS; i++)
        lowest = values[i] < lowest ? values[i] : lowest;
    int bits = 0;
    for (int bit = 0; bit < 48; bit++) {
        int ones = 0;
        for (int i = 0; i < KEYS; i++)
            ones += ((values[i] - lowest) / unit_bytes >> bit & 1) != 0;
        bits += ones > KEYS * 2 / 5 && ones < KEYS * 3 / 5;
    }
    return bits;
}

struct space {
    const char *name;
    enum architecture architecture;
    uint64_t page_bytes, stack_address;
    int bits;
    bool has_room;
};

enum { KIB = 1024 };

/* All that arch/arm64/Kconfig has: CONFIG_ARM64_VA_BITS and what memory.h makes of 52. */
static const struct space spaces[] = {
    {"x86_64", X86_64, 4 * KIB, 0x7ffc12345678, 47, true},
    {"aarch64, 4 KiB, 39 bits", AARCH64, 4 * KIB, 0x7fc1234567, 39, false},
    {"aarch64, 4 KiB, 48 or 52 bits", AARCH64, 4 * KIB, 0xffffc1234567, 48, true},
    {"aarch64, 16 KiB, 36 bits", AARCH64, 16 * KIB, 0xfc1234567, 36, false},
    {"aarch64, 16 KiB, 47 or 52 bits", AARCH64, 16 * KIB, 0x7fffc1234567, 47, true},
    {"aarch64, 16 KiB, 48 bits", AARCH64, 16 * KIB, 0xffffc1234567, 48, true},
    {"aarch64, 64 KiB, 42 bits", AARCH64, 64 * KIB, 0x3ffc1234567, 42, false},
    {"aarch64, 64 KiB, 48 or 52 bits", AARCH64, 64 * KIB, 0xffffc1234567, 48, true},
};
enum { SPACES = sizeof spaces / sizeof *spaces };

static const uint64_t gib = (uint64_t)1 << 30, tib = (uint64_t)1 << 40;

static struct machine machine_in(const struct space *space) {
    return machine_of(space->architecture, space->page_bytes, space->stack_address);
}

static void random_key(unsigned char key[KEY_BYTES]) {
    for (int i = 0; i < KEY_BYTES; i++)
        key[i] = (unsigned char)(rand() >> 7);
}

static struct bases random_bases(const struct machine *machine) {
    unsigned char key[KEY_BYTES];
    random_key(key);
    return bases_by_limit(machine, key, "id", 2);
}

static void test_machines(void **state) {
    (void)state;
    for (int i = 0; i < SPACES; i++) {
        struct machine machine = machine_in(&spaces[i]);
        print_message("%s\n", spaces[i].name);
        assert_int_equal(machine.address_bits, spaces[i].bits);
        assert_int_equal(machine.stack_guard_gap, 256 * spaces[i].page_bytes);
        assert_int_equal(bases_have_room(&machine), spaces[i].has_room);
        /* A program started with a shared layout gets the same result, for programs that it
         * starts. */
        struct bases bases = random_bases(&machine);
        if (spaces[i].has_room) {
            struct machine again =
                machine_of(spaces[i].architecture, spaces[i].page_bytes, bases.stack_top - 16);
            assert_int_equal(again.stack_top, machine.stack_top);
        }
    }
    assert_int_equal(machine_in(&spaces[0]).stack_top, 0x7ffffffff000);
    assert_int_equal(machine_in(&spaces[0]).programs, 0x555555554000);
    assert_int_equal(machine_in(&spaces[2]).stack_top, 0x1000000000000);
    struct machine here = machine_here();
    assert_int_equal(here.page_bytes, sysconf(_SC_PAGESIZE));
    assert_true((uint64_t)(uintptr_t)&here < here.stack_top);
    /* Whatever is assumed as the usual gap, the same is found, and nothing stays mapped. */
    for (uint64_t usual = here.page_bytes; usual <= 16 * here.stack_guard_gap; usual *= 4)
        assert_int_equal(gap_here(here.page_bytes, usual), here.stack_guard_gap);
    assert_int_equal(gap_here(here.page_bytes, 3 * here.page_bytes), here.stack_guard_gap);
    assert_true((uint64_t)(uintptr_t)&here > here.stack_top / 2);
}

/* From low to high: program, brk, mmap area, stack, with space for each, whatever the key. */
static void check_order(const struct machine *machine, const struct bases *bases) {
    uint64_t brk_end = bases->program + 64 * gib + bases->brk_offset + 64 * gib;
    assert_true(bases->program >= machine->programs);
    assert_true(brk_end + 4 * tib < bases->mmap_top);
    assert_true(bases->stack_top > bases->mmap_top + 64 * gib);
    assert_true(bases->stack_top < machine->stack_top);
    /* mm/util.c and arch/x86/mm/mmap.c: mmap_base keeps the gap between these. */
    uint64_t gap = machine->stack_top - bases->mmap_top;
    assert_true(gap >= 128 * KIB * KIB + machine->stack_guard_gap);
    assert_true(gap <= machine->stack_top / 6 * 5);
    assert_int_equal((bases->mmap_top | bases->program | bases->stack_top | bases->brk_offset |
                      bases->brk_low_offset) %
                         machine->page_bytes,
                     0);
    assert_true(bases->brk_low_offset <= gib);
    assert_true(bases->stack_offset % 16 == 0 && bases->stack_offset < machine->page_bytes);
}

static void check_bits(const struct space *space) {
    static uint64_t mmap[KEYS], program[KEYS], brk[KEYS], stack[KEYS];
    const struct machine machine = machine_in(space);
    const uint64_t page = machine.page_bytes;
    /* Linkers align to 64 KiB for aarch64, which leaves fewer bits of a base to chance. */
    const uint64_t segment = space->architecture == AARCH64 ? 64 * KIB : page;
    srand(1);
    for (int i = 0; i < KEYS; i++) {
        struct bases bases = random_bases(&machine);
        check_order(&machine, &bases);
        mmap[i] = bases.mmap_top;
        program[i] = bases.program;
        brk[i] = bases.brk_offset;
        stack[i] = bases.stack_top - bases.stack_offset;
    }
    assert_true(free_bits(mmap, segment) >= BITS_MIN);
    assert_true(free_bits(program, segment) >= BITS_MIN);
    assert_true(free_bits(brk, page) >= BITS_MIN);
    assert_true(free_bits(stack, 16) >= BITS_MIN);
}

static void test_entropy_and_windows(void **state) {
    (void)state;
    for (int i = 0; i < SPACES; i++) {
        print_message("%s\n", spaces[i].name);
        if (spaces[i].has_room)
            check_bits(&spaces[i]);
    }
}

static struct machine narrow(void) {
    const struct machine x86_64 = machine_in(&spaces[0]);
    return machine_narrow(&x86_64);
}

static void test_the_narrow_machine(void **state) {
    (void)state;
    const struct machine machine = narrow(), aarch64 = machine_in(&spaces[2]);
    const struct machine none = machine_narrow(&aarch64);
    assert_false(bases_have_room(&none));
    assert_true(bases_have_room(&machine));
    assert_int_equal(machine.stack_top, 0xffffe000);
    struct machine wide_gap = machine_in(&spaces[0]);
    wide_gap.stack_guard_gap = 64 * KIB * KIB;
    assert_int_equal(machine_narrow(&wide_gap).stack_guard_gap, 64 * KIB * KIB);
    /* As arch/x86/mm/mmap.c computes it, and seen on 6.18. */
    assert_int_equal(bases_mmap_highest(&machine, 8 << 20), 0xf7ffe000);
    assert_int_equal(bases_mmap_highest(&machine, UINT64_MAX), 0x2aaaa000);
    assert_true(bases_have_stack_room(&machine, 200 << 20));
    assert_false(bases_have_stack_room(&machine, 256 << 20));
    assert_false(bases_have_stack_room(&machine, UINT64_MAX));
    assert_true(bases_can_reserve(&machine, 200 << 20));
    assert_false(bases_can_reserve(&machine, 256 << 20));
    assert_false(bases_can_reserve(&machine, UINT64_MAX));
}

/* From low to high, whatever the key: the largest program with its brk, the loader, mmap area,
 * what is put above it, stack; and between what a stack may need. */
static void check_narrow_order(const struct machine *machine, const struct bases *bases) {
    const uint64_t mib = KIB * KIB, limit = 200 * mib, gap = machine->stack_guard_gap;
    uint64_t end = bases->program + machine->program_bytes_max + bases->brk_offset;
    assert_true(bases->program >= 0x40000000 && bases->program < 0x60000000);
    assert_true(end < bases->mmap_top - 256 * mib);
    assert_true(machine->linked_end + bases->brk_low_offset < bases->mmap_top - 256 * mib);
    assert_true(bases->brk_offset <= 32 * mib && bases->brk_low_offset <= 32 * mib);
    uint64_t above = bases->reserve_end == 0 ? bases->mmap_top + 32 * mib : bases->reserve_end;
    uint64_t may_need = bases->reserve_end == 0 ? limit : 8 * mib;
    assert_true(bases->mmap_top < above && above + may_need + gap <= bases->stack_top);
    assert_true(bases->stack_top <= machine->stack_top);
    assert_true(bases->low_bytes == 0 && bases->stack_offset % 16 == 0);
}

static void check_narrow_bits(bool by_limit) {
    static uint64_t mmap[KEYS], program[KEYS], brk[KEYS], stack[KEYS];
    const struct machine machine = narrow();
    for (int i = 0; i < KEYS; i++) {
        unsigned char key[KEY_BYTES];
        random_key(key);
        struct bases bases = by_limit ? bases_by_limit(&machine, key, "id", 2)
                                      : bases_by_reservation(&machine, key, "id", 2, 8 << 20);
        check_narrow_order(&machine, &bases);
        mmap[i] = bases.mmap_top;
        program[i] = bases.program;
        brk[i] = bases.brk_offset;
        stack[i] = bases.stack_top;
    }
    assert_int_equal(free_bits(mmap, 4 * KIB), 17);
    assert_int_equal(free_bits(program, 4 * KIB), 17);
    assert_int_equal(free_bits(brk, 4 * KIB), 13);
    assert_int_equal(free_bits(stack, 4 * KIB), 11);
}

static void test_narrow_bits(void **state) {
    (void)state;
    srand(1);
    check_narrow_bits(true);
    check_narrow_bits(false);
}

/* compiler-rt/lib/tsan/rtl/tsan_platform.h: MappingX86_64, whose windows a program must lie in. */
static void test_thread_sanitizer(void **state) {
    (void)state;
    const struct machine machine = machine_in(&spaces[0]);
    for (int i = 0; i < KEYS; i++) {
        struct bases bases = random_bases(&machine);
        assert_true(bases.program >= 0x550000000000 && bases.program < 0x568000000000);
        assert_true(bases.mmap_top >= 0x7e8000000000 && bases.mmap_top < 0x7fc000000000);
    }
}

static void test_what_differs(void **state) {
    (void)state;
    const struct machine machine = machine_in(&spaces[0]);
    const unsigned char key[KEY_BYTES] = {1}, other[KEY_BYTES] = {2};
    struct bases bases = bases_by_limit(&machine, key, "a", 1);
    struct bases again = bases_by_limit(&machine, key, "a", 1);
    assert_memory_equal(&bases, &again, sizeof bases);
    struct bases program = bases_by_limit(&machine, key, "b", 1);
    /* Known before the program is. */
    assert_int_equal(program.mmap_top, bases.mmap_top);
    assert_int_not_equal(program.program, bases.program);
    assert_int_not_equal(program.stack_top, bases.stack_top);
    assert_int_not_equal(program.brk_offset, bases.brk_offset);
    assert_int_not_equal(bases_by_limit(&machine, other, "a", 1).mmap_top, bases.mmap_top);
}

/* Whatever the kernel chose, the mmap area is pushed down, and the stack has its space. */
static void check_reservation(const struct space *space, uint64_t limit) {
    static uint64_t mmap[KEYS], stack[KEYS];
    const struct machine machine = machine_in(space);
    const uint64_t segment = space->architecture == AARCH64 ? 64 * KIB : machine.page_bytes;
    const uint64_t highest = bases_mmap_highest(&machine, limit);
    const uint64_t lowest = highest - machine.mmap_random_bytes;
    assert_true(bases_can_reserve(&machine, limit));
    for (int i = 0; i < KEYS; i++) {
        unsigned char key[KEY_BYTES];
        random_key(key);
        struct bases bases = bases_by_reservation(&machine, key, "id", 2, limit);
        uint64_t brk_end = bases.program + bases.brk_offset + 64 * gib;
        mmap[i] = bases.mmap_top;
        stack[i] = bases.stack_top - bases.stack_offset;
        assert_int_equal(bases.reserve_end, highest);
        assert_true(bases.mmap_top < lowest && bases.mmap_top >= 4 * tib);
        assert_true(bases.stack_top <= machine.stack_top);
        bool is_above = bases.stack_top > highest;
        assert_true(is_above
                        ? bases.stack_top - highest > machine.stack_guard_gap
                        : bases.mmap_top - bases.stack_top >= 4 * tib && bases.stack_top > brk_end);
        if (is_above && limit < machine.stack_top / 2)
            assert_true(bases.stack_top - highest >= limit + machine.stack_guard_gap);
        assert_true(bases.mmap_top > brk_end || highest < bases.program);
        assert_int_equal(
            (bases.mmap_top | bases.reserve_end | bases.stack_top) % machine.page_bytes, 0);
    }
    assert_true(free_bits(mmap, segment) >= BITS_MIN);
    assert_true(free_bits(stack, 16) >= BITS_MIN);
}

static void test_reservations(void **state) {
    (void)state;
    const uint64_t limits[] = {0, 8 * KIB * KIB, 60 * gib};
    for (int i = 0; i < SPACES; i++) {
        struct machine machine = machine_in(&spaces[i]);
        print_message("%s\n", spaces[i].name);
        for (int j = 0; spaces[i].has_room && j < 3; j++)
            check_reservation(&spaces[i], limits[j]);
        assert_int_equal(bases_can_reserve(&machine, 0), spaces[i].has_room);
    }
    struct machine aarch64 = machine_in(&spaces[2]);
    check_reservation(&spaces[0], UINT64_MAX);
    assert_false(bases_can_reserve(&aarch64, UINT64_MAX));
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

/* Equal for every program of a group, and different for other groups; and not derivable from the
 * seed that a CPython of the group knows. */
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
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_machines),
        cmocka_unit_test(test_entropy_and_windows),
        cmocka_unit_test(test_the_narrow_machine),
        cmocka_unit_test(test_narrow_bits),
        cmocka_unit_test(test_thread_sanitizer),
        cmocka_unit_test(test_reservations),
        cmocka_unit_test(test_what_differs),
        cmocka_unit_test(test_seeds_leave_what_is_set),
        cmocka_unit_test(test_the_shims_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
