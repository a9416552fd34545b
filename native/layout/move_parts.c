#include "move_parts.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "block.h"
#include "profiler_events.h"
#include "room.h"
#include "tracee.h"

/* STACK_BYTES_MIN: of a smaller stack the program would notice that a step is missing. */
enum { BLOCK_STEP = 64 * 1024, STACK_BYTES_MIN = 8 * BLOCK_STEP, SCRATCH_BYTES = 1024 };
/* What the kernel put above the stack (vvar and vdso, before 6.13) goes above the mmap area here,
 * as that grows down. */
static const uint64_t kernels_gap = 2 << 20;

struct move {
    struct injection *injection;
    const struct image *image;
    const uint64_t *deltas;
};

/* By limit the kernel has put them there, except what it had above the stack before 6.13. By
 * reservation they go to the top of the mmap area, which is lower. */
static void place_kernels_and_loader(uint64_t deltas[IMAGE_PARTS], const struct image *image,
                                     const struct bases *bases) {
    uint64_t start = image->parts[PART_KERNELS].start, end = image->parts[PART_KERNELS].end;
    uint64_t top = bases->mmap_top;
    if (bases->reserve_end != 0) {
        deltas[PART_KERNELS] = end == 0 ? 0 : top - end;
        deltas[PART_LOADER] = image->parts[PART_LOADER].end == 0
                                  ? 0
                                  : top - (end - start) - image->parts[PART_LOADER].end;
    } else if (start >= top) {
        deltas[PART_KERNELS] = top + kernels_gap - start;
    }
}

struct destination destination_of(const struct image *image, const struct machine *machine,
                                  const struct bases *bases) {
    uint64_t start = image->parts[PART_PROGRAM].start, end = image->parts[PART_PROGRAM].end;
    struct destination destination = {.program = start};
    if (image->is_movable) {
        /* Congruent to its old place, by the largest alignment of its segments. */
        uint64_t mask = image->program_align - 1;
        destination.program = (bases->program & ~mask) + (start & mask);
        destination.brk = destination.program + (end - start) + bases->brk_offset;
        destination.low = low_of(machine, bases->low_bytes, 0, 0);
    } else {
        /* With a reservation the exec was randomised, and with it the window: nothing obstructs a
         * brk heap that begins before it. */
        if (bases->reserve_end == 0)
            destination.low = low_of(machine, bases->low_bytes, start, end);
        destination.brk = low_brk_base(&destination.low, end) + bases->brk_low_offset;
    }
    destination.deltas[PART_PROGRAM] = destination.program - start;
    destination.deltas[PART_STACK] = bases->stack_top - image->parts[PART_STACK].end;
    place_kernels_and_loader(destination.deltas, image, bases);
    return destination;
}

static enum image_part part_of(const struct image *image, uint64_t address) {
    for (enum image_part part = 0; part < IMAGE_PARTS; part++) {
        if (address >= image->parts[part].start && address < image->parts[part].end)
            return part;
    }
    return PART_FIXED;
}

static uint64_t moved(const struct move *move, uint64_t address) {
    enum image_part part = part_of(move->image, address);
    return part == PART_FIXED ? address : address + move->deltas[part];
}

/* The end of something may be the end of its part, where another may begin. */
static uint64_t moved_end(const struct move *move, uint64_t address) {
    return moved(move, address - 1) + 1;
}

