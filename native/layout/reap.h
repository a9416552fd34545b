/* As PID 1 or a subreaper the program would inherit the helper that moved it. So the helper is its
 * child, and before its first instruction the program waits for it: in a page of code that stays.
 */
#ifndef KSMRUN_REAP_H
#define KSMRUN_REAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../inject/inject.h"

/* Whether the page can be had in a program that this process becomes: code that was written. */
bool reap_is_possible(void);

/* Makes the tracee, once it goes on, wait for this child of its, with all signals blocked, and only
 * then go on as injection has it. The page is mapped at the address; 0: where the kernel likes.
 * Returns NULL, or what failed. */
const char *reap_first(struct injection *injection, pid_t child, uint64_t address);

#endif
