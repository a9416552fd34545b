/* Decides which programs may be moved at all, before the exec, while everything can still be
 * undone. */
#ifndef KSMRUN_TARGET_H
#define KSMRUN_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#include "machine.h"
#include "reason.h"

/* MIXED: several files of that name, of which it is not known which will be executed. */
enum target_kind { TARGET_UNKNOWN, TARGET_OWN, TARGET_NARROW, TARGET_MIXED };

/* Follows the command through PATH and interpreter lines. Stores whether it is a program of the
 * machine or of the narrow one. Returns 0, or -1 with the reason, which ends with what to do. A
 * missing command is not refused here: the exec will report it. */
int target_may_move(const char *command, const struct machine *machine,
                    const struct machine *narrow, enum target_kind *kind,
                    char reason[REASON_BYTES]);

/* Returns whether an exec of the file by this process, or by another that has the same root and
 * mounts, would grant a user, group or capabilities, of which an unprivileged tracer deprives it
 * (execve(2)). So does an interpreter that it names. The path is one of this process. */
bool target_gains_privilege(const char *path, pid_t pid);

#endif
