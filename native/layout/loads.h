/* Checks a program's headers before the exec: whether it can be moved, or would have to be
 * killed. */
#ifndef KSMRUN_LOADS_H
#define KSMRUN_LOADS_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

/* Pure. Returns NULL if no obstacle is known, or the obstacle, as words that follow the path.
 * Headers that the kernel rejects are left to it. data_bytes: RLIMIT_DATA. */
const char *loads_obstacle(const Elf64_Ehdr *header, const Elf64_Phdr *phdrs, size_t count,
                           const struct machine *machine, uint64_t data_bytes);

/* The same for an ELF file of that machine. */
const char *loads_obstacle_of(const char *path, const struct machine *machine);

#endif
