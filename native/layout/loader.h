/* Programs that are started through their loader: `ld-linux-x86-64.so.2 --library-path X ./server`.
 */
#ifndef KSMRUN_LOADER_H
#define KSMRUN_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Returns the word of a command line, in the form of /proc/PID/cmdline, that names the program
 * which a loader of that file name loads; NULL: the file is no loader, or there is no such word. A
 * NUL must follow the bytes. Pure. */
const char *loader_program(const char *file, const char *words, size_t bytes);

/* Stores where the file of the process's program can be read: what its loader loads, or else what
 * it has executed. exe: the target of /proc/PID/exe. Returns whether that is a loader. */
bool loader_look_through(pid_t pid, const char *exe, char *file, size_t file_bytes);

#endif
