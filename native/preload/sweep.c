#include "sweep.h"

#include "linux.h"
#include "maps.h"
#include "syscalls.h"

enum { ERROR_NOMEM = 12, ERROR_AGAIN = 11 };

/* ksmd without f5548c318d65 (6.1.161, 6.12.59, 6.17.9) steps over every address of a reservation
 * that holds next to nothing, for hours. */
static const size_t sparse_bytes = (size_t)1 << 30;

struct run {
    uintptr_t start, end;
};

struct walk {
    struct sweep *sweep;
    struct run run;
    size_t vmas;
    bool is_seen[EXCLUDED_MAX];
};

static bool is_sparse(const struct sweep *sweep, const struct vma *vma) {
    size_t bytes = vma->end - vma->start;
    return bytes >= sparse_bytes && bytes / 4 > sweep->resident_bytes;
}

static bool is_wanted(struct walk *walk, const struct vma *vma) {
    struct sweep *sweep = walk->sweep;
    /* Looked at for every VMA, so that ranges still mapped are known. */
    if (excluded_overlaps(sweep->excluded, vma->start, vma->end, walk->is_seen))
        return false;
    if (!vma->is_private_writable || vma->is_main_stack)
        return false;
    if (is_sparse(sweep, vma)) {
        sweep->has_sparse = true;
        return false;
    }
    return true;
}

static void update_state(struct walk *walk) {
    struct sweep *sweep = walk->sweep;
    if (sweep->state != SWEEP_MARKING)
        return;
    if (atomic_load(&sweep->excluded->is_full))
        sweep->state = SWEEP_STOPPED_EXCLUDED;
    else if (sweep->vmas > sweep->vmas_max || walk->vmas > sweep->vmas_max)
        sweep->state = SWEEP_STOPPED_AT_MAP_LIMIT;
}

static void mark(struct walk *walk) {
    struct sweep *sweep = walk->sweep;
    struct run run = walk->run;
    walk->run = (struct run){0};
    if (run.end - run.start < sweep->mark_min_bytes || run.end == 0)
        return;
    update_state(walk);
    if (sweep->state != SWEEP_MARKING)
        return;
    long length = (long)(run.end - run.start);
    long result = SYSTEM_CALL(NUMBER_MADVISE, (long)run.start, length, MADV_MERGEABLE);
    /* The program was quicker: what it wants stands. */
    for (int i = 0; i < atomic_load(&sweep->excluded->used); i++) {
        uintptr_t start = atomic_load(&sweep->excluded->ranges[i].start);
        uintptr_t end = atomic_load(&sweep->excluded->ranges[i].end);
        if (start < run.end && end > run.start && start != 0)
            SYSTEM_CALL(NUMBER_MADVISE, (long)start, (long)(end - start), MADV_UNMERGEABLE);
    }
    /* ENOMEM: a part is not mapped any more, and the rest is marked. EAGAIN: at the map limit. */
    if (result == 0 || result == -ERROR_NOMEM)
        sweep->marked_bytes += run.end - run.start;
    else
        sweep->state = result == -ERROR_AGAIN ? SWEEP_STOPPED_AT_MAP_LIMIT : SWEEP_NO_KSM;
}

static void visit(struct walk *walk, const struct vma *vma) {
    walk->vmas++;
    bool wanted = is_wanted(walk, vma);
    if (wanted && walk->run.end >= vma->start && walk->run.end != 0) {
        /* The VMA may have grown down or joined the one before while the walk was on. */
        walk->run.end = vma->end;
        return;
    }
    mark(walk);
    if (wanted)
        walk->run = (struct run){vma->start, vma->end};
}

bool sweep_once(struct sweep *sweep) {
    struct walk walk = {.sweep = sweep};
    struct maps_reader reader = {0};
    struct vma vma;
    unsigned changes = atomic_load(&sweep->excluded->changes);
    sweep->state = SWEEP_MARKING;
    sweep->marked_bytes = 0;
    sweep->has_sparse = false;
    unsigned long long offset = 0;
    for (;;) {
        long length = pread_at(sweep->maps, sweep->buffer, sweep->buffer_bytes, offset);
        if (length < 0)
            return false;
        if (length == 0)
            break;
        if (atomic_load(sweep->is_told_to_leave))
            return true;
        offset += (unsigned long long)length;
        for (long i = 0; i < length; i++)
            if (maps_read_byte(&reader, sweep->buffer[i], &vma))
                visit(&walk, &vma);
    }
    mark(&walk);
    sweep->vmas = walk.vmas;
    excluded_forget_unseen(sweep->excluded, walk.is_seen, changes);
    update_state(&walk);
    return true;
}
