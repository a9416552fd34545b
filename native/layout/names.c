#include "names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf_file.h"

enum { PHDRS_MAX = 64, DYNAMICS_MAX = 256, STRINGS_BYTES_MAX = 4 << 20 };

static bool read_at(int file, void *to, size_t bytes, uint64_t offset) {
    return pread(file, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* Offset in the file of an address in a segment; 0: none. */
static uint64_t offset_of(const Elf64_Phdr *parts, int count, uint64_t address) {
    for (int i = 0; i < count; i++)
        if (parts[i].p_type == PT_LOAD && address >= parts[i].p_vaddr &&
            address - parts[i].p_vaddr < parts[i].p_filesz)
            return address - parts[i].p_vaddr + parts[i].p_offset;
    return 0;
}

/* elf(5): the names of dynamic symbols are in DT_STRTAB. */
static struct names read_strings(int file, const Elf64_Ehdr *header, const Elf64_Phdr *parts,
                                 const Elf64_Phdr *dynamic) {
    struct names names = {.state = NAMES_UNREADABLE};
    Elf64_Dyn entries[DYNAMICS_MAX];
    uint64_t at = 0, bytes = 0;
    size_t count = elf_read_dynamics(file, header, dynamic, entries, DYNAMICS_MAX);
    for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
        if (entries[i].d_tag == DT_STRTAB)
            at = offset_of(parts, header->e_phnum, entries[i].d_un.d_ptr);
        if (entries[i].d_tag == DT_STRSZ)
            bytes = entries[i].d_un.d_val;
    }
    if (at == 0 || bytes == 0 || bytes > STRINGS_BYTES_MAX)
        return names;
    names.strings = malloc(bytes + 1);
    if (names.strings == NULL || !read_at(file, names.strings, bytes, at)) {
        free(names.strings);
        names.strings = NULL;
        return names;
    }
    names.strings[bytes] = '\0';
    names.bytes = bytes;
    names.state = NAMES_READ;
    return names;
}

struct names names_read(int file) {
    Elf64_Ehdr header;
    Elf64_Phdr parts[PHDRS_MAX];
    const Elf64_Phdr *dynamic = NULL;
    bool has_loader = false;
    if (!elf_read_header(file, &header) || !elf_read_phdrs(file, &header, parts, PHDRS_MAX))
        return (struct names){.state = NAMES_NOT_ELF};
    for (int i = 0; i < header.e_phnum; i++) {
        has_loader |= parts[i].p_type == PT_INTERP;
        if (parts[i].p_type == PT_DYNAMIC)
            dynamic = &parts[i];
    }
    if (!has_loader || dynamic == NULL)
        return (struct names){.state = NAMES_STATIC};
    return read_strings(file, &header, parts, dynamic);
}

bool names_have(const struct names *names, const char *const *wanted) {
    for (size_t at = 0; at < names->bytes; at += strlen(names->strings + at) + 1)
        for (size_t i = 0; wanted[i] != NULL; i++)
            if (strcmp(names->strings + at, wanted[i]) == 0)
                return true;
    return false;
}
