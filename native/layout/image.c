#include "image.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/maps.h"
#include "../common/procfile.h"
#include "elf_file.h"

enum { AUXV_MAX = 64 };

/* The initial stack is the one with the stack pointer. vsyscall is above everything that can be
 * moved. */
static enum image_part part_of(const struct image *image, const struct vma *vma,
                               uint64_t stack_pointer) {
    bool is_vdso = image->vdso >= vma->start && image->vdso < vma->end;
    if (stack_pointer >= vma->start && stack_pointer < vma->end)
        return PART_STACK;
    if (vma->is_kernels && vma->end >= (uint64_t)1 << 63)
        return PART_FIXED;
    return vma->is_kernels || (is_vdso && !vma->has_file) ? PART_KERNELS : PART_LOADER;
}

static bool add_vma(struct image *image, const struct vma *vma, uint64_t stack_pointer) {
    if (image->vma_count == IMAGE_VMAS_MAX)
        return false;
    image->vmas[image->vma_count++] = (struct image_vma){
        .start = vma->start,
        .end = vma->end,
        .part = part_of(image, vma, stack_pointer),
        .is_code = vma->has_file && memcmp(vma->perms, "r-xp", sizeof vma->perms) == 0,
        .is_reserved = !vma->has_file && memcmp(vma->perms, "---p", sizeof vma->perms) == 0,
        .offset = vma->offset,
    };
    return true;
}

/* PROCMAP_QUERY (6.11) would return the same, with a call for each VMA; older kernels need the text
 * anyway. */
