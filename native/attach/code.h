/* An instruction in a process to make a system call with. */
#ifndef KSMRUN_CODE_H
#define KSMRUN_CODE_H

#include <stdint.h>

#include "process.h"

/* Looked for before the process is stopped: in the vDSO, which has one for what it cannot do
 * itself, else in other code that is in memory, a few MiB of it at most. Other threads can change
 * what is found, so inject() looks at what it did. 0: none, and errno tells whether it may not be
 * looked at. */
uint64_t code_find(const struct process *process);

#endif