static bool move_vmas(struct injection *injection, const struct image *image, enum image_part part,
                      uint64_t from_delta, uint64_t to_delta) {
    for (int i = 0; i < image->vma_count; i++) {
        const struct image_vma *vma = &image->vmas[i];
        if (vma->part != part)
            continue;
        uint64_t from = vma->start + from_delta, to = vma->start + to_delta;
        uint64_t bytes = vma->end - vma->start;
        if ((uint64_t)remote_call(injection, mremap, from, bytes, bytes,
                                  MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
            return false;
        if (injection->instruction >= from && injection->instruction < from + bytes)
            injection->instruction += to - from;
    }
    return true;
}

/* A part that would overlap its old place is moved through a free one. */
static bool move_part(const struct move *move, enum image_part part) {
    const struct image *image = move->image;
    uint64_t bytes = image->parts[part].end - image->parts[part].start;
    uint64_t delta = move->deltas[part];
    if (delta == 0)
        return true;
    if (delta >= bytes && -delta >= bytes)
        return move_vmas(move->injection, image, part, 0, delta);
    uint64_t hop = room_to_hop(image, move->deltas, part) - image->parts[part].start;
    return move_vmas(move->injection, image, part, 0, hop) &&
           move_vmas(move->injection, image, part, hop, delta);
}

static const char *move_all(const struct move *move, const struct bases *bases) {
    for (size_t i = 0; i < IMAGE_PARTS; i++)
        if (!move_part(move, ROOM_ORDER[i]))
            return "mremap";
    /* Ranges from which the kernel would still hand out addresses. */
    if (bases->reserve_end != 0 &&
        !reserve(move->injection, bases->mmap_top, bases->reserve_end, MAP_FIXED_NOREPLACE))
        return "reserving what lies above the mmap area";
    return NULL;
}

static void move_pointers(const struct move *move, struct block *block) {
    for (size_t i = 1; i < block->auxv; i++)
        block->words[i] = moved(move, block->words[i]);
    for (size_t i = block->auxv; i < block->count; i += 2) {
        switch (block->words[i]) {
        case AT_PHDR:
        case AT_BASE:
        case AT_ENTRY:
        case AT_PLATFORM:
        case AT_BASE_PLATFORM:
        case AT_RANDOM:
        case AT_EXECFN:
        case AT_SYSINFO: /* of i386 */
        case AT_SYSINFO_EHDR:
            block->words[i + 1] = moved(move, block->words[i + 1]);
            break;
        default:
            break;
        }
    }
}

/* The limit that the program will have, and not what the stack has now: the exec reserves at least
 * 128 KiB for it, of which growth beyond takes no account (fs/exec.c: setup_arg_pages). */
static bool has_stack_room(pid_t pid, const struct arranged *arranged) {
    uint64_t bytes = 0;
    if (arranged != NULL)
        bytes = arranged->stack_soft_bytes;
    else if (!tracee_limit(pid, "Max stack size", &bytes))
        return false;
    return bytes >= STACK_BYTES_MIN;
}

/* Programs hash addresses of locals, so the block is put at a fixed place, whatever the length of
 * the arguments. If the stack is too small for that, the block stays where it is. */
static uint64_t block_address(const struct move *move, const struct block *block,
                              const struct bases *bases, const struct arranged *arranged) {
    const struct image *image = move->image;
    uint64_t now = STACK_POINTER(move->injection->registers);
    uint64_t used = image->parts[PART_STACK].end - now;
    used = (used + BLOCK_STEP - 1) / BLOCK_STEP * BLOCK_STEP + bases->stack_offset;
    uint64_t wanted = bases->stack_top - used;
    uint64_t lowest = image->parts[PART_STACK].start + move->deltas[PART_STACK] + SCRATCH_BYTES;
    bool has_room = has_stack_room(move->injection->pid, arranged) && wanted >= lowest;
    return has_room && wanted + block_bytes(block) <= now + move->deltas[PART_STACK]
               ? wanted
               : now + move->deltas[PART_STACK];
}

/* prctl(2): PR_SET_MM_MAP. The structure is written below the stack pointer and removed again. It
 * has 64 bits in i386's call too (kernel/sys.c: prctl_set_mm_map). */
static bool tell_kernel(const struct move *move, const struct block *block, uint64_t address,
                        uint64_t brk) {
    const struct image *image = move->image;
    struct prctl_mm_map map = {
        .start_code = moved(move, image->start_code),
        .end_code = moved_end(move, image->end_code),
        .start_data = moved(move, image->start_data),
        .end_data = moved_end(move, image->end_data),
        .start_brk = brk,
        .brk = brk,
        .start_stack = address,
        .arg_start = moved(move, image->arg_start),
        .arg_end = moved_end(move, image->arg_end),
        .env_start = moved(move, image->env_start),
        .env_end = moved_end(move, image->env_end),
        .auxv = (void *)(address + block->auxv * block->word_bytes),
        .auxv_size = (uint32_t)(block->auxv_count * block->word_bytes),
        .exe_fd = (uint32_t)-1,
    };
    unsigned char zeros[sizeof map] = {0};
    uint64_t scratch = (address - SCRATCH_BYTES) & ~(uint64_t)63;
    return injection_write(move->injection, scratch, &map, sizeof map) &&
           remote_call(move->injection, prctl, PR_SET_MM, PR_SET_MM_MAP, scratch, sizeof map) ==
               0 &&
           injection_write(move->injection, scratch, zeros, sizeof zeros);
}

/* The exec may have added to the personality: READ_IMPLIES_EXEC, for a program of 32 bits that
 * names no PT_GNU_STACK (arch/x86/include/asm/elf.h: elf_read_implies_exec). */
static bool undo_arranged(struct injection *injection, const struct arranged *arranged) {
    struct rlimit stack = {arranged->stack_soft_bytes, arranged->stack_hard_bytes};
    unsigned long now;
    if (!tracee_personality(injection->pid, &now))
        return false;
    now = (now & ~(unsigned long)ADDR_NO_RANDOMIZE) | (arranged->personality & ADDR_NO_RANDOMIZE);
    return remote_call(injection, personality, now) >= 0 &&
           prlimit(injection->pid, RLIMIT_STACK, &stack, NULL) == 0;
}

const char *move_parts(struct injection *injection, const struct machine *machine,
                       const struct image *image, const struct destination *destination,
                       const struct bases *bases, const struct arranged *arranged) {
    const struct move move = {injection, image, destination->deltas};
    struct block block = {0};
    const char *failed = NULL;
    if (!block_read(&block, injection, image->parts[PART_STACK].end))
        failed = "reading the arguments on the stack";
    else
        failed = move_all(&move, bases);
    if (failed == NULL &&
        !low_close(injection, machine, &destination->low, bases->reserve_end != 0))
        failed = "closing the start of what MAP_32BIT is given from";
    if (failed == NULL) {
        uint64_t address = block_address(&move, &block, bases, arranged);
        uint64_t before = STACK_POINTER(injection->registers) + move.deltas[PART_STACK];
        move_pointers(&move, &block);
        if (!block_write(&block, injection, before, address))
            failed = "writing the arguments to the stack";
        else if (!tell_kernel(&move, &block, address, destination->brk))
            failed = "prctl(PR_SET_MM_MAP)";
        else if (!profiler_events_cause(injection, image, move.deltas[PART_PROGRAM],
                                        (address - SCRATCH_BYTES) & ~(uint64_t)63))
            failed = "mapping its code again";
        else if (arranged != NULL && !undo_arranged(injection, arranged))
            failed = "putting personality and stack limit back";
        PROGRAM_COUNTER(injection->registers) = moved(&move, PROGRAM_COUNTER(injection->registers));
        STACK_POINTER(injection->registers) = address;
    }
    free(block.words);
    return failed;
}
