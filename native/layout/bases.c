#include "bases.h"

#include <string.h>

#include "sha256.h"

enum { BASE_BITS = 28, STACK_PAGE_BITS = 25 };
static const uint64_t gib = (uint64_t)1 << 30;

/* From the top: the stacks' ends, less a GiB above them; as much again, which a stack may grow to;
 * 4 GiB for what is put above the mmap area; the tops of mmap areas. From two thirds of the address
 * space, where kernels have them (ELF_ET_DYN_BASE): programs, then brk.
 *
 * On x86_64 those are the kernel's own windows (arch/x86/include/asm/elf.h, arch/x86/mm/mmap.c) and
 * ones that ThreadSanitizer can live with (compiler-rt/lib/tsan/rtl/tsan_platform.h): programs from
 * 0x550000000000 to 0x568000000000, all else from 0x7e8000000000 on. On aarch64 it starts the
 * program again without randomisation (tsan_platform_linux.cpp), so there the windows are wider. */
struct windows {
    uint64_t program, program_bytes, brk_bytes, mmap, mmap_bytes, stack, stack_bytes;
};

static struct windows windows_of(const struct machine *machine) {
    uint64_t segment_bytes =
        machine->segment_bytes > machine->page_bytes ? machine->segment_bytes : machine->page_bytes;
    uint64_t end = (uint64_t)1 << machine->address_bits;
    struct windows windows = {
        .program = machine->stack_top / 3 * 2 / machine->page_bytes * machine->page_bytes,
        .program_bytes = segment_bytes << BASE_BITS,
        .brk_bytes = machine->page_bytes << BASE_BITS,
        .mmap_bytes = segment_bytes << BASE_BITS,
        .stack_bytes = machine->page_bytes << STACK_PAGE_BITS,
    };
    windows.stack = end - gib - windows.stack_bytes;
    windows.mmap = end - 2 * windows.stack_bytes - 4 * gib - windows.mmap_bytes;
    return windows;
}

bool bases_have_room(const struct machine *machine) {
    const uint64_t mmap_area_bytes = (uint64_t)4 << 40;
    struct windows windows = windows_of(machine);
    uint64_t low = windows.program + windows.program_bytes + windows.brk_bytes + mmap_area_bytes;
    uint64_t end = (uint64_t)1 << machine->address_bits;
    /* Where there is too little room, what is counted from the end would be below 0. */
    return windows.mmap < end && low <= windows.mmap;
}

static uint64_t number_of(const unsigned char key[KEY_BYTES], const char *part,
                          const void *identity, size_t identity_bytes, unsigned attempt) {
    unsigned char message[512] = {0}, digest[SHA256_BYTES];
    size_t part_bytes = strlen(part) + 1;
    memcpy(message, part, part_bytes);
    message[part_bytes++] = (unsigned char)attempt;
    if (identity_bytes > sizeof message - part_bytes)
        identity_bytes = sizeof message - part_bytes;
    memcpy(message + part_bytes, identity, identity_bytes);
    hmac_sha256(key, KEY_BYTES, message, part_bytes + identity_bytes, digest);
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | digest[i];
    return number;
}

/* A multiple of pages, less than bytes. */
static uint64_t pages(const struct machine *machine, uint64_t number, uint64_t bytes) {
    return number % (bytes / machine->page_bytes) * machine->page_bytes;
}

struct bases bases_derive(const struct machine *machine, const unsigned char key[KEY_BYTES],
                          const void *identity, size_t identity_bytes, unsigned attempt) {
    struct windows windows = windows_of(machine);
    uint64_t stack = number_of(key, "stack", identity, identity_bytes, attempt);
    /* The mmap area is placed before the exec tells which program it is for. */
    uint64_t mmap = number_of(key, "mmap", "", 0, attempt);
    uint64_t program = number_of(key, "program", identity, identity_bytes, attempt);
    uint64_t brk = number_of(key, "brk", identity, identity_bytes, attempt);
    return (struct bases){
        .mmap_top = windows.mmap + pages(machine, mmap, windows.mmap_bytes),
        .program = windows.program + pages(machine, program, windows.program_bytes),
        .brk_offset = pages(machine, brk, windows.brk_bytes) + machine->page_bytes,
        .brk_low_offset = pages(machine, brk, gib) + machine->page_bytes,
        .stack_top = windows.stack + pages(machine, stack, windows.stack_bytes),
        /* The ABIs want it at 16 bytes. */
        .stack_offset = (stack >> 40 & 0xff) << 4,
    };
}
