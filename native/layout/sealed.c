#include "sealed.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_kernels(const struct image *image, uint64_t start) {
    for (int i = 0; i < image->vma_count; i++)
        if (image->vmas[i].start == start)
            return image->vmas[i].part == PART_KERNELS;
    return false;
}

/* "START-END MODES ..." of a VMA, then lines whose names begin with a capital letter. */
bool sealed_in(FILE *smaps, const struct image *image) {
    static const char flags[] = "VmFlags:";
    char line[512];
    bool is_looked_for = false, is_start = true;
    while (fgets(line, sizeof line, smaps) != NULL) {
        char *end;
        uint64_t start = strtoull(line, &end, 16);
        /* The rest of a line with a long path may look like anything. */
        bool is_row = is_start;
        is_start = strchr(line, '\n') != NULL;
        if (!is_row)
            continue;
        if (end != line && *end == '-')
            is_looked_for = is_kernels(image, start);
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
