/* Reads headers of ELF files of 32 and of 64 bits, both as those of 64 (elf(5)). */
#ifndef KSMRUN_ELF_FILE_H
#define KSMRUN_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>

/* The kernel accepts 64 KiB of program headers (fs/binfmt_elf.c: load_elf_phdrs). */
enum { ELF_PHDRS_MAX = 65536 / sizeof(Elf32_Phdr) };

/* e_ident[EI_CLASS] becomes that as which the kernel reads it. Returns false if it is no ELF file.
 */
bool elf_read_header(int file, Elf64_Ehdr *header);

/* Reads all of a header's program headers. Returns false if they are more than count, or not in
 * the file. */
bool elf_read_phdrs(int file, const Elf64_Ehdr *header, Elf64_Phdr *phdrs, size_t count);

/* Reads up to count entries of the dynamic section. Returns their number. */
size_t elf_read_dynamics(int file, const Elf64_Ehdr *header, const Elf64_Phdr *dynamic,
                         Elf64_Dyn *entries, size_t count);

#endif
