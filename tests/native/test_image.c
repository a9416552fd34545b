#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../layout/check.h"
#include "../layout/room.h"
#include "../layout/sealed.h"

static const uint64_t mib = 1 << 20, page = 4096;

static struct machine x86(void) {
    return machine_of(X86_64, page, 0x7ffc12345678);
}

static void test_the_low_window(void **state) {
    (void)state;
    const struct machine machine = x86(), aarch64 = machine_of(AARCH64, page, 0xffffc1234567);
    const uint64_t start = 0x40000000, bytes = 5 * mib;
    struct low low = low_of(&machine, bytes, 0, 0);
    assert_int_equal(low.count, 1);
    assert_true(low.closed[0].start == start && low.closed[0].end == start + bytes);
    assert_int_equal(low.next, start + bytes);
    assert_int_equal(low_brk_base(&low, 0x404000), start + bytes);
    assert_int_equal(low_brk_base(&low, 0x7d500000), 0x7d500000);
    /* No bytes to close, and a machine without such a window. */
    assert_true(low_of(&machine, 0, 0, 0).count == 0 && low_of(&machine, 0, 0, 0).next == start);
    low = low_of(&aarch64, bytes, 0, 0);
    assert_true(low.count == 0 && low.next == 0 && low_brk_base(&low, 7) == 7);
    /* Programs over its start, in it, to its end, after it. */
    low = low_of(&machine, bytes, 0x400000, start + mib);
    assert_true(low.count == 1 && low.closed[0].start == start + mib &&
                low.next == start + mib + bytes);
    low = low_of(&machine, bytes, start + mib, start + 3 * mib);
    assert_int_equal(low.count, 2);
    assert_true(low.closed[0].end == start + mib && low.closed[1].start == start + 3 * mib);
    assert_true(low.closed[1].end == start + bytes + 2 * mib && low.next == low.closed[1].end);
    low = low_of(&machine, bytes, start + bytes, start + bytes + mib);
    assert_true(low.count == 1 && low.next == start + bytes + mib);
    low = low_of(&machine, bytes, 0x400000, 0xc0000000);
    assert_true(low.count == 0 && low.next == 0 && low_brk_base(&low, 0xc0000000) == 0xc0000000);
    low = low_of(&machine, bytes, 0x7d400000, 0x7d500000);
    assert_true(low.count == 1 && low.next == start + bytes);
    low = low_of(&machine, bytes, 0x400000, 0x80000000 - mib);
    assert_true(low.count == 1 && low.closed[0].end == 0x80000000 && low.next == 0);
}

enum { PROGRAM, LOADER, KERNELS, STACK, VSYSCALL, RESERVED, LOW, VMAS };

struct moved {
    struct image image;
    struct next_places next;
    struct bases bases;
    struct destination destination;
};

/* A program as it should be, by reservation. */
static struct moved as_wanted(void) {
    const struct machine machine = x86();
    const unsigned char key[KEY_BYTES] = {1};
    struct moved moved = {
        .bases = bases_by_reservation(&machine, key, "a", 1, 8 << 20),
        .image = {.is_movable = true, .program_align = page, .vma_count = VMAS},
    };
    moved.image.parts[PART_PROGRAM].start = 0x555555554000;
    moved.image.parts[PART_PROGRAM].end = 0x555555554000 + 4 * page;
    struct destination to = moved.destination =
        destination_of(&moved.image, &machine, &moved.bases);
    const struct bases *bases = &moved.bases;
    struct image_vma vmas[VMAS] = {
        [PROGRAM] = {.start = to.program,
                     .end = to.program + 4 * page,
                     .part = PART_PROGRAM,
                     .is_code = true},
        [LOADER] = {.start = bases->mmap_top - 9 * page,
                    .end = bases->mmap_top - 2 * page,
                    .part = PART_LOADER},
        [KERNELS] = {.start = bases->mmap_top - 2 * page,
                     .end = bases->mmap_top,
                     .part = PART_KERNELS},
        [STACK] = {.start = bases->stack_top - 33 * page,
                   .end = bases->stack_top,
                   .part = PART_STACK},
        [VSYSCALL] = {.start = 0xffffffffff600000, .end = 0xffffffffff601000, .part = PART_FIXED},
        [RESERVED] = {.start = bases->mmap_top,
                      .end = bases->reserve_end,
                      .part = PART_LOADER,
                      .is_reserved = true},
        [LOW] = {.start = to.low.closed[0].start,
                 .end = to.low.closed[0].end,
                 .part = PART_FIXED,
                 .is_reserved = true},
    };
    memcpy(moved.image.vmas, vmas, sizeof vmas);
    moved.image.parts[PART_PROGRAM].start = to.program;
    moved.image.parts[PART_PROGRAM].end = to.program + 4 * page;
    moved.image.parts[PART_STACK].end = bases->stack_top;
    moved.image.start_brk = to.brk;
    moved.next = (struct next_places){bases->mmap_top - 10 * page, to.low.next};
    return moved;
}

