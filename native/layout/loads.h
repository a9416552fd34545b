/* What a program's own headers tell before the exec: whether it can be moved, or killed only. */
#ifndef KSMRUN_LOADS_H
#define KSMRUN_LOADS_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

/* Pure. Returns NULL where nothing is known to be in the way, or what is: words that follow the
 * path. Headers that the kernel does not take are left to it.
 * data_bytes: RLIMIT_DATA. */
const char *loads_obstacle(const Elf64_Ehdr *header, const Elf64_Phdr *phdrs, size_t count,
                           const struct machine *machine, uint64_t data_bytes);

/* The same of a 64-bit ELF file. */
const char *loads_obstacle_of(const char *path);

#endif
