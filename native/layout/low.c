#include "low.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

struct low low_of(const struct machine *machine, uint64_t bytes, uint64_t program_start,
                  uint64_t program_end) {
    struct low low = {.count = 0};
    uint64_t at = machine->low_start;
    for (;;) {
        if (at >= program_start && at < program_end)
            at = program_end;
        if (bytes == 0 || at >= machine->low_end)
            break;
        uint64_t end = at + bytes < machine->low_end ? at + bytes : machine->low_end;
        if (at < program_start && end > program_start)
            end = program_start;
        low.closed[low.count].start = at;
        low.closed[low.count++].end = end;
        bytes -= end - at;
        at = end;
    }
    low.next = at < machine->low_end ? at : 0;
    return low;
}

uint64_t low_brk_base(const struct low *low, uint64_t program_end) {
    uint64_t end = low->count == 0 ? 0 : low->closed[low->count - 1].end;
    return end > program_end ? end : program_end;
}

/* Maps inaccessible anonymous pages. */
static int64_t map_nothing(struct injection *injection, uint64_t start, uint64_t bytes, int flags) {
    flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    return remote_call(injection, mmap, start, bytes, PROT_NONE, (uint64_t)flags, (uint64_t)-1);
}

/* Excluded from KSM: before f5548c318d65 (6.1.161, 6.12.59, 6.17.9, 6.18) ksmd scanned each
 * page. */
bool reserve(struct injection *injection, uint64_t start, uint64_t end, int flags) {
    if (map_nothing(injection, start, end - start, flags) != (int64_t)start)
        return false;
    int64_t result = remote_call(injection, madvise, start, end - start, MADV_UNMERGEABLE);
    return result == 0 || result == -EINVAL; /* no CONFIG_KSM */
}

bool ask_for_page(struct injection *injection, int flags, uint64_t *place) {
    uint64_t bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    int64_t given = map_nothing(injection, 0, bytes, flags);
    *place = given <= 0 ? 0 : (uint64_t)given;
    return given != INJECT_LOST &&
           (*place == 0 || remote_call(injection, munmap, *place, bytes) == 0);
}

/* The kernel maps nothing in the gap below a stack (vm_start_gap in include/linux/mm.h), and a page
 * that grows down is a stack: 32 of them close 32 MiB. A reservation would count against limits of
 * the address space and for mlockall(2). */
static bool close_by_gaps(struct injection *injection, const struct machine *machine,
                          uint64_t start, uint64_t end) {
    enum { PAGES_MAX = 64 };
    int pages = 0;
    for (uint64_t at = end; at > start;) {
        /* If the kernel's command line sets a very small gap. */
        if (++pages > PAGES_MAX)
            return false;
        uint64_t page = at - machine->page_bytes;
        if (map_nothing(injection, page, machine->page_bytes,
                        MAP_GROWSDOWN | MAP_FIXED_NOREPLACE) != (int64_t)page)
            return false;
        at = page - start > machine->stack_guard_gap ? page - machine->stack_guard_gap : start;
    }
    return true;
}

static bool close_by_reservation(struct injection *injection, const struct low *low) {
    for (int i = 0; i < low->count; i++)
        if (!reserve(injection, low->closed[i].start, low->closed[i].end, MAP_FIXED))
            return false;
    return true;
}

bool low_close(struct injection *injection, const struct machine *machine, const struct low *low,
               bool may_count) {
    uint64_t place = 0;
    bool is_closed = !may_count;
    for (int i = 0; is_closed && i < low->count; i++)
        is_closed = close_by_gaps(injection, machine, low->closed[i].start, low->closed[i].end);
    if (low->count == 0 ||
        (is_closed && ask_for_page(injection, MAP_32BIT, &place) && place == low->next))
        return true;
    return close_by_reservation(injection, low);
}
