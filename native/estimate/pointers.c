#include "pointers.h"

#include <stdlib.h>
#include <string.h>

#include "walk.h"

/* User addresses have 47 bits on x86_64 and 48 on arm64; the bits above them in a word may be a tag
 * (LuaJIT, JavaScriptCore) and are kept. */
#if defined(__aarch64__)
#define ADDRESS_MASK ((UINT64_C(1) << 48) - 1)
#else
#define ADDRESS_MASK ((UINT64_C(1) << 47) - 1)
#endif
/* The kernel searches for free space from the top of the area downwards, so what is further below
 * its neighbour was put there by an address that the program requested. */
#define GAP_MAX_BYTES (UINT64_C(1) << 36)
/* LuaJIT has 32-bit pointers to memory that it requests below this. */
#define HALF_MAX (UINT64_C(1) << 32)
#define HALF_MASK (HALF_MAX - 1)
/* Names are addresses that nothing uses, so that no other word is mistaken for one. */
#define NAME_LOW UINT64_C(0x0f0f10000000)
#define NAME_KERNELS UINT64_C(0x1f0f10000000)
#define NAME_ANONYMOUS UINT64_C(0x2f0f10000000)
#define NAME_STACK UINT64_C(0x3f0f10000000)
#define NAME_FILE_MASK UINT64_C(0x3ffff0000000)

static struct window window(uint64_t start, uint64_t end) {
    /* A pointer just past the end counts too. */
    return (struct window){start, end > start ? end - start + 1 : 0};
}

static bool is_in(struct window window, uint64_t address) {
    return address - window.start < window.bytes;
}

/* Index at which the mmap area begins; lower vmas are not part of it. */
static size_t find_area(const struct vmas *vmas) {
    size_t first = vmas->count;
    while (first > 0 && vmas->items[first - 1].kind != KIND_STACK)
        first--;
    uint64_t above = 0;
    for (; first > 0; above = vmas->items[--first].start)
        /* The stack's own distance is random too, and may be large. */
        if (above != 0 && vmas->items[first - 1].kind != KIND_STACK &&
            above - vmas->items[first - 1].end > GAP_MAX_BYTES && first < vmas->count &&
            vmas->items[first].kind != KIND_STACK)
            break;
    return first;
}

/* From the first mapping of the program to the end of its heap, if that is below the area. */
static struct window find_low(const struct vmas *vmas, size_t area) {
    uint64_t start = 0, end = 0;
    for (size_t i = 0; i < area; i++) {
        const struct mapping *vma = &vmas->items[i];
        bool follows = end != 0 && vma->start == end && vma->kind == KIND_ANONYMOUS;
        if (!vma->is_program && vma->kind != KIND_HEAP && !follows)
            continue;
        start = start == 0 ? vma->start : start;
        end = vma->end;
    }
    return window(start, end);
}

static struct span name(const struct mapping *vma) {
    struct span span = {vma->start, vma->end, 0, UINT64_MAX};
    if (vma->kind == KIND_KERNELS)
        span.base = NAME_KERNELS - vma->end;
    else if (vma->kind == KIND_STACK)
        span.base = NAME_STACK - vma->end;
    else if (vma->file != 0)
        span.base = (vma->file & NAME_FILE_MASK) + vma->offset - vma->start;
    else {
        span.base = NAME_ANONYMOUS;
        span.mask = page_bytes() - 1;
    }
    return span;
}

static bool reserve(struct pointers *pointers, size_t count) {
    if (count <= pointers->capacity)
        return true;
    struct span *spans = realloc(pointers->spans, count * sizeof *spans);
    if (spans == NULL)
        return false;
    pointers->spans = spans;
    pointers->capacity = count;
    return true;
}

bool pointers_learn(struct pointers *pointers, const struct vmas *vmas) {
    if (!reserve(pointers, vmas->count))
        return false;
    size_t area = find_area(vmas);
    struct window low = find_low(vmas, area);
    uint64_t below = 0, high_start = 0, high_end = 0, half_start = 0, half_end = 0;
    pointers->count = 0;
    for (size_t i = 0; i < vmas->count; i++) {
        const struct mapping *vma = &vmas->items[i];
        struct span span = name(vma);
        if (vma->start > ADDRESS_MASK)
            break;
        bool is_half = i < area && vma->kind == KIND_ANONYMOUS && vma->end <= HALF_MAX;
        if (i < area && !is_in(low, vma->end) && !is_half)
            continue;
        if (i < area && !is_in(low, vma->end)) {
            half_start = half_start == 0 ? vma->start : half_start;
            half_end = vma->end;
        } else if (i < area) {
            /* Between the program and its heap there is a random gap. */
            span = (struct span){vma->start, vma->end, NAME_LOW + below - vma->start, UINT64_MAX};
            below += vma->end - vma->start;
        } else {
            high_start = high_start == 0 ? vma->start : high_start;
            high_end = vma->end;
        }
        pointers->spans[pointers->count++] = span;
    }
    pointers->low = low;
    pointers->high = window(high_start, high_end);
    pointers->half = window(half_start, half_end);
    memset(pointers->recent, 0, sizeof pointers->recent);
    return true;
}

static const struct span *find(struct pointers *pointers, uint64_t address) {
    uint32_t *recent = &pointers->recent[(address >> 16) % POINTERS_RECENT];
    const struct span *span = &pointers->spans[*recent];
    if (*recent < pointers->count && address >= span->start && address < span->end)
        return span;
    size_t first = 0, last = pointers->count;
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (pointers->spans[middle].end < address)
            first = middle + 1;
        else
            last = middle;
    }
    /* If two touch, the address between them belongs to the upper one. */
    if (first + 1 < pointers->count && pointers->spans[first + 1].start == address)
        first++;
    span = &pointers->spans[first];
    if (first == pointers->count || address < span->start)
        return NULL;
    *recent = (uint32_t)first;
    return span;
}

static uint64_t name_of(struct pointers *pointers, uint64_t address) {
    const struct span *span = find(pointers, address);
    return span == NULL ? address : span->base + (address & span->mask);
}

static uint64_t replace_half(struct pointers *pointers, uint64_t half) {
    return is_in(pointers->half, half) ? name_of(pointers, half) & HALF_MASK : half;
}

void pointers_replace(struct pointers *pointers, const uint64_t *words, uint64_t *named,
                      size_t count) {
    bool has_halves = pointers->half.bytes != 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t word = words[i], address = word & ADDRESS_MASK;
        if (is_in(pointers->low, address) || is_in(pointers->high, address))
            word = (word & ~ADDRESS_MASK) | (name_of(pointers, address) & ADDRESS_MASK);
        else if (has_halves)
            word =
                replace_half(pointers, word >> 32) << 32 | replace_half(pointers, word & HALF_MASK);
        named[i] = word;
    }
}
