/* Which programs may be moved at all: asked before the exec, where everything can still be undone.
 */
#ifndef KSMRUN_TARGET_H
#define KSMRUN_TARGET_H

#include <stdbool.h>

#include "reason.h"

/* Follows the command through PATH and interpreter lines. Returns 0, or -1 with the reason, which
 * ends with what to do. Where the command is not found nothing is refused: the exec will say so. */
int target_may_move(const char *command, char reason[REASON_BYTES]);

/* Whether an exec of the file, or of an interpreter it names, would give user, group or
 * capabilities, which a tracer without
 * privilege takes away (execve(2)). */
bool target_gains_privilege(const char *path);

#endif
