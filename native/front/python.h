/* The Python that the command is to be run by: where it is, and whether it would start. */
#ifndef KSMRUN_PYTHON_H
#define KSMRUN_PYTHON_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the interpreter that pip named at the head of a script. Returns false for a form that is
 * not known here. */
bool python_of_script(const char *script, char *interpreter, size_t size);

/* Whether it would come as far as its first line of code. Without its standard library it ends
 * before (Python/pylifecycle.c: init_fs_encoding), and with it the process that was to become the
 * program. It is only tried, in a child, where that library is not where it usually is. */
bool python_starts(const char *interpreter);

/* A program for its option -c: runs the script in the next argument with the arguments after that.
 * Whatever is raised there, as where packages are gone or are another Python's, the file in the
 * first argument is executed instead, with --front=start. */
extern const char python_guarded[];

#endif
