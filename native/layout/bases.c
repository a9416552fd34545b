#include "bases.h"

#include <string.h>

#include "../common/sha256.h"

enum { BASE_BITS = 28, STACK_PAGE_BITS = 25 };
enum { BASE_BITS_I386 = 17, BRK_BITS_I386 = 13, STACK_PAGE_BITS_I386 = 11 };
static const uint64_t mib = (uint64_t)1 << 20, gib = (uint64_t)1 << 30,
                      mmap_area_bytes = (uint64_t)4 << 40;

/* From the top: the ends of stacks, below 1 GiB of space; as much again, to which a stack may grow;
 * 4 GiB for what is put above the mmap area; the tops of mmap areas. From the machine's start of
 * programs: programs, then brk.
 *
 * On x86_64 these are the kernel's own windows (arch/x86/include/asm/elf.h, arch/x86/mm/mmap.c) and
 * windows that ThreadSanitizer supports (compiler-rt/lib/tsan/rtl/tsan_platform.h): programs from
 * 0x550000000000 to 0x568000000000, all else from 0x7e8000000000 on. On aarch64 it restarts the
 * program without randomisation (tsan_platform_linux.cpp), so there the windows are wider. */
struct windows {
    uint64_t program, program_bytes, brk_bytes, brk_low_bytes, mmap, mmap_bytes, stack, stack_bytes;
};

/* In 4 GiB, from low to high: 512 MiB for the starts of programs, then their brk, as in the kernel
 * up to 32 MiB above them (mm/util.c: arch_randomize_brk); 512 MiB for the tops of mmap areas; 256
 * MiB for what is put above these and to which a stack may grow; and the kernel's own window for
 * stacks. */
static struct windows windows_of_i386(const struct machine *machine) {
    uint64_t page_bytes = machine->page_bytes, stack_bytes = page_bytes << STACK_PAGE_BITS_I386;
    return (struct windows){
        .program = machine->programs,
        .program_bytes = page_bytes << BASE_BITS_I386,
        .brk_bytes = page_bytes << BRK_BITS_I386,
        .brk_low_bytes = page_bytes << BRK_BITS_I386,
        .mmap = 0xd0000000,
        .mmap_bytes = page_bytes << BASE_BITS_I386,
        .stack = machine->stack_top - stack_bytes,
        .stack_bytes = stack_bytes,
    };
}

static struct windows windows_of(const struct machine *machine) {
    if (machine->architecture == I386)
        return windows_of_i386(machine);
    uint64_t segment_bytes =
        machine->segment_bytes > machine->page_bytes ? machine->segment_bytes : machine->page_bytes;
    uint64_t end = (uint64_t)1 << machine->address_bits;
    struct windows windows = {
        .program = machine->programs,
        .program_bytes = segment_bytes << BASE_BITS,
        .brk_bytes = machine->page_bytes << BASE_BITS,
        .brk_low_bytes = gib,
        .mmap_bytes = segment_bytes << BASE_BITS,
        .stack_bytes = machine->page_bytes << STACK_PAGE_BITS,
    };
    windows.stack = end - gib - windows.stack_bytes;
    windows.mmap = end - 2 * windows.stack_bytes - 4 * gib - windows.mmap_bytes;
    return windows;
}

bool bases_have_room(const struct machine *machine) {
    if (machine->architecture == I386)
        return true;
    struct windows windows = windows_of(machine);
    uint64_t low = windows.program + windows.program_bytes + windows.brk_bytes + mmap_area_bytes;
    uint64_t end = (uint64_t)1 << machine->address_bits;
    /* With too little space, what is counted from the end would be below 0. */
    return windows.mmap < end && low <= windows.mmap;
}

static uint64_t number_of(const unsigned char key[KEY_BYTES], const char *part,
                          const void *identity, size_t identity_bytes) {
    unsigned char message[512] = {0}, digest[SHA256_BYTES];
    size_t part_bytes = strlen(part) + 1;
    memcpy(message, part, part_bytes);
    if (identity_bytes > sizeof message - part_bytes)
        identity_bytes = sizeof message - part_bytes;
    memcpy(message + part_bytes, identity, identity_bytes);
    hmac_sha256(key, KEY_BYTES, message, part_bytes + identity_bytes, digest);
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | digest[i];
    return number;
}

/* A multiple of the page size, less than bytes; 0 if bytes is 0. */
static uint64_t pages(const struct machine *machine, uint64_t number, uint64_t bytes) {
    return bytes == 0 ? 0 : number % (bytes / machine->page_bytes) * machine->page_bytes;
}

