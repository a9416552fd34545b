/* A task with a shared layout: its user's key, and the program that slurmstepd executes instead. */
#ifndef KSMRUN_SLURM_TAKEOVER_H
#define KSMRUN_SLURM_TAKEOVER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../layout/reason.h"

/* Variable that hands over to ksmrun-slurm-task, which removes it: options of ksmrun-exec, one a
 * line and the launcher's path first, an empty line, and the task's command. */
#define TASK_VARIABLE "KSMRUN_SLURM_TASK"
/* Argument without that variable: tell by the exit code, 0 for yes, if the merge flag is set. */
#define TASK_TRIAL "--has-merge-flag"
enum { HANDOVER_BYTES = 4 * PATH_MAX, OPTIONS_MAX = 8 };

/* As root: writes the key that this user's jobs have in the group, derived from the node's key of
 * the group. Returns 0 with its path, or -1 with the reason. */
int takeover_key(const char *group, uid_t user, char path[PATH_MAX], char reason[REASON_BYTES]);

/* Fills the value of TASK_VARIABLE. Returns 0, or -1 with the reason. */
int takeover_text(const char *libexec, const char *key, bool require, const char *command,
                  char text[HANDOVER_BYTES], char reason[REASON_BYTES]);

#endif
