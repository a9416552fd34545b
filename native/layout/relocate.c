#include "relocate.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "announce.h"

enum { BLOCK_STEP = 64 * 1024, SCRATCH_BYTES = 1024, WORD = sizeof(uint64_t) };
/* Where the kernel put vvar and vdso above the stack (before 6.13), they go here above the mmap
 * area, which grows down. */
static const uint64_t kernels_gap = 2 << 20;

#if defined(__x86_64__)
#define STACK_POINTER(registers) ((registers).rsp)
#define PROGRAM_COUNTER(registers) ((registers).rip)
#else
#define STACK_POINTER(registers) ((registers).sp)
#define PROGRAM_COUNTER(registers) ((registers).pc)
#endif

/* By how much each part moves; 0: it stays. */
struct deltas {
    uint64_t program, kernels, stack;
};

struct relocation {
    struct injection *injection;
    const struct image *image;
    struct deltas deltas;
};

/* Congruent to where it was, by the largest alignment of its segments. */
static uint64_t program_delta(const struct image *image, const struct bases *bases) {
    if (!image->is_movable)
        return 0;
    uint64_t mask = image->program_align - 1;
    return (bases->program & ~mask) + (image->program_start & mask) - image->program_start;
}

bool relocate_fits(const struct image *image, const struct bases *bases) {
    uint64_t delta = program_delta(image, bases), bytes = image->program_end - image->program_start;
    return !image->is_movable || (delta >= bytes && -delta >= bytes);
}

static uint64_t kernels_delta(const struct image *image, uint64_t mmap_top) {
    for (int i = 0; i < image->vma_count; i++)
        if (image->vmas[i].is_kernels && image->vmas[i].start >= mmap_top)
            return mmap_top + kernels_gap - image->vmas[i].start;
    return 0;
}

static bool is_within(uint64_t address, uint64_t start, uint64_t end) {
    return address >= start && address < end;
}

static uint64_t delta_of(const struct relocation *relocation, uint64_t address) {
    const struct image *image = relocation->image;
    if (is_within(address, image->stack_start, image->stack_end + 1))
        return relocation->deltas.stack;
    if (is_within(address, image->program_start, image->program_end + 1))
        return relocation->deltas.program;
    for (int i = 0; i < image->vma_count; i++)
        if (image->vmas[i].is_kernels &&
            is_within(address, image->vmas[i].start, image->vmas[i].end))
            return relocation->deltas.kernels;
    return 0;
}

static uint64_t moved(const struct relocation *relocation, uint64_t address) {
    return address + delta_of(relocation, address);
}

static bool move_all(struct relocation *relocation) {
    const struct image *image = relocation->image;
    for (int i = 0; i < image->vma_count; i++) {
        const struct image_vma *vma = &image->vmas[i];
        uint64_t delta = delta_of(relocation, vma->start), bytes = vma->end - vma->start;
        if (delta == 0)
            continue;
        const uint64_t arguments[6] = {vma->start, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                                       vma->start + delta};
        struct injection *injection = relocation->injection;
        if ((uint64_t)inject(injection, SYS_mremap, arguments) != vma->start + delta)
            return false;
        if (is_within(injection->instruction, vma->start, vma->end))
            injection->instruction += delta;
    }
    return true;
}

/* argc, argv, NULL, environment, NULL, auxiliary vector, AT_NULL and a word (x86-64 psABI 3.4.1).
 */
struct block {
    uint64_t *words;
    size_t count, auxv, auxv_count;
};

/* Reads what lies from the stack pointer to the end of the stack, and finds the block in it. */
static bool read_block(const struct relocation *relocation, struct block *block) {
    uint64_t start = STACK_POINTER(relocation->injection->registers);
    size_t bytes = relocation->image->stack_end - start, words = bytes / WORD;
    block->words = malloc(bytes);
    if (block->words == NULL ||
        !injection_read(relocation->injection, start, block->words, words * WORD))
        return false;
    size_t at = 0;
    for (int ends = 0; at < words && ends < 2; at++)
        ends += at > 0 && block->words[at] == 0;
    block->auxv = at;
    while (at + 1 < words && block->words[at] != AT_NULL)
        at += 2;
    block->count = at + 2;
    block->auxv_count = at + 2 - block->auxv;
    return block->count <= words;
}

static void move_pointers(const struct relocation *relocation, struct block *block) {
    for (size_t i = 1; i < block->auxv; i++)
        block->words[i] = moved(relocation, block->words[i]);
    for (size_t i = block->auxv; i < block->count; i += 2) {
        switch (block->words[i]) {
        case AT_PHDR:
        case AT_BASE:
        case AT_ENTRY:
        case AT_PLATFORM:
        case AT_BASE_PLATFORM:
        case AT_RANDOM:
        case AT_EXECFN:
        case AT_SYSINFO_EHDR:
            block->words[i + 1] = moved(relocation, block->words[i + 1]);
            break;
        default:
            break;
        }
    }
}

