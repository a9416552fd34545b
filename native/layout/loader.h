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

/* Puts where the program's file is seen from here in place of the loader's. Returns false, and
 * leaves it, where the process's file is no loader. */
bool loader_look_through(pid_t pid, char *file, size_t file_bytes);

#endif
