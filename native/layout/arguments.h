/* Searches a process's command line for the program that it will start (proc_pid_cmdline(5)). */
#ifndef KSMRUN_ARGUMENTS_H
#define KSMRUN_ARGUMENTS_H

#include <stdbool.h>
#include <sys/types.h>

/* Returns whether an argument is a program's path or name. has_script: the first argument that is
 * no option is an interpreter's script, and does not count. Only the first 16 KiB are read. */
bool arguments_name_program(pid_t pid, bool has_script);

/* Returns whether an interpreter's script, its first argument that is no option, has that name. */
bool arguments_script_is(pid_t pid, const char *name);

#endif
