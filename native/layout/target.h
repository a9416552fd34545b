/* Which programs may be moved at all: asked before the exec, where everything can still be undone.
 */
#ifndef KSMRUN_TARGET_H
#define KSMRUN_TARGET_H

#include <stddef.h>

/* Follows the command through PATH and interpreter lines. Returns 0, or -1 with the reason, which
 * ends with what to do. Where the command is not found nothing is refused: the exec will say so. */
int target_may_move(const char *command, char *reason, size_t reason_bytes);

#endif
