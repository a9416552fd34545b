/* Follows a start script to the program: traces shells and command wrappers, and moves what they
 * start. */
#ifndef KSMRUN_FOLLOW_H
#define KSMRUN_FOLLOW_H

#include "helper.h"

/* Moves the process, which is stopped at the end of its exec, and reports errors. was_privileged:
 * its user and effective user differed before. Returns whether to follow it further; otherwise it
 * was released. */
bool follow_exec(struct helper *helper, pid_t pid, const struct arranged *arranged,
                 bool was_privileged);

/* Follows the stopped process and its descendants until none is left to follow. A SIGTERM releases
 * all of them. */
_Noreturn void follow(struct helper *helper, pid_t pid);

#endif