static const char *check(const struct moved *moved) {
    const struct machine machine = x86();
    return check_image(&moved->image, &moved->next, &machine, &moved->bases, &moved->destination);
}

static void shift(struct moved *moved, int vma, uint64_t bytes) {
    moved->image.vmas[vma].start += bytes;
    moved->image.vmas[vma].end += bytes;
}

static void test_what_is_where_it_is_to_be(void **state) {
    (void)state;
    struct moved moved = as_wanted();
    assert_null(check(&moved));
    /* No space for what was requested. */
    moved.next = (struct next_places){0, 0};
    assert_null(check(&moved));
    /* setarch -Z */
    moved = as_wanted();
    moved.image.vmas[LOW] = (struct image_vma){.start = 0, .end = page, .part = PART_FIXED};
    assert_null(check(&moved));
}

static void test_what_is_not(void **state) {
    (void)state;
    /* Each VMA but vsyscall, a page off or at the kernel's own place. */
    for (int vma = 0; vma < VMAS; vma++) {
        struct moved moved = as_wanted();
        shift(&moved, vma, vma == LOADER || vma == STACK ? 64 * mib * 1024 : page);
        if (vma == STACK)
            moved.image.parts[PART_STACK].end += page;
        if (vma != VSYSCALL)
            assert_non_null(check(&moved));
        moved = as_wanted();
        shift(&moved, vma, 0x7ffff7fc0000 - moved.image.vmas[vma].start);
        if (vma == STACK)
            moved.image.parts[PART_STACK].end = 0x7ffff7fc0000;
        assert_non_null(check(&moved));
    }
    for (int what = 0; what < 8; what++) {
        struct moved moved = as_wanted();
        switch (what) {
        case 0: /* AT_ENTRY names another place. */
            moved.image.parts[PART_PROGRAM].start = 0x555555554000;
            break;
        case 1:
            moved.image.parts[PART_STACK].end -= page;
            break;
        case 2:
            moved.image.start_brk = 0x555555559000;
            break;
        case 3:
            moved.next.mmap = 0x7ffff7fbf000;
            break;
        case 4:
            moved.next.low = 0x40000000;
            break;
        case 5: /* Accessible memory is no reservation. */
            moved.image.vmas[RESERVED].is_reserved = false;
            break;
        case 6:
            moved.image.vmas[LOW].is_reserved = false;
            break;
        default: /* Left where the exec put it. */
            moved.image.vmas[moved.image.vma_count++] = (struct image_vma){
                .start = 0x555555556000, .end = 0x555555557000, .part = PART_FIXED};
        }
        assert_non_null(check(&moved));
    }
}

/* As since 6.15 with CONFIG_MSEAL_SYSTEM_MAPPINGS; the path of the loader, in pieces of 511 bytes,
 * contains what looks like a row. */
