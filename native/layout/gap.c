#include "gap.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

enum { GAP_BYTES_MAX = 64 << 20 };

static char *map_at(char *place, size_t bytes, int flags) {
    void *mapped =
        mmap(place, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

/* A hint, which the kernel follows only outside of gaps (vm_start_gap in mm/mmap.c). */
static bool may_be_mapped(char *place, size_t bytes) {
    char *given = map_at(place, bytes, 0);
    if (given != NULL)
        munmap(given, bytes);
    return given == place;
}

/* Maps a page that grows down at the end of an otherwise free range of this many bytes. */
static char *stack_behind(size_t bytes, size_t page_bytes) {
    char *place = map_at(NULL, bytes + page_bytes, 0);
    if (place == NULL || munmap(place, bytes + page_bytes) != 0)
        return NULL;
    return map_at(place + bytes, page_bytes, MAP_GROWSDOWN | MAP_FIXED_NOREPLACE);
}

uint64_t gap_here(uint64_t page_bytes, uint64_t usual_bytes) {
    uint64_t least = 0, most = usual_bytes;
    char *stack = stack_behind(usual_bytes + page_bytes, page_bytes);
    if (stack == NULL)
        return usual_bytes;
    bool is_larger = !may_be_mapped(stack - usual_bytes - page_bytes, page_bytes);
    bool is_usual = !is_larger && !may_be_mapped(stack - usual_bytes, page_bytes);
    if (is_larger) {
        munmap(stack, page_bytes);
        least = usual_bytes;
        most = GAP_BYTES_MAX;
        stack = stack_behind(GAP_BYTES_MAX + page_bytes, page_bytes);
        is_usual = stack == NULL || !may_be_mapped(stack - most - page_bytes, page_bytes);
    }
    while (!is_usual && most - least >= page_bytes) {
        uint64_t middle = least + (most - least) / 2 / page_bytes * page_bytes;
        if (may_be_mapped(stack - middle - page_bytes, page_bytes))
            most = middle;
        else
            least = middle + page_bytes;
    }
    if (stack != NULL)
        munmap(stack, page_bytes);
    return is_usual ? usual_bytes : most;
}
