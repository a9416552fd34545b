/* --inject: ksmrun-attach, which lies beside this program, makes another set its merge flag. */
#ifndef KSMRUN_INJECT_FLAG_H
#define KSMRUN_INJECT_FLAG_H

#include <stdbool.h>
#include <sys/types.h>

/* folder: the process's in /proc, held open since before its exec, so that another that has got the
 * PID meanwhile is left alone. Says why where it could not be done, unless quiet; not where the
 * program has ended already. Returns whether it was done. */
bool inject_flag(int folder, pid_t pid, const char *command, bool quiet);

#endif
