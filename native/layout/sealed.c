#include "sealed.h"

#include <stdint.h>
#include <string.h>

#include "../common/lines.h"
#include "../common/maps.h"

static bool is_kernels(const struct image *image, uint64_t start) {
    for (int i = 0; i < image->vma_count; i++)
        if (image->vmas[i].start == start)
            return image->vmas[i].part == PART_KERNELS;
    return false;
}

bool sealed_in(FILE *smaps, const struct image *image) {
    static const char flags[] = "VmFlags:";
    char line[512];
    struct vma vma;
    bool is_looked_for = false;
    while (line_next(smaps, line, sizeof line)) {
        if (maps_read_line(line, &vma) != NULL)
            is_looked_for = is_kernels(image, vma.start);
        else if (is_looked_for && strncmp(line, flags, sizeof flags - 1) == 0 &&
                 strstr(line, " sl ") != NULL)
            return true;
    }
    return ferror(smaps) != 0;
}

bool sealed_is(pid_t pid, const struct image *image) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/smaps", pid);
    FILE *smaps = fopen(path, "re");
    if (smaps == NULL)
        return true;
    bool is_sealed = sealed_in(smaps, image);
    fclose(smaps);
    return is_sealed;
}
