#include "check.h"

#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/types.h>

#include "tracee.h"

static bool is_in(const struct image_vma *vma, uint64_t start, uint64_t end) {
    return vma->start >= start && vma->end <= end;
}

static bool is_reservation(const struct image_vma *vma, const struct bases *bases,
                           const struct low *low) {
    if (bases->reserve_end != 0 && is_in(vma, bases->mmap_top, bases->reserve_end))
        return vma->is_reserved;
    for (int i = 0; i < low->count; i++)
        if (is_in(vma, low->closed[i].start, low->closed[i].end))
            return vma->is_reserved;
    return false;
}

/* What the kernel had above the stack (before 6.13) goes slightly above the mmap area. */
static bool is_below_top(const struct image_vma *vma, const struct machine *machine,
                         const struct bases *bases) {
    uint64_t above =
        bases->reserve_end == 0 && vma->part == PART_KERNELS ? MOVE_ABOVE_BYTES_MAX : 0;
    return is_in(vma, bases->mmap_top - machine->loader_bytes_max, bases->mmap_top + above);
}

/* Except vsyscall, and a page at 0 that a personality requests (MMAP_PAGE_ZERO). */
static bool is_fixed(const struct image_vma *vma) {
    return vma->start == 0 || vma->end >= (uint64_t)1 << 63;
}

const char *check_image(const struct image *moved, const struct next_places *next,
                        const struct machine *machine, const struct bases *bases,
                        const struct destination *destination) {
    uint64_t start = moved->parts[PART_PROGRAM].start, end = moved->parts[PART_PROGRAM].end;
    bool has_program = false;
    if (start != destination->program)
        return "the program is not where the group has it";
    if (moved->parts[PART_STACK].end != bases->stack_top)
        return "the stack is not where the group has it";
    for (int i = 0; i < moved->vma_count; i++) {
        const struct image_vma *vma = &moved->vmas[i];
        has_program |= vma->start == start;
        if (vma->part != PART_STACK && !is_in(vma, start, end) && !is_fixed(vma) &&
            !is_reservation(vma, bases, &destination->low) && !is_below_top(vma, machine, bases))
            return "a mapping is where the group has none";
    }
    if (!has_program)
        return "the program is not where the group has it";
    if (moved->start_brk != destination->brk)
        return "the brk heap does not begin where the group has it";
    if (next->mmap != 0 &&
        (next->mmap >= bases->mmap_top || bases->mmap_top - next->mmap > machine->loader_bytes_max))
        return "the mmap area is not where the group has it";
    if (next->low != 0 && destination->low.next != 0 && next->low != destination->low.next)
        return "the MAP_32BIT area is not where the group has it";
    return NULL;
}

/* Otherwise its descendants would not be randomised, and its threads' stacks would have another
 * size. */
static bool is_put_back(pid_t pid, const struct arranged *arranged) {
    unsigned long now;
    uint64_t stack_bytes;
    return tracee_personality(pid, &now) &&
           ((now ^ arranged->personality) & ADDR_NO_RANDOMIZE) == 0 &&
           tracee_limit(pid, "Max stack size", &stack_bytes) &&
           stack_bytes == arranged->stack_soft_bytes;
}

const char *check_moved(struct injection *injection, const struct machine *machine,
                        const struct bases *bases, const struct destination *destination,
                        const struct arranged *arranged) {
    static struct image moved; /* see decide_and_move() */
    struct next_places next = {.low = 0};
    if (!ask_for_page(injection, 0, &next.mmap) ||
        (MAP_32BIT != 0 && !ask_for_page(injection, MAP_32BIT, &next.low)))
        return "asking where the next page goes";
    const char *failed = image_read(&moved, injection);
    if (failed != NULL)
        return failed;
    if (arranged != NULL && !is_put_back(injection->pid, arranged))
        return "personality or stack limit are not put back";
    return check_image(&moved, &next, machine, bases, destination);
}
