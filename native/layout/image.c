#include "image.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PHDRS_MAX = 128, AUXV_MAX = 64 };

/* proc_pid_maps(5), from the blank before the modes on: " r-xp OFFSET MAJOR:MINOR INODE PATH". */
static bool is_mapped_code(const char *text, uint64_t *offset) {
    static const char modes[] = " r-xp ";
    char *at;
    if (strncmp(text, modes, sizeof modes - 1) != 0)
        return false;
    *offset = strtoull(text + sizeof modes - 1, &at, 16);
    at += strspn(at, " ");
    return strtoull(at + strcspn(at, " "), NULL, 10) != 0;
}

static const char *read_maps(struct image *image, pid_t pid) {
    char path[32], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        return "/proc/PID/maps";
    while (fgets(line, sizeof line, maps) != NULL && image->vma_count < IMAGE_VMAS_MAX) {
        /* The rest of a line with a long path is no line. */
        for (int byte = 0; strchr(line, '\n') == NULL && byte != '\n' && byte != EOF;)
            byte = fgetc(maps);
        char *end;
        struct image_vma vma = {.start = strtoull(line, &end, 16)};
        vma.end = strtoull(*end == '-' ? end + 1 : end, &end, 16);
        vma.is_code = is_mapped_code(end, &vma.offset);
        bool is_kernels = strstr(end, " [v") != NULL;
        /* vsyscall lies above all that can be moved. */
        vma.part = is_kernels && vma.end >= (uint64_t)1 << 63 ? PART_FIXED
                   : is_kernels                               ? PART_KERNELS
                   : strstr(end, " [stack]") != NULL          ? PART_STACK
                                                              : PART_LOADER;
        image->vmas[image->vma_count++] = vma;
    }
    bool is_whole = feof(maps) != 0;
    fclose(maps);
    return is_whole ? NULL : "/proc/PID/maps";
}

/* What is neither the program's nor the kernel's is the loader's, from its base on; but for a page
 * at 0 that a personality asks for (MMAP_PAGE_ZERO). */
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

/* proc_pid_stat(5): fields 26, 27, and 45 to 51, of which 47 is start_brk. */
static const char *read_stat(struct image *image, pid_t pid) {
    char path[32], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    text[length < 0 ? 0 : length] = '\0';
    char *at = strrchr(text, ')');
    uint64_t fields[52] = {0};
    int field = 3;
    for (at = at == NULL ? text : at + 4; *at != '\0' && field + 1 < 52; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        fields[++field] = strtoull(at, NULL, 10);
    }
    if (field < 51 || fields[48] == 0)
        return "the addresses in /proc/PID/stat";
    image->start_code = fields[26];
    image->end_code = fields[27];
    image->start_data = fields[45];
    image->end_data = fields[46];
    image->arg_start = fields[48];
    image->arg_end = fields[49];
    image->env_start = fields[50];
    image->env_end = fields[51];
    return NULL;
}

static uint64_t auxv_value(const Elf64_auxv_t *auxv, size_t count, uint64_t type) {
    for (size_t i = 0; i < count && auxv[i].a_type != AT_NULL; i++)
        if (auxv[i].a_type == type)
            return auxv[i].a_un.a_val;
    return 0;
}

static bool read_file(const char *path, void *to, size_t size, size_t *length) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t found = file < 0 ? -1 : read(file, to, size);
    if (file >= 0)
        close(file);
    *length = found < 0 ? 0 : (size_t)found;
    return found > 0;
}

static const char *read_program(struct image *image, const struct injection *injection) {
    char path[32];
    Elf64_auxv_t auxv[AUXV_MAX];
    Elf64_Ehdr header;
    Elf64_Phdr phdrs[PHDRS_MAX];
    size_t length;
    snprintf(path, sizeof path, "/proc/%d/auxv", injection->pid);
    if (!read_file(path, auxv, sizeof auxv, &length))
        return "/proc/PID/auxv";
    size_t count = length / sizeof *auxv;
    image->vdso = auxv_value(auxv, count, AT_SYSINFO_EHDR);
    image->is_privileged = auxv_value(auxv, count, AT_SECURE) != 0;
    uint64_t phdr = auxv_value(auxv, count, AT_PHDR), number = auxv_value(auxv, count, AT_PHNUM);
    snprintf(path, sizeof path, "/proc/%d/exe", injection->pid);
    if (!read_file(path, &header, sizeof header, &length) || length != sizeof header)
        return "the program's ELF header";
    if (header.e_ident[EI_CLASS] != ELFCLASS64)
        return "a 64-bit program: this one has 32 bits";
    if (number == 0 || number > PHDRS_MAX ||
        !injection_read(injection, phdr, phdrs, number * sizeof *phdrs))
        return "the program's headers in its memory";
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t low = UINT64_MAX, high = 0, align = page_bytes, bias = 0;
    for (size_t i = 0; i < number; i++) {
        const Elf64_Phdr *part = &phdrs[i];
        if (part->p_type != PT_LOAD)
            continue;
        low = part->p_vaddr < low ? part->p_vaddr : low;
        high = part->p_vaddr + part->p_memsz > high ? part->p_vaddr + part->p_memsz : high;
        align = part->p_align > align ? part->p_align : align;
        if (header.e_phoff >= part->p_offset && header.e_phoff < part->p_offset + part->p_filesz)
            bias = phdr - (part->p_vaddr + header.e_phoff - part->p_offset);
    }
    if (high == 0 || (align & (align - 1)) != 0)
        return "the program's segments";
    image->is_movable = header.e_type == ET_DYN;
    image->program_align = align;
    return find_parts(image, (bias + low) & ~(page_bytes - 1),
                      (bias + high + page_bytes - 1) & ~(page_bytes - 1),
                      auxv_value(auxv, count, AT_BASE));
}

const char *image_read(struct image *image, const struct injection *injection) {
    *image = (struct image){0};
    const char *missing = read_maps(image, injection->pid);
    if (missing == NULL)
        missing = read_stat(image, injection->pid);
    return missing != NULL ? missing : read_program(image, injection);
}
