#include "profiler_events.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* mmap(2) and security_mmap_file fail before the kernel has removed what was there. */
static bool left_all_as_it_was(int64_t result) {
    switch (result) {
    case -EACCES:
    case -EAGAIN:
    case -EBADF:
    case -EINVAL:
    case -ENODEV:
    case -ENOSYS:
    case -EPERM:
        return true;
    default:
        return false;
    }
}

/* mremap is not reported to profilers, mmap is (perf_event_mmap in mm/vma.c): so unmodified code is
 * mapped again over itself, from the program's own file. */
bool profiler_events_cause(struct injection *injection, const struct image *image, uint64_t delta,
                           uint64_t scratch) {
    static const char path[16] = "/proc/self/exe", zeros[sizeof path] = {0};
    if (delta == 0)
        return true;
    if (!injection_write(injection, scratch, path, sizeof path))
        return false;
    int64_t file =
        remote_call(injection, openat, (uint64_t)AT_FDCWD, scratch, O_RDONLY | O_CLOEXEC);
    if (!injection_write(injection, scratch, zeros, sizeof zeros) || file == INJECT_LOST)
        return false;
    if (file < 0)
        return true;
    bool is_whole = true;
    for (int i = 0; i < image->vma_count && is_whole; i++) {
        const struct image_vma *vma = &image->vmas[i];
        if (!vma->is_code || vma->part != PART_PROGRAM)
            continue;
        uint64_t start = vma->start + delta;
        int64_t result =
            remote_call(injection, mmap, start, vma->end - vma->start, PROT_READ | PROT_EXEC,
                        MAP_PRIVATE | MAP_FIXED, (uint64_t)file, vma->offset);
        is_whole = (uint64_t)result == start || left_all_as_it_was(result);
    }
    return remote_call(injection, close, (uint64_t)file) == 0 && is_whole;
}
