#include "bases.h"

#include <string.h>

#include "sha256.h"

enum { PAGE_SHIFT = 12, BASE_BITS = 28, BRK_LOW_BITS = 18, STACK_PAGE_BITS = 25 };
/* arch/x86/Kconfig: ARCH_MMAP_RND_BITS_MAX; fs/binfmt_elf.c: STACK_RND_MASK. */
enum { KERNEL_MMAP_BITS_MAX = 32, KERNEL_STACK_BITS = 22 };

/* Within the kernel's own windows (arch/x86/include/asm/elf.h, arch/x86/mm/mmap.c), which are those
 * that ThreadSanitizer can live with (compiler-rt/lib/tsan/rtl/tsan_platform.h): programs from
 * 0x550000000000 to 0x568000000000, all else from 0x7e8000000000 on. The stack has the last 256 GiB
 * less a GiB, which it may grow to. */
static const uint64_t program_low = 0x555555554000, mmap_low = 0x7ebf00000000,
                      stack_low = 0x7fdfc0000000, task_size = 0x7ffffffff000,
                      kernel_stack_window = (uint64_t)1 << (KERNEL_STACK_BITS + PAGE_SHIFT),
                      stack_guard_gap = 1 << 20;

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

static uint64_t pages(uint64_t number, int bits) {
    return (number & (((uint64_t)1 << bits) - 1)) << PAGE_SHIFT;
}

struct bases bases_by_limit(const unsigned char key[KEY_BYTES], const void *identity,
                            size_t identity_bytes) {
    uint64_t stack = number_of(key, "stack", identity, identity_bytes);
    uint64_t mmap = number_of(key, "mmap", "", 0);
    uint64_t program = number_of(key, "program", identity, identity_bytes);
    uint64_t brk = number_of(key, "brk", identity, identity_bytes);
    return (struct bases){
        .mmap_top = mmap_low + pages(mmap, BASE_BITS),
        .program = program_low + pages(program, BASE_BITS),
        .brk_offset = pages(brk, BASE_BITS) + ((uint64_t)1 << PAGE_SHIFT),
        .brk_low_offset = pages(brk, BRK_LOW_BITS) + ((uint64_t)1 << PAGE_SHIFT),
        .stack_top = stack_low + pages(stack, STACK_PAGE_BITS),
        /* The ABIs want it at 16 bytes. */
        .stack_offset = (stack >> 40 & 0xff) << 4,
    };
}

/* arch/x86/mm/mmap.c: mmap_base. */
uint64_t bases_mmap_highest(uint64_t stack_soft_bytes) {
    uint64_t pad = kernel_stack_window + stack_guard_gap, gap_max = task_size / 6 * 5;
    uint64_t gap = stack_soft_bytes + pad > stack_soft_bytes ? stack_soft_bytes + pad : gap_max;
    return (task_size - (gap < gap_max ? gap : gap_max)) & ~(((uint64_t)1 << PAGE_SHIFT) - 1);
}

struct bases bases_by_reservation(const unsigned char key[KEY_BYTES], const void *identity,
                                  size_t identity_bytes, uint64_t stack_soft_bytes) {
    struct bases bases = bases_by_limit(key, identity, identity_bytes);
    uint64_t mmap = number_of(key, "reserved mmap", identity, identity_bytes);
    uint64_t stack = number_of(key, "reserved stack", identity, identity_bytes);
    bases.reserve_end = bases_mmap_highest(stack_soft_bytes);
    /* Below the lowest that the kernel can have chosen: a page, and the guard gap's worth. */
    uint64_t lowest = bases.reserve_end - pages(~(uint64_t)0, KERNEL_MMAP_BITS_MAX);
    bases.mmap_top = lowest - stack_guard_gap - pages(mmap, BASE_BITS);
    bases.stack_top = task_size - pages(stack, KERNEL_STACK_BITS);
    bases.stack_offset = (stack >> 40 & 0xff) << 4;
    return bases;
}
