/* Programs that are started through their loader: `ld-linux-x86-64.so.2 --library-path X ./server`.
 */
#ifndef KSMRUN_LOADER_H
#define KSMRUN_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Which word of a command line, as /proc/PID/cmdline has it, names the program that a loader of
 * that file name loads; NULL: it is no loader's, or names none. Behind the bytes is a NUL. Pure. */
const char *loader_program(const char *file, const char *words, size_t bytes);

/* Tells where the file of the process's program is to be read: what its loader loads, or else what
 * it has executed. exe: the target of /proc/PID/exe. Returns whether it is a loader's. */
bool loader_look_through(pid_t pid, const char *exe, char *file, size_t file_bytes);

#endif
