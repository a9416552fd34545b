#include "room.h"

/* Above vm.mmap_min_addr, and where hardly any program is linked to be. */
static const uint64_t lowest = 16 << 20;

static int position_of(enum image_part part) {
    int position = 0;
    while (position < IMAGE_PARTS && ROOM_ORDER[position] != part)
        position++;
    return position;
}

static uint64_t delta_of(const struct image_vma *vma, const uint64_t deltas[IMAGE_PARTS]) {
    return vma->part == PART_FIXED ? 0 : deltas[vma->part];
}

static bool overlap(uint64_t start, uint64_t end, uint64_t other_start, uint64_t other_end) {
    return start < other_end && other_start < end;
}

/* Where the other one is when this one is moved. */
static bool lands_on(const struct image_vma *vma, const struct image_vma *other,
                     const uint64_t deltas[IMAGE_PARTS]) {
    uint64_t delta = delta_of(vma, deltas);
    bool is_moved = position_of(other->part) < position_of(vma->part);
    uint64_t other_delta = is_moved ? delta_of(other, deltas) : 0;
    return vma->part != other->part &&
           overlap(vma->start + delta, vma->end + delta, other->start + other_delta,
                   other->end + other_delta);
}

bool room_is_free(const struct image *image, const uint64_t deltas[IMAGE_PARTS]) {
    for (int i = 0; i < image->vma_count; i++)
        for (int j = 0; delta_of(&image->vmas[i], deltas) != 0 && j < image->vma_count; j++)
            if (lands_on(&image->vmas[i], &image->vmas[j], deltas))
                return false;
    return true;
}

/* Behind everything that is or will be in the way, as often as something is. */
uint64_t room_to_hop(const struct image *image, const uint64_t deltas[IMAGE_PARTS],
                     enum image_part part) {
    uint64_t bytes = image->parts[part].end - image->parts[part].start, at = lowest;
    for (bool is_free = false; !is_free;) {
        is_free = true;
        for (int i = 0; i < 2 * image->vma_count; i++) {
            const struct image_vma *vma = &image->vmas[i / 2];
            uint64_t delta = i % 2 == 0 ? 0 : delta_of(vma, deltas);
            if (overlap(at, at + bytes, vma->start + delta, vma->end + delta)) {
                at = vma->end + delta;
                is_free = false;
            }
        }
    }
    return at;
}