static void check_sealed(const char *program, const char *vdso, bool expected) {
    struct image image = {.vma_count = 2,
                          .vmas = {{.start = 0x1000, .end = 0x2000, .part = PART_PROGRAM},
                                   {.start = 0x7fff1000, .end = 0x7fff2000, .part = PART_KERNELS}}};
    char text[4096], filling[512];
    memset(filling, 'x', sizeof filling - 1);
    filling[sizeof filling - 1] = '\0';
    snprintf(text, sizeof text,
             "00001000-00002000 r-xp 00000000 08:01 7 /p\nSize: 4 kB\nVmFlags: rd ex %s \n"
             "7fff1000-7fff2000 r-xp 00000000 00:00 0 [vdso]\nRss: 4 kB\nVmFlags: rd ex %s \n"
             "7fff3000-7fff4000 r-xp 00000000 08:01 7 %.*s7fff1000-7fff2000 r-xp\n"
             "VmFlags: rd sl \n",
             program, vdso, 511 - 40, filling);
    FILE *smaps = fmemopen(text, strlen(text), "r");
    assert_non_null(smaps);
    assert_int_equal(sealed_in(smaps, &image), expected);
    fclose(smaps);
}

static void test_sealed(void **state) {
    (void)state;
    check_sealed("mr", "mr de", false);
    check_sealed("mr", "mr de sl", true);
    check_sealed("mr sl", "mr de", false);
}

/* A program, its vDSO, loader and stack, as an exec leaves them in 32 bits. */
static struct image narrow_image(void) {
    struct image image = {
        .vma_count = IMAGE_PARTS,
        .vmas = {{.start = 0x56555000, .end = 0x56559000, .part = PART_PROGRAM},
                 {.start = 0xf7fc0000, .end = 0xf7fc6000, .part = PART_KERNELS},
                 {.start = 0xf7fc6000, .end = 0xf7ffe000, .part = PART_LOADER},
                 {.start = 0xfffdd000, .end = 0xffffe000, .part = PART_STACK}},
    };
    for (int i = 0; i < image.vma_count; i++) {
        image.parts[image.vmas[i].part].start = image.vmas[i].start;
        image.parts[image.vmas[i].part].end = image.vmas[i].end;
    }
    return image;
}

static void test_room(void **state) {
    (void)state;
    struct image image = narrow_image();
    uint64_t deltas[IMAGE_PARTS] = {0};
    assert_true(room_is_free(&image, deltas));
    /* Over itself, onto what has left before, and onto what is still there. */
    deltas[PART_STACK] = 0 - 8 * page;
    assert_true(room_is_free(&image, deltas));
    deltas[PART_LOADER] = 0 - 6 * page;
    assert_false(room_is_free(&image, deltas));
    deltas[PART_KERNELS] = 0 - 7 * page;
    assert_true(room_is_free(&image, deltas));
    deltas[PART_KERNELS] = 6 * page;
    assert_false(room_is_free(&image, deltas));
    deltas[PART_KERNELS] = 0;
    deltas[PART_LOADER] = 0;
    deltas[PART_PROGRAM] = 0xf7fc1000 - 0x56555000;
    assert_false(room_is_free(&image, deltas));
}

static void test_a_hop(void **state) {
    (void)state;
    struct image image = narrow_image();
    uint64_t deltas[IMAGE_PARTS] = {0}, start = 16 * mib;
    deltas[PART_STACK] = 0 - 8 * page;
    assert_int_equal(room_to_hop(&image, deltas, PART_STACK), start);
    /* Behind what is there, and behind what will be. */
    image.vmas[0].start = start - page;
    image.vmas[0].end = start + page;
    assert_int_equal(room_to_hop(&image, deltas, PART_STACK), start + page);
    deltas[PART_PROGRAM] = 2 * page;
    assert_int_equal(room_to_hop(&image, deltas, PART_STACK), start + 3 * page);
    /* The largest program that may be moved, wherever it is. */
    const struct machine wide = x86(), machine = machine_narrow(&wide);
    for (int i = 0; i < 2; i++) {
        image = narrow_image();
        image.vmas[0].end = image.vmas[0].start + machine.program_bytes_max;
        image.parts[PART_PROGRAM].end = image.vmas[0].end;
        deltas[PART_PROGRAM] = (i == 0 ? 0x40000000 : 0x5ffff000) - image.vmas[0].start;
        uint64_t hop = room_to_hop(&image, deltas, PART_PROGRAM);
        assert_true(hop >= start && hop + machine.program_bytes_max <= 0x40000000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_low_window), cmocka_unit_test(test_what_is_where_it_is_to_be),
        cmocka_unit_test(test_what_is_not),    cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_room),           cmocka_unit_test(test_a_hop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
