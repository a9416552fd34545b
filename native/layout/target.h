/* Decides which programs may be moved at all, before the exec, while everything can still be
 * undone. */
#ifndef KSMRUN_TARGET_H
#define KSMRUN_TARGET_H

#include <stdbool.h>

#include "reason.h"

/* Follows the command through PATH and interpreter lines. Returns 0, or -1 with the reason, which
 * ends with what to do. A missing command is not refused here: the exec will report it. */
int target_may_move(const char *command, char reason[REASON_BYTES]);

/* Returns whether an exec of the file, or of an interpreter that it names, would grant a user,
 * group or capabilities, of which an unprivileged tracer deprives it (execve(2)). */
bool target_gains_privilege(const char *path);

#endif
