/* What starts a program and is none itself: known by its name, or by what it does. */
#ifndef KSMRUN_WRAPPER_H
#define KSMRUN_WRAPPER_H

#include <stdbool.h>
#include <sys/types.h>

/* Shells, inits of containers, supervisors, and commands that exec another: followed for as long as
 * they run. */
bool wrapper_is_named(pid_t pid, const char *path);

/* Whether the program of that process could exec another at all, by what its file asks of other
 * files (execve(2), posix_spawn(3)): what could not is let go before its first instruction. */
bool wrapper_is_possible(pid_t pid, const char *path);

/* Whether it could, and one of its arguments is a program too. */
bool wrapper_is_likely(pid_t pid, const char *path);

#endif