static const char *read_maps(struct image *image, pid_t pid, uint64_t stack_pointer) {
    char path[32], text[4096];
    struct maps_reader reader = {0};
    struct vma vma;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    int maps = open(path, O_RDONLY | O_CLOEXEC);
    bool is_whole = maps >= 0;
    ssize_t length = -1;
    while (is_whole && (length = read(maps, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < length && is_whole; i++) {
            enum maps_result result = maps_read_byte(&reader, text[i], &vma);
            is_whole = result == MAPS_INSIDE ||
                       (result == MAPS_VMA && add_vma(image, &vma, stack_pointer));
        }
    if (maps >= 0)
        close(maps);
    return is_whole && length == 0 ? NULL : "/proc/PID/maps";
}

/* Whatever is neither the program's nor the kernel's is the loader's, from its base on; except a
 * page at 0 that a personality requests (MMAP_PAGE_ZERO). */
static const char *find_parts(struct image *image, uint64_t program_start, uint64_t program_end,
                              uint64_t loader) {
    for (int i = 0; i < image->vma_count; i++) {
        struct image_vma *vma = &image->vmas[i];
        if (vma->part == PART_LOADER && vma->start >= program_start && vma->start < program_end)
            vma->part = PART_PROGRAM;
        if (vma->part == PART_LOADER && (loader == 0 || vma->start < loader))
            vma->part = PART_FIXED;
        if (vma->part == PART_FIXED)
            continue;
        if (image->parts[vma->part].end == 0)
            image->parts[vma->part].start = vma->start;
        image->parts[vma->part].end = vma->end;
    }
    image->parts[PART_PROGRAM].start = program_start;
    image->parts[PART_PROGRAM].end = program_end;
    return image->parts[PART_STACK].end != 0 ? NULL : "the stack in /proc/PID/maps";
}

static const char *read_stat(struct image *image, pid_t pid) {
    char path[32];
    struct pidstat stat;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    /* Of a process that may not be read all addresses are 0. */
    if (!procfile_stat(AT_FDCWD, path, &stat) || stat.fields[PIDSTAT_ARG_START] == 0)
        return "the addresses in /proc/PID/stat";
    image->start_code = stat.fields[PIDSTAT_START_CODE];
    image->end_code = stat.fields[PIDSTAT_END_CODE];
    image->start_data = stat.fields[PIDSTAT_START_DATA];
    image->end_data = stat.fields[PIDSTAT_END_DATA];
    image->start_brk = stat.fields[PIDSTAT_START_BRK];
    image->arg_start = stat.fields[PIDSTAT_ARG_START];
    image->arg_end = stat.fields[PIDSTAT_ARG_END];
    image->env_start = stat.fields[PIDSTAT_ENV_START];
    image->env_end = stat.fields[PIDSTAT_ENV_END];
    return NULL;
}

struct auxv {
    Elf64_auxv_t entries[AUXV_MAX];
    size_t count;
};

static uint64_t auxv_value(const struct auxv *auxv, uint64_t type) {
    for (size_t i = 0; i < auxv->count && auxv->entries[i].a_type != AT_NULL; i++)
        if (auxv->entries[i].a_type == type)
            return auxv->entries[i].a_un.a_val;
    return 0;
}

static const char *read_auxv(struct auxv *auxv, const struct injection *injection) {
    char path[32];
    Elf32_auxv_t narrow[AUXV_MAX];
    bool is_narrow = injection->is_i386;
    snprintf(path, sizeof path, "/proc/%d/auxv", injection->pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0    ? -1
                     : is_narrow ? read(file, narrow, sizeof narrow)
                                 : read(file, auxv->entries, sizeof auxv->entries);
    if (file >= 0)
        close(file);
    auxv->count =
        length < 0 ? 0 : (size_t)length / (is_narrow ? sizeof *narrow : sizeof *auxv->entries);
    for (size_t i = 0; is_narrow && i < auxv->count; i++)
        auxv->entries[i] =
            (Elf64_auxv_t){.a_type = narrow[i].a_type, .a_un.a_val = narrow[i].a_un.a_val};
    return auxv->count != 0 ? NULL : "/proc/PID/auxv";
}

/* Headers are read from the file, as the kernel has read them: in memory, another segment may cover
 * them. Nobody can write to the file of a running program (execve(2): ETXTBSY). */
static const char *read_headers(Elf64_Ehdr *header, Elf64_Phdr phdrs[ELF_PHDRS_MAX],
                                const struct injection *injection) {
    char path[32];
    const char *failed = NULL;
    snprintf(path, sizeof path, "/proc/%d/exe", injection->pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || !elf_read_header(file, header))
        failed = "the program's ELF header";
    else if ((header->e_ident[EI_CLASS] == ELFCLASS32) != injection->is_i386)
        failed = "it has 32 bits, of a kind that has no shared layout";
    else if (header->e_phnum == 0 || !elf_read_phdrs(file, header, phdrs, ELF_PHDRS_MAX))
        failed = "the program's headers in its file";
    if (file >= 0)
        close(file);
    return failed;
}

static const char *read_program(struct image *image, const struct auxv *auxv,
                                const struct injection *injection) {
    Elf64_Ehdr header;
    static Elf64_Phdr phdrs[ELF_PHDRS_MAX];
    const char *failed = read_headers(&header, phdrs, injection);
    if (failed != NULL)
        return failed;
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t bias = auxv_value(auxv, AT_ENTRY) - header.e_entry;
    uint64_t low = UINT64_MAX, high = 0, align = page_bytes;
    for (int i = 0; i < header.e_phnum; i++) {
        const Elf64_Phdr *part = &phdrs[i];
        if (part->p_type != PT_LOAD)
            continue;
        /* fs/binfmt_elf.c accepts no segment that wraps around the end of the address space. */
        if (part->p_vaddr + part->p_memsz < part->p_vaddr)
            return "the program's segments";
        low = part->p_vaddr < low ? part->p_vaddr : low;
        high = part->p_vaddr + part->p_memsz > high ? part->p_vaddr + part->p_memsz : high;
        /* Same rule as maximum_alignment in fs/binfmt_elf.c. */
        if ((part->p_align & (part->p_align - 1)) == 0)
            align = part->p_align > align ? part->p_align : align;
    }
    if (high == 0 || high - low > IMAGE_PROGRAM_BYTES_MAX)
        return "the program's segments, which lie too far apart";
    if (align > IMAGE_ALIGN_MAX)
        return "the program's segments, which leave too few places by their alignment";
    image->is_movable = header.e_type == ET_DYN;
    image->program_align = align;
    return find_parts(image, (bias + low) & ~(page_bytes - 1),
                      (bias + high + page_bytes - 1) & ~(page_bytes - 1),
                      auxv_value(auxv, AT_BASE));
}

const char *image_read(struct image *image, const struct injection *injection) {
    struct auxv auxv;
    *image = (struct image){0};
    const char *missing = read_auxv(&auxv, injection);
    image->vdso = auxv_value(&auxv, AT_SYSINFO_EHDR);
    image->is_privileged = auxv_value(&auxv, AT_SECURE) != 0;
    if (missing == NULL)
        missing = read_maps(image, injection->pid, STACK_POINTER(injection->registers));
    if (missing == NULL)
        missing = read_stat(image, injection->pid);
    return missing != NULL ? missing : read_program(image, &auxv, injection);
}
