#include "sweep.h"

#include "../common/maps.h"
#include "linux.h"
#include "syscalls.h"

enum { ERROR_NOMEM = 12, ERROR_AGAIN = 11 };
/* A growing mapping is marked while it grows once it exceeds its marked neighbours by this
 * factor. */
enum { GROWTH_FACTOR = 8 };

/* ksmd without f5548c318d65 (6.1.161, 6.12.59, 6.17.9) steps over every address of a nearly empty
 * reservation, for hours. glibc reserves 64 MiB without access for each arena. */
static const size_t sparse_bytes = (size_t)1 << 30, sparse_reserved_bytes = (size_t)128 << 20;

/* New mappings go below the lowest one: a mapping with this much space before it grows down. */
static const size_t growth_gap_bytes = (size_t)64 << 20;

/* Adjacent VMAs that are advised together. */
struct run {
    uintptr_t start, end;
    size_t writable_bytes;
    size_t vmas;
    char perms[4];
    uintptr_t first_end; /* of its first VMA */
    bool grows_up, grows_down;
};

struct walk {
    struct sweep *sweep;
    struct run run;
    uintptr_t end; /* of the previous VMA */
    size_t vmas;
    bool is_seen[EXCLUDED_MAX];
    /* Result of the previous walk. */
    uintptr_t growing[SWEEP_GROWING_MAX];
    size_t growing_count;
};

static bool is_writable(const struct vma *vma) {
    return vma->perms[1] == 'w';
}

static bool is_sparse(const struct sweep *sweep, const struct vma *vma) {
    size_t bytes = vma->end - vma->start;
    if (!is_writable(vma))
        return bytes >= sparse_reserved_bytes;
    return bytes >= sparse_bytes && bytes / 4 > sweep->resident_bytes;
}

static bool is_wanted(struct walk *walk, const struct vma *vma) {
    struct sweep *sweep = walk->sweep;
    /* Checked for every VMA, to know which ranges are still mapped. */
    if (excluded_overlaps(sweep->excluded, vma->start, vma->end, walk->is_seen))
        return false;
    if (vma->perms[3] != 'p' || vma->is_main_stack || vma->is_kernels)
        return false;
    /* Of files only .data and similar, and not for joining. */
    if (vma->has_file && (sweep->work == SWEEP_JOIN || !is_writable(vma)))
        return false;
    /* The heap grows as requested. */
    if (!vma->is_heap && is_sparse(sweep, vma)) {
        sweep->has_sparse |= is_writable(vma);
        return false;
    }
    return true;
}

static bool continues(const struct walk *walk, const struct vma *vma) {
    const struct run *run = &walk->run;
    /* A VMA may have grown down or joined the previous one during the walk. */
    if (run->vmas == 0 || vma->start > run->end)
        return false;
    if (walk->sweep->work == SWEEP_MARK)
        return true;
    return run->perms[0] == vma->perms[0] && run->perms[1] == vma->perms[1] &&
           run->perms[2] == vma->perms[2];
}

static void update_state(struct walk *walk) {
    struct sweep *sweep = walk->sweep;
    if (sweep->state != SWEEP_AT_WORK || sweep->work == SWEEP_JOIN)
        return;
    if (atomic_load(&sweep->excluded->is_full))
        sweep->state = SWEEP_STOPPED_EXCLUDED;
    else if (sweep->vmas > sweep->vmas_max || walk->vmas > sweep->vmas_max)
        sweep->state = SWEEP_STOPPED_AT_MAP_LIMIT;
}

static long advise(uintptr_t start, uintptr_t end, int advice) {
    return SYSTEM_CALL(NUMBER_MADVISE, (long)start, (long)(end - start), advice);
}

/* The program was faster: what it wants prevails. */
static void undo_excluded(const struct excluded *excluded, uintptr_t start, uintptr_t end) {
    for (int i = 0; i < atomic_load(&excluded->used); i++) {
        uintptr_t from = atomic_load(&excluded->ranges[i].start);
        uintptr_t to = atomic_load(&excluded->ranges[i].end);
        if (from != 0 && from < end && to > start)
            advise(from, to, MADV_UNMERGEABLE);
    }
}

