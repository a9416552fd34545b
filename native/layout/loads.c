#include "loads.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "elf_file.h"
#include "image.h"

/* VMAs of the loader, the stack and the kernel's own. */
enum { OTHER_VMAS = 64 };
/* CONFIG_LSM_MMAP_MIN_ADDR, which is not shown anywhere: vm.mmap_min_addr may be less, and
 * PR_SET_MM_MAP still accepts no address below both. */
enum { MIN_ADDRESS = 65536 };

/* Sums as in load_elf_binary in fs/binfmt_elf.c, which PR_SET_MM_MAP requires again. */
struct extent {
    uint64_t low, high, align;
    uint64_t start_code, end_code, start_data, end_data;
    size_t vmas;
    bool has_empty, has_hole, is_unordered;
};

static void add_segment(struct extent *extent, const Elf64_Phdr *segment, uint64_t page_bytes) {
    uint64_t start = segment->p_vaddr, in_file = start + segment->p_filesz;
    uint64_t in_memory = start + segment->p_memsz;
    bool is_code = (segment->p_flags & PF_X) != 0;
    /* elf(5): they are sorted by address. */
    extent->is_unordered |= start < extent->high;
    extent->has_hole |= extent->high != 0 && start / page_bytes > extent->high / page_bytes + 1;
    extent->low = start < extent->low ? start : extent->low;
    extent->high = in_memory > extent->high ? in_memory : extent->high;
    if (segment->p_align > extent->align && (segment->p_align & (segment->p_align - 1)) == 0)
        extent->align = segment->p_align;
    if (is_code && start < extent->start_code)
        extent->start_code = start;
    if (is_code && in_file > extent->end_code)
        extent->end_code = in_file;
    extent->start_data = start > extent->start_data ? start : extent->start_data;
    extent->end_data = in_file > extent->end_data ? in_file : extent->end_data;
    extent->has_empty |= segment->p_memsz == 0;
    extent->vmas += in_memory > in_file ? 2 : 1;
}

const char *loads_obstacle(const Elf64_Ehdr *header, const Elf64_Phdr *phdrs, size_t count,
                           const struct machine *machine, uint64_t data_bytes) {
    struct extent extent = {.low = UINT64_MAX, .start_code = UINT64_MAX};
    bool has_loader = false;
    for (size_t i = 0; i < count; i++) {
        has_loader |= phdrs[i].p_type == PT_INTERP;
        if (phdrs[i].p_type != PT_LOAD)
            continue;
        if (phdrs[i].p_vaddr + phdrs[i].p_memsz < phdrs[i].p_vaddr)
            return NULL;
        add_segment(&extent, &phdrs[i], machine->page_bytes);
    }
    if (extent.vmas == 0)
        return NULL;
    if (extent.is_unordered)
        return "has segments that are not in order or overlap";
    if (extent.has_empty)
        return "has an empty segment";
    bool is_movable = header->e_type == ET_DYN;
    if (extent.vmas + OTHER_VMAS > IMAGE_VMAS_MAX)
        return "has more segments than can be moved";
    if (extent.high - extent.low > machine->program_bytes_max)
        return "has segments that are too far apart";
    /* Without a loader the kernel puts it into the mmap area (fs/binfmt_elf.c: load_elf_binary),
     * and everything else below. */
    if (is_movable && !has_loader && extent.high - extent.low > machine->loader_bytes_max / 2)
        return "is too large for the mmap area, and has no loader";
    if (extent.align > machine->program_align_max)
        return "has segments whose alignment leaves too few addresses to choose from";
    if (extent.start_code >= extent.end_code || extent.start_data > extent.end_data)
        return "has no code, or its data in an order that prctl(PR_SET_MM_MAP) refuses";
    if (extent.end_data - extent.start_data > data_bytes)
        return "has more data than its limit allows (ulimit -d)";
    if (!is_movable && extent.low < MIN_ADDRESS)
        return "is linked to an address below 64 KiB, which prctl(PR_SET_MM_MAP) refuses";
    if (!is_movable && extent.has_hole && extent.low < machine->low_end &&
        extent.high > machine->low_start)
        return "has a gap between its segments where MAP_32BIT places mappings";
    if (!is_movable && extent.high > machine->linked_end)
        return "is linked to addresses where the shared layout has its mappings";
    return NULL;
}

const char *loads_obstacle_of(const char *path, const struct machine *machine) {
    static Elf64_Phdr phdrs[ELF_PHDRS_MAX];
    Elf64_Ehdr header;
    struct rlimit data;
    const char *obstacle = NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0 || getrlimit(RLIMIT_DATA, &data) != 0)
        return NULL;
    /* The kernel does not execute incomplete files. */
    if (elf_read_header(file, &header) && elf_read_phdrs(file, &header, phdrs, ELF_PHDRS_MAX)) {
        uint64_t data_bytes = data.rlim_cur == RLIM_INFINITY ? UINT64_MAX : data.rlim_cur;
        obstacle = loads_obstacle(&header, phdrs, header.e_phnum, machine, data_bytes);
    }
    close(file);
    return obstacle;
}
