#include "code.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/lines.h"
#include "../common/maps.h"
#include "../inject/inject.h"

/* Linux 6.11: include/uapi/linux/fs.h */
struct query {
    uint64_t size, flags, address, start, end, rights, page_bytes, offset, inode;
    uint32_t major, minor, name_bytes, build_id_bytes;
    uint64_t name, build_id;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct query)
enum { READABLE_CODE = 1 | 4 };

static const char vdso_name[] = "[vdso]";
enum { VDSO_BYTES_MAX = 64 * 1024 };
/* Amount of other code that is read, and number of pages that are queried for it. */
enum { PAGES_MAX = 512, ENTRIES = 512, ENTRIES_MAX = 1 << 16, ENTRIES_A_MAPPING = 1 << 11 };
/* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_PRESENT (UINT64_C(1) << 63)

struct code {
    struct injection look;
    int pagemap;
    uint64_t page_bytes;
    size_t pages_left, entries_left;
};

/* Returns whether this process may read and execute it; vsyscall is outside of what it can read. */
static bool is_code(const struct vma *vma) {
    return vma->perms[0] == 'r' && vma->perms[2] == 'x' && !vma->is_vsyscall;
}

/* From auxv, which a program may have set itself (prctl(2): PR_SET_MM_MAP). 0: it has none. */
static uint64_t vdso_said(const struct process *process) {
    uint64_t words[128];
    int auxv = openat(process->folder, "auxv", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = auxv < 0 ? -1 : read(auxv, words, sizeof words);
    if (auxv >= 0)
        close(auxv);
    for (ssize_t i = 0; (i + 2) * (ssize_t)sizeof *words <= bytes; i += 2)
        if (words[i] == AT_SYSINFO_EHDR)
            return words[i + 1];
    return 0;
}

/* Verifies that, at the cost of one call. */
static bool query_vdso(const struct process *process, int maps, struct vma *vdso) {
    char name[sizeof vdso_name + 1] = "";
    struct query query = {
        .size = sizeof query,
        .address = vdso_said(process),
        .name = (uint64_t)(uintptr_t)name,
        .name_bytes = sizeof name,
    };
    /* The two libcs declare different types for the request. */
    if (query.address == 0 || syscall(SYS_ioctl, maps, PROCMAP_QUERY, &query) != 0 ||
        (query.rights & READABLE_CODE) != READABLE_CODE || query.major != 0 || query.minor != 0 ||
        query.inode != 0 || strcmp(name, vdso_name) != 0)
        return false;
    *vdso = (struct vma){.start = query.start, .end = query.end};
    return true;
}

static bool find_in_vdso(struct code *code, const struct vma *vma) {
    uint64_t bytes = vma->end - vma->start;
    uint64_t end = vma->start + (bytes < VDSO_BYTES_MAX ? bytes : VDSO_BYTES_MAX);
    return injection_find_instruction(&code->look, vma->start, end);
}

/* Code that nobody has touched is not read: that could create page tables without bound, or wait
 * for whoever serves a file. */
static bool find_in_present(struct code *code, const struct vma *vma) {
    uint64_t entries[ENTRIES], size = code->page_bytes;
    uint64_t first = vma->start, most = ENTRIES_A_MAPPING * size;
    uint64_t end = vma->end - first < most ? vma->end : first + most;
    for (uint64_t at = first; at < end && code->entries_left > 0;) {
        uint64_t pages = (end - at) / size;
        pages = pages < ENTRIES ? pages : ENTRIES;
        pages = pages < code->entries_left ? pages : code->entries_left;
        ssize_t bytes = pread(code->pagemap, entries, pages * sizeof *entries,
                              (off_t)(at / size * sizeof *entries));
        if (bytes <= 0)
            return false;
        code->entries_left -= pages;
        for (size_t i = 0; i < (size_t)bytes / sizeof *entries; i++, at += size) {
            if ((entries[i] & ENTRY_PRESENT) == 0)
                continue;
            if (code->pages_left-- == 0)
                return false;
            if (injection_find_instruction(&code->look, at, at + size))
                return true;
        }
    }
    return false;
}

/* Searches line by line. A program may have moved its vDSO (mremap(2)), or have none. */
static bool find_by_lines(struct code *code, FILE *maps, bool in_vdso) {
    char line[512];
    struct vma vma;
    rewind(maps);
    while (code->entries_left > 0 && code->pages_left > 0 && line_next(maps, line, sizeof line)) {
        if (maps_read_line(line, &vma) == NULL || !is_code(&vma) || (in_vdso && !vma.is_vdso))
            continue;
        if (in_vdso ? find_in_vdso(code, &vma) : find_in_present(code, &vma))
            return true;
    }
    return false;
}

static bool find(struct code *code, const struct process *process, FILE *maps) {
    struct vma vdso;
    return (query_vdso(process, fileno(maps), &vdso) && find_in_vdso(code, &vdso)) ||
           find_by_lines(code, maps, true) || find_by_lines(code, maps, false);
}

uint64_t code_find(const struct process *process) {
    struct code code = {
        .look.memory = openat(process->folder, "mem", O_RDONLY | O_CLOEXEC),
        .pagemap = openat(process->folder, "pagemap", O_RDONLY | O_CLOEXEC),
        .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE),
        .pages_left = PAGES_MAX,
        .entries_left = ENTRIES_MAX,
    };
    int file = openat(process->folder, "maps", O_RDONLY | O_CLOEXEC);
    int error = errno;
    FILE *maps = file < 0 ? NULL : fdopen(file, "r");
    bool can_look = maps != NULL && code.look.memory >= 0 && code.pagemap >= 0;
    bool is_found = can_look && find(&code, process, maps);
    const int descriptors[] = {code.look.memory, code.pagemap, maps == NULL ? file : -1};
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    if (maps != NULL)
        fclose(maps);
    errno = can_look ? ENOENT : error;
    return is_found ? code.look.instruction : 0;
}