/* Returns whether an area with space below starts elsewhere than in the previous walk. */
static bool has_grown_down(struct walk *walk, uintptr_t start) {
    struct sweep *sweep = walk->sweep;
    if (sweep->growing_count == SWEEP_GROWING_MAX)
        return false;
    sweep->growing[sweep->growing_count++] = start;
    for (size_t i = 0; i < walk->growing_count; i++)
        if (walk->growing[i] == start)
            return false;
    return true;
}

/* Memory that is added to an area and used before the next sweep never joins what is marked
 * already: while their flags differ they get different anon_vmas (mm/vma.c: anon_vma_compatible).
 *
 * So one page is left unmarked at the end of the heap. Added memory joins that page, and when the
 * page is marked, everything before it joins the rest, because they once were one VMA. Mappings are
 * not split like that, because mremap(2) accepts one VMA only. Where they grow by new ones below,
 * the first waits until it has stopped growing, or is as large as what is marked: few are left
 * apart then. */
static void mark(struct walk *walk, const struct run *run) {
    struct sweep *sweep = walk->sweep;
    update_state(walk);
    if (run->writable_bytes < sweep->mark_min_bytes || sweep->state != SWEEP_AT_WORK)
        return;
    uintptr_t start = run->start, end = run->end - (run->grows_up ? sweep->page_bytes : 0);
    if (run->grows_down) {
        bool has_grown = has_grown_down(walk, run->start);
        size_t marked_bytes = run->end - run->first_end;
        if (has_grown && (run->first_end - run->start) / GROWTH_FACTOR < marked_bytes) {
            start = run->first_end;
            sweep->has_postponed = true;
        }
    }
    if (start >= end)
        return;
    long result = advise(start, end, MADV_MERGEABLE);
    undo_excluded(sweep->excluded, start, end);
    /* ENOMEM: a part is not mapped any more, and the rest is marked. EAGAIN: at the map limit. */
    if (result == 0 || result == -ERROR_NOMEM)
        sweep->marked_bytes += run->writable_bytes;
    else
        sweep->state = result == -ERROR_AGAIN ? SWEEP_STOPPED_AT_MAP_LIMIT : SWEEP_NO_KSM;
}

/* Adjacent VMAs join when a flag is set on all of them. This one only tunes readahead from swap. */
static void join(const struct run *run) {
    if (run->vmas < 2)
        return;
    advise(run->start, run->end, MADV_RANDOM);
    advise(run->start, run->end, MADV_NORMAL);
}

static void end_run(struct walk *walk) {
    struct run run = walk->run;
    walk->run = (struct run){0};
    if (run.vmas == 0)
        return;
    if (walk->sweep->work == SWEEP_MARK)
        mark(walk, &run);
    else
        join(&run);
}

static void visit(struct walk *walk, const struct vma *vma) {
    struct run *run = &walk->run;
    bool wanted = is_wanted(walk, vma);
    if (!wanted || !continues(walk, vma))
        end_run(walk);
    if (wanted) {
        if (run->vmas == 0) {
            run->start = vma->start;
            run->first_end = vma->end;
            run->grows_down = !vma->is_heap && vma->start - walk->end >= growth_gap_bytes;
            for (int i = 0; i < 4; i++)
                run->perms[i] = vma->perms[i];
        }
        run->end = vma->end;
        run->grows_up = vma->is_heap;
        run->writable_bytes += is_writable(vma) ? vma->end - vma->start : 0;
        run->vmas++;
    }
    walk->vmas++;
    walk->end = vma->end;
}

bool sweep_once(struct sweep *sweep) {
    struct walk walk = {.sweep = sweep};
    struct maps_reader reader = {0};
    struct vma vma;
    unsigned changes = atomic_load(&sweep->excluded->changes);
    sweep->state = SWEEP_AT_WORK;
    sweep->marked_bytes = 0;
    sweep->has_sparse = false;
    sweep->has_postponed = false;
    for (size_t i = 0; i < sweep->growing_count; i++)
        walk.growing[i] = sweep->growing[i];
    walk.growing_count = sweep->growing_count;
    sweep->growing_count = 0;
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
            if (maps_read_byte(&reader, sweep->buffer[i], &vma) == MAPS_VMA)
                visit(&walk, &vma);
    }
    end_run(&walk);
    sweep->sweeps++;
    sweep->vmas = walk.vmas;
    excluded_forget_unseen(sweep->excluded, walk.is_seen, changes);
    update_state(&walk);
    return true;
}
