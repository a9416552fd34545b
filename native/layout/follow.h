/* From a start script to the program: stays the tracer of shells and command wrappers, and moves
 * what they start. */
#ifndef KSMRUN_FOLLOW_H
#define KSMRUN_FOLLOW_H

#include "mover.h"

/* Moves the process, which stands at the end of its exec, and says what went wrong. Returns whether
 * it is to be followed on; else it was let go. */
bool follow_exec(struct mover *mover, pid_t pid, const struct arranged *arranged);

/* Follows the stopped process and its descendants until none is left to follow. A SIGTERM lets all
 * of them go. */
_Noreturn void follow(struct mover *mover, pid_t pid);

#endif