struct bases bases_by_limit(const struct machine *machine, const unsigned char key[KEY_BYTES],
                            const void *identity, size_t identity_bytes) {
    struct windows windows = windows_of(machine);
    uint64_t stack = number_of(key, "stack", identity, identity_bytes);
    /* The mmap area is placed before the exec shows which program it is for. */
    uint64_t mmap = number_of(key, "mmap", "", 0);
    uint64_t program = number_of(key, "program", identity, identity_bytes);
    uint64_t low = number_of(key, "low", identity, identity_bytes);
    uint64_t brk = number_of(key, "brk", identity, identity_bytes);
    return (struct bases){
        .mmap_top = windows.mmap + pages(machine, mmap, windows.mmap_bytes),
        .program = windows.program + pages(machine, program, windows.program_bytes),
        .brk_offset = pages(machine, brk, windows.brk_bytes) + machine->page_bytes,
        .brk_low_offset = pages(machine, brk, windows.brk_low_bytes) + machine->page_bytes,
        .low_bytes = pages(machine, low, machine->low_random_bytes),
        .stack_top = windows.stack + pages(machine, stack, windows.stack_bytes),
        /* ABIs require an alignment of 16 bytes. */
        .stack_offset = (stack >> 40 & 0xff) << 4,
    };
}

/* arch/x86/mm/mmap.c and mm/util.c: mmap_base. */
uint64_t bases_mmap_highest(const struct machine *machine, uint64_t stack_soft_bytes) {
    uint64_t pad = machine->kernel_stack_bytes + machine->stack_guard_gap;
    uint64_t gap = stack_soft_bytes + pad > stack_soft_bytes ? stack_soft_bytes + pad : UINT64_MAX;
    uint64_t gap_min = 128 * mib, gap_max = machine->stack_top / 6 * 5;
    gap = gap > gap_min ? gap : gap_min;
    gap = gap < gap_max ? gap : gap_max;
    return (machine->stack_top - gap) / machine->page_bytes * machine->page_bytes;
}

/* The kernel's own window for stacks is above everything that could be handed out. aarch64's has 18
 * bits or fewer: there the stack goes below the mmap area, to where that will hardly ever grow.
 * i386 has no space for that. */
static bool keeps_stack_window(const struct machine *machine) {
    return machine->architecture != AARCH64;
}

bool bases_stack_needs_limit(const struct machine *machine) {
    return !keeps_stack_window(machine);
}

bool bases_have_stack_room(const struct machine *machine, uint64_t stack_soft_bytes) {
    enum { ABOVE_MMAP_MIB = 32 };
    const struct windows windows = windows_of(machine);
    uint64_t lowest = windows.mmap + windows.mmap_bytes + ABOVE_MMAP_MIB * mib;
    return machine->architecture != I386 ||
           stack_soft_bytes <= windows.stack - lowest - machine->stack_guard_gap;
}

bool bases_can_reserve(const struct machine *machine, uint64_t stack_soft_bytes) {
    struct windows windows = windows_of(machine);
    uint64_t end = bases_mmap_highest(machine, stack_soft_bytes);
    uint64_t needed =
        machine->mmap_random_bytes + machine->stack_guard_gap + windows.mmap_bytes +
        (keeps_stack_window(machine) ? 0 : mmap_area_bytes + (machine->page_bytes << BASE_BITS));
    if (machine->architecture == I386)
        return end - needed >= machine->linked_end + machine->loader_bytes_max && end > needed;
    uint64_t programs_end = windows.program + windows.program_bytes + windows.brk_bytes;
    /* Below the programs if the stack is unlimited. */
    uint64_t floor = end > windows.program ? programs_end : 0;
    return end > needed && end - needed >= floor + mmap_area_bytes;
}

struct bases bases_by_reservation(const struct machine *machine, const unsigned char key[KEY_BYTES],
                                  const void *identity, size_t identity_bytes,
                                  uint64_t stack_soft_bytes) {
    struct bases bases = bases_by_limit(machine, key, identity, identity_bytes);
    uint64_t mmap = number_of(key, "reserved mmap", identity, identity_bytes);
    uint64_t stack = number_of(key, "reserved stack", identity, identity_bytes);
    /* Including the whole range that the kernel chooses from. */
    bases.low_bytes += machine->low_random_bytes;
    bases.reserve_end = bases_mmap_highest(machine, stack_soft_bytes);
    uint64_t lowest = bases.reserve_end - machine->mmap_random_bytes - machine->stack_guard_gap;
    bases.mmap_top = lowest - pages(machine, mmap, windows_of(machine).mmap_bytes);
    bases.stack_top = keeps_stack_window(machine)
                          ? machine->stack_top - pages(machine, stack, machine->kernel_stack_bytes)
                          : bases.mmap_top - mmap_area_bytes -
                                pages(machine, stack, machine->page_bytes << BASE_BITS);
    bases.stack_offset = (stack >> 40 & 0xff) << 4;
    return bases;
}
