/* As PID 1 or a subreaper, the program would inherit the helper that moved it. So the helper is its
 * child, and before its first instruction the program waits for it, in a page of code that stays
 * mapped. */
#ifndef KSMRUN_REAP_H
#define KSMRUN_REAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../inject/inject.h"

/* Returns whether this page is possible in a program that this process becomes: it is code that was
 * written. */
bool reap_is_possible(void);

/* Makes the tracee, when it continues, wait for this child with all signals blocked, and then
 * continue as injection says. The page is mapped at the address; 0: anywhere. Returns NULL, or what
 * failed. */
const char *reap_first(struct injection *injection, pid_t child, uint64_t address);

#endif
