/* Recognises wrappers, which only start another program: by name, or by behaviour. */
#ifndef KSMRUN_WRAPPER_H
#define KSMRUN_WRAPPER_H

#include <stdbool.h>
#include <sys/types.h>

/* Shells, inits of containers, supervisors, and commands that exec another: followed as long as
 * they run. */
bool wrapper_is_named(pid_t pid, const char *path);

/* Returns whether a program of that name can execute another at all, from the functions that its
 * file imports (execve(2), posix_spawn(3)); if not, it is released before its first instruction. */
bool wrapper_is_possible(const char *name, const char *file);

/* Returns whether an argument of that process is a program too, as a wrapper's is. */
bool wrapper_names_program(pid_t pid, const char *path);

#endif
