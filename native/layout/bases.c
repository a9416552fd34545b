#include "bases.h"

#include <string.h>

#include "sha256.h"

enum { PAGE_SHIFT = 12, BASE_BITS = 28, BRK_LOW_BITS = 18, STACK_PAGE_BITS = 25 };

/* Within the kernel's own windows (arch/x86/include/asm/elf.h, arch/x86/mm/mmap.c), which are those
 * that ThreadSanitizer can live with (compiler-rt/lib/tsan/rtl/tsan_platform.h): programs from
 * 0x550000000000 to 0x568000000000, all else from 0x7e8000000000 on. The stack has the last 256 GiB
 * less a GiB, which it may grow to. */
static const uint64_t program_low = 0x555555554000, mmap_low = 0x7ebf00000000,
                      stack_low = 0x7fdfc0000000;

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

static uint64_t pages(uint64_t number, int bits) {
    return (number & (((uint64_t)1 << bits) - 1)) << PAGE_SHIFT;
}

struct bases bases_derive(const unsigned char key[KEY_BYTES], const void *identity,
                          size_t identity_bytes, unsigned attempt) {
    uint64_t stack = number_of(key, "stack", identity, identity_bytes, attempt);
    /* The mmap area is placed before the exec tells which program it is for. */
    uint64_t mmap = number_of(key, "mmap", "", 0, attempt);
    uint64_t program = number_of(key, "program", identity, identity_bytes, attempt);
    uint64_t brk = number_of(key, "brk", identity, identity_bytes, attempt);
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
