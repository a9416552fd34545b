/* Finds out whether the kernel's own mappings can be moved: since 6.15 it may seal them at exec
 * (CONFIG_MSEAL_SYSTEM_MAPPINGS), and then mremap(2) would fail after the point of no return. */
#ifndef KSMRUN_SEALED_H
#define KSMRUN_SEALED_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "image.h"

/* From the text of /proc/PID/smaps: VmFlags contains "sl" (proc_pid_smaps(5)). */
bool sealed_in(FILE *smaps, const struct image *image);

/* Also true if it cannot be determined. */
bool sealed_is(pid_t pid, const struct image *image);

#endif
