#include "elf_file.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

static bool read_at(int file, void *to, size_t bytes, uint64_t offset) {
    return pread(file, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

static bool has_32_bits(const Elf64_Ehdr *header) {
    return header->e_ident[EI_CLASS] == ELFCLASS32;
}

static void widen(Elf64_Ehdr *header, const Elf32_Ehdr *narrow) {
    *header = (Elf64_Ehdr){
        .e_type = narrow->e_type,
        .e_machine = narrow->e_machine,
        .e_entry = narrow->e_entry,
        .e_phoff = narrow->e_phoff,
        .e_phentsize = narrow->e_phentsize,
        .e_phnum = narrow->e_phnum,
    };
    memcpy(header->e_ident, narrow->e_ident, sizeof header->e_ident);
}

/* The kernel goes by machine and size of a program header (fs/binfmt_elf.c: load_elf_phdrs), not by
 * class and byte order. */
static bool is_wide(const Elf64_Ehdr *header) {
    return header->e_machine != EM_386 && header->e_machine != EM_ARM &&
           header->e_phentsize == sizeof(Elf64_Phdr);
}

bool elf_read_header(int file, Elf64_Ehdr *header) {
    Elf32_Ehdr narrow;
    if (!read_at(file, &narrow, sizeof narrow, 0) || memcmp(narrow.e_ident, ELFMAG, SELFMAG) != 0)
        return false;
    if (read_at(file, header, sizeof *header, 0) && is_wide(header)) {
        header->e_ident[EI_CLASS] = ELFCLASS64;
        return true;
    }
    widen(header, &narrow);
    header->e_ident[EI_CLASS] = ELFCLASS32;
    return true;
}

static bool read_phdr(int file, const Elf64_Ehdr *header, size_t index, Elf64_Phdr *phdr) {
    Elf32_Phdr narrow;
    if (!has_32_bits(header))
        return read_at(file, phdr, sizeof *phdr, header->e_phoff + index * sizeof *phdr);
    if (!read_at(file, &narrow, sizeof narrow, header->e_phoff + index * sizeof narrow))
        return false;
    *phdr = (Elf64_Phdr){
        .p_type = narrow.p_type,
        .p_flags = narrow.p_flags,
        .p_offset = narrow.p_offset,
        .p_vaddr = narrow.p_vaddr,
        .p_filesz = narrow.p_filesz,
        .p_memsz = narrow.p_memsz,
        .p_align = narrow.p_align,
    };
    return true;
}

bool elf_read_phdrs(int file, const Elf64_Ehdr *header, Elf64_Phdr *phdrs, size_t count) {
    if (header->e_phnum > count)
        return false;
    for (size_t i = 0; i < header->e_phnum; i++)
        if (!read_phdr(file, header, i, &phdrs[i]))
            return false;
    return true;
}

size_t elf_read_dynamics(int file, const Elf64_Ehdr *header, const Elf64_Phdr *dynamic,
                         Elf64_Dyn *entries, size_t count) {
    Elf32_Dyn narrow;
    size_t bytes = has_32_bits(header) ? sizeof narrow : sizeof *entries, read = 0;
    for (; read < count && (read + 1) * bytes <= dynamic->p_filesz; read++) {
        uint64_t at = dynamic->p_offset + read * bytes;
        if (!read_at(file, has_32_bits(header) ? (void *)&narrow : &entries[read], bytes, at))
            break;
        if (has_32_bits(header))
            entries[read] = (Elf64_Dyn){.d_tag = narrow.d_tag, .d_un.d_val = narrow.d_un.d_val};
    }
    return read;
}
