/* What a program's own headers tell before the exec: whether it can be moved, or killed only. */
#ifndef KSMRUN_LOADS_H
#define KSMRUN_LOADS_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

/* What of this process bears on it. */
struct loads_limits {
    uint64_t min_address; /* vm.mmap_min_addr, below which PR_SET_MM_MAP takes no address */
    uint64_t data_bytes;  /* RLIMIT_DATA */
};

/* Pure. Returns NULL where nothing is known to be in the way, or what is: words that follow the
 * path. Headers that the kernel does not take are left to it. */
const char *loads_obstacle(const Elf64_Ehdr *header, const Elf64_Phdr *phdrs, size_t count,
                           const struct machine *machine, const struct loads_limits *limits);

/* The same of a 64-bit ELF file. */
const char *loads_obstacle_of(const char *path);

#endif
