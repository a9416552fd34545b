/* Finds an instruction in a process that makes a system call. */
#ifndef KSMRUN_CODE_H
#define KSMRUN_CODE_H

#include <stdint.h>

#include "process.h"

/* Searched before the process is stopped: in the vDSO, which has one as a fallback, else in other
 * code that is in memory, up to a few MiB. Other threads can change what is found, so inject()
 * checks its effect. 0: none, and errno says whether it may not be read. */
uint64_t code_find(const struct process *process);

#endif
