#include "ranges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/lines.h"
#include "../common/maps.h"

/* Flags of a VMA in smaps, each two letters after a space (proc_pid_smaps(5)). */
static bool has_flag(const char *flags, const char *name) {
    const char *found = strstr(flags, name);
    return found != NULL && (found[3] == ' ' || found[3] == '\0');
}

/* VMAs whose mark differs from the wanted one. To mark: private, writable, and not of a kind that
 * ksmd ignores (mm/ksm.c: vma_ksm_compatible()), for which the call would be in vain each time. */
static bool is_wanted(const char *flags, bool on) {
    static const char *const excluded[] = {" sh", " ms", " io", " pf", " de", " mm", " ht", " dp"};
    bool is_marked = has_flag(flags, " mg");
    if (!on || is_marked || !has_flag(flags, " wr"))
        return !on && is_marked;
    for (size_t i = 0; i < sizeof excluded / sizeof *excluded; i++)
        if (has_flag(flags, excluded[i]))
            return false;
    return true;
}

/* Not from maps: each stop delays the program, and what is marked already needs none. */
int ranges_read(const struct process *process, bool on, struct range ranges[RANGES_MAX],
                void (*went_on)(void)) {
    char line[512];
    struct vma vma = {.end = 0};
    bool is_read = false;
    int count = 0, file = openat(process->folder, "smaps", O_RDONLY | O_CLOEXEC);
    FILE *smaps = file < 0 ? NULL : fdopen(file, "r");
    if (smaps == NULL) {
        int error = errno;
        if (file >= 0)
            close(file);
        return -error;
    }
    while (count < RANGES_MAX && line_next(smaps, line, sizeof line)) {
        if (maps_read_line(line, &vma) != NULL) {
            is_read = true;
            went_on();
        } else if (is_read && strncmp(line, "VmFlags:", 8) == 0 && is_wanted(line + 8, on)) {
            ranges[count++] = (struct range){vma.start, vma.end};
        }
    }
    fclose(smaps);
    return is_read ? count : -ESRCH;
}