/* Programs hash addresses of locals, so the block is put at one place, whatever the length of the
 * arguments. Where the stack is too small for that it stays at its place in it. */
static uint64_t block_address(const struct relocation *relocation, const struct block *block,
                              const struct bases *bases) {
    const struct image *image = relocation->image;
    uint64_t now = STACK_POINTER(relocation->injection->registers);
    uint64_t used = image->stack_end - now;
    used = (used + BLOCK_STEP - 1) / BLOCK_STEP * BLOCK_STEP + bases->stack_offset;
    uint64_t wanted = bases->stack_top - used;
    uint64_t lowest = image->stack_start + relocation->deltas.stack + SCRATCH_BYTES;
    return wanted >= lowest && wanted + block->count * WORD <= now + relocation->deltas.stack
               ? wanted
               : now + relocation->deltas.stack;
}

static bool write_block(const struct relocation *relocation, const struct block *block,
                        uint64_t address) {
    uint64_t before = STACK_POINTER(relocation->injection->registers) + relocation->deltas.stack;
    size_t bytes = block->count * WORD;
    void *zeros = calloc(1, bytes);
    bool is_written = zeros != NULL &&
                      injection_write(relocation->injection, before, zeros, bytes) &&
                      injection_write(relocation->injection, address, block->words, bytes);
    free(zeros);
    return is_written;
}

/* prctl(2): PR_SET_MM_MAP. The structure is written below the stack pointer and taken away again.
 */
static bool tell_kernel(const struct relocation *relocation, const struct block *block,
                        uint64_t address, uint64_t brk) {
    const struct image *image = relocation->image;
    struct prctl_mm_map map = {
        .start_code = moved(relocation, image->start_code),
        .end_code = moved(relocation, image->end_code),
        .start_data = moved(relocation, image->start_data),
        .end_data = moved(relocation, image->end_data),
        .start_brk = brk,
        .brk = brk,
        .start_stack = address,
        .arg_start = moved(relocation, image->arg_start),
        .arg_end = moved(relocation, image->arg_end),
        .env_start = moved(relocation, image->env_start),
        .env_end = moved(relocation, image->env_end),
        .auxv = (void *)(address + block->auxv * WORD),
        .auxv_size = (uint32_t)(block->auxv_count * WORD),
        .exe_fd = (uint32_t)-1,
    };
    unsigned char zeros[sizeof map] = {0};
    uint64_t scratch = (address - SCRATCH_BYTES) & ~(uint64_t)63;
    const uint64_t arguments[6] = {PR_SET_MM, PR_SET_MM_MAP, scratch, sizeof map};
    return injection_write(relocation->injection, scratch, &map, sizeof map) &&
           inject(relocation->injection, SYS_prctl, arguments) == 0 &&
           injection_write(relocation->injection, scratch, zeros, sizeof zeros);
}

static bool undo_arranged(const struct relocation *relocation, const struct arranged *arranged) {
    const uint64_t arguments[6] = {arranged->personality};
    struct rlimit stack = {arranged->stack_soft_bytes, arranged->stack_hard_bytes};
    return inject(relocation->injection, SYS_personality, arguments) >= 0 &&
           prlimit(relocation->injection->pid, RLIMIT_STACK, &stack, NULL) == 0;
}

const char *relocate(struct injection *injection, const struct image *image,
                     const struct bases *bases, const struct arranged *arranged) {
    struct relocation relocation = {
        .injection = injection,
        .image = image,
        .deltas = {.program = program_delta(image, bases),
                   .kernels = kernels_delta(image, arranged->mmap_top),
                   .stack = bases->stack_top - image->stack_end},
    };
    struct block block = {0};
    const char *failed = NULL;
    if (!read_block(&relocation, &block))
        failed = "reading the arguments on the stack";
    else if (!move_all(&relocation))
        failed = "mremap";
    if (failed == NULL) {
        uint64_t address = block_address(&relocation, &block, bases);
        uint64_t brk = moved(&relocation, image->program_end) +
                       (image->is_movable ? bases->brk_offset : bases->brk_low_offset);
        move_pointers(&relocation, &block);
        if (!write_block(&relocation, &block, address))
            failed = "writing the arguments to the stack";
        else if (!tell_kernel(&relocation, &block, address, brk))
            failed = "prctl(PR_SET_MM_MAP)";
        else if (!announce_code(injection, image, relocation.deltas.program,
                                (address - SCRATCH_BYTES) & ~(uint64_t)63))
            failed = "mapping its code again";
        else if (!undo_arranged(&relocation, arranged))
            failed = "putting personality and stack limit back";
        PROGRAM_COUNTER(injection->registers) =
            moved(&relocation, PROGRAM_COUNTER(injection->registers));
        STACK_POINTER(injection->registers) = address;
    }
    free(block.words);
    return failed;
}
