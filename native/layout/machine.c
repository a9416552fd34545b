#include "machine.h"

#include <stdbool.h>
#include <sys/auxv.h>

#include "gap.h"

#if defined(__x86_64__)
static const enum architecture own_architecture = X86_64;
#elif defined(__aarch64__)
static const enum architecture own_architecture = AARCH64;
#else
#error "layouts are for x86_64 and aarch64"
#endif

/* max-page-size of these machines in binutils (bfd/elf64-x86-64.c, bfd/elfnn-aarch64.c) and lld. */
enum { SEGMENT_BYTES_X86_64 = 4 << 10, SEGMENT_BYTES_AARCH64 = 64 << 10 };
/* mm/mmap.c, unless the kernel's command line changes it. */
enum { STACK_GUARD_GAP_PAGES = 256, ADDRESS_BITS_X86_64 = 47 };

/* STACK_RND_MASK, in pages (arch/x86/include/asm/elf.h, arch/arm64/include/asm/elf.h). */
static const uint64_t STACK_RANDOM_BYTES_X86_64 = (uint64_t)0x3fffff << 12,
                      STACK_RANDOM_BYTES_AARCH64 = (uint64_t)0x3ffff << 12;
/* ARCH_MMAP_RND_BITS_MAX (arch/x86/Kconfig, arch/arm64/Kconfig): 32 bits of 4 KiB; 33 bits of 4, 31
 * of 16 and 29 of 64 KiB. */
static const uint64_t MMAP_RANDOM_BYTES_X86_64 = (uint64_t)1 << 44,
                      MMAP_RANDOM_BYTES_AARCH64 = (uint64_t)1 << 45;

/* arch/x86/kernel/sys_x86_64.c: find_start_end. */
static const uint64_t LOW_START_X86_64 = 0x40000000, LOW_END_X86_64 = 0x80000000,
                      LOW_RANDOM_BYTES_X86_64 = 0x02000000;

/* arch/x86/include/asm/page_32_types.h and page_64_types.h: IA32_PAGE_OFFSET; elf.h:
 * __STACK_RND_MASK; arch/x86/Kconfig: ARCH_MMAP_RND_COMPAT_BITS_MAX, because only root may read
 * vm.mmap_rnd_compat_bits. */
static const uint64_t STACK_TOP_I386 = 0xffffe000, STACK_RANDOM_BYTES_I386 = (uint64_t)0x7ff << 12,
                      MMAP_RANDOM_BYTES_I386 = (uint64_t)1 << 28;
/* Above what AddressSanitizer uses as its shadow (compiler-rt/lib/asan/asan_mapping.h: from
 * 0x20000000 to 0x40000000). */
static const uint64_t PROGRAMS_I386 = 0x40000000;

static const uint64_t mib = (uint64_t)1 << 20, gib = (uint64_t)1 << 30;

/* Other programs would not fit between each other (bases.c). */
static void set_maxima(struct machine *machine) {
    bool is_narrow = machine->architecture == I386;
    machine->program_bytes_max = is_narrow ? 768 * mib : 1024 * gib;
    machine->program_align_max = is_narrow ? 2 * mib : gib;
    machine->loader_bytes_max = is_narrow ? 512 * mib : 4 * gib;
    /* Those of 64 bits are usually linked to far below; those of 32 have no part of the address
     * space to themselves, except above it. */
    machine->linked_end = is_narrow ? 0xa0000000 : machine->programs;
}

static struct machine machine_i386(uint64_t page_bytes) {
    struct machine machine = {
        .architecture = I386,
        .page_bytes = page_bytes,
        .segment_bytes = page_bytes,
        .address_bits = 32,
        .stack_top = STACK_TOP_I386,
        .programs = PROGRAMS_I386,
        .kernel_stack_bytes = STACK_RANDOM_BYTES_I386,
        .mmap_random_bytes = MMAP_RANDOM_BYTES_I386,
        .stack_guard_gap = STACK_GUARD_GAP_PAGES * page_bytes,
    };
    set_maxima(&machine);
    return machine;
}

/* STACK_TOP is the end of the default map window, whatever the hardware could address beyond it: -
 * arch/x86/include/asm/page_64_types.h: 47 bits less a page, also with 5-level paging; -
 * arch/arm64/include/asm/processor.h and memory.h: VA_BITS_MIN bits, the configured 36, 39, 42, 47
 * or 48; a kernel of 52 bits has 48, and 47 with pages of 16 KiB. */
struct machine machine_of(enum architecture architecture, uint64_t page_bytes,
                          uint64_t stack_address) {
    if (architecture == I386)
        return machine_i386(page_bytes);
    struct machine machine = {
        .architecture = architecture,
        .page_bytes = page_bytes,
        .segment_bytes = architecture == X86_64 ? SEGMENT_BYTES_X86_64 : SEGMENT_BYTES_AARCH64,
        .stack_guard_gap = STACK_GUARD_GAP_PAGES * page_bytes,
    };
    if (architecture == X86_64)
        machine.address_bits = ADDRESS_BITS_X86_64;
    while (stack_address >> machine.address_bits != 0)
        machine.address_bits++;
    machine.stack_top = (uint64_t)1 << machine.address_bits;
    if (architecture == X86_64) {
        machine.mmap_random_bytes = MMAP_RANDOM_BYTES_X86_64;
        machine.kernel_stack_bytes = STACK_RANDOM_BYTES_X86_64;
        machine.low_start = LOW_START_X86_64;
        machine.low_end = LOW_END_X86_64;
        machine.low_random_bytes = LOW_RANDOM_BYTES_X86_64;
        machine.stack_top -= page_bytes;
        /* ELF_ET_DYN_BASE: ThreadSanitizer supports nothing else. */
        machine.programs = machine.stack_top / 3 * 2;
    } else {
        machine.mmap_random_bytes = MMAP_RANDOM_BYTES_AARCH64;
        machine.kernel_stack_bytes = STACK_RANDOM_BYTES_AARCH64;
        /* Half of that: with 47 bits of addresses a reservation needs the space above. */
        machine.programs = machine.stack_top / 3;
    }
    machine.programs -= machine.programs % page_bytes;
    set_maxima(&machine);
    return machine;
}

struct machine machine_here(void) {
    struct machine machine =
        machine_of(own_architecture, getauxval(AT_PAGESZ), getauxval(AT_RANDOM));
    machine.stack_guard_gap = gap_here(machine.page_bytes, machine.stack_guard_gap);
    return machine;
}

struct machine machine_narrow(const struct machine *machine) {
    /* Those of aarch64 have no `int $0x80` (inject.h), and often no vDSO. */
    if (machine->architecture != X86_64)
        return (struct machine){.address_bits = 0};
    struct machine narrow = machine_i386(machine->page_bytes);
    narrow.stack_guard_gap = machine->stack_guard_gap;
    return narrow;
}
