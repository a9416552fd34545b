/* --inject: runs ksmrun-attach, from this program's folder, which makes a process set its merge
 * flag. */
#ifndef KSMRUN_INJECT_FLAG_H
#define KSMRUN_INJECT_FLAG_H

#include <stdbool.h>
#include <sys/types.h>

/* folder: the process's in /proc, held open since before its exec, so that a reused PID is left
 * alone. On failure says why, unless quiet, or the program has ended already. Returns whether it
 * was done. */
bool inject_flag(int folder, pid_t pid, const char *command, bool quiet);

#endif
