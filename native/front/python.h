/* The Python that runs the command: where it is, and whether it would start. */
#ifndef KSMRUN_PYTHON_H
#define KSMRUN_PYTHON_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the interpreter that pip wrote at the head of a script. Returns false for an unknown
 * form. */
bool python_of_script(const char *script, char *interpreter, size_t size);

/* Returns whether the environment gives it other libraries, which are meant for the program. */
bool python_gets_libraries(void);

/* Returns whether it would reach its first line of code. Without its standard library it ends
 * before (Python/pylifecycle.c: init_fs_encoding), or with a library that does not suit it, and
 * with it the process that was to become the program. It is only tried, in a child, if it gets
 * libraries, or if its own is not in its usual place. */
bool python_starts(const char *interpreter);

/* Program for its option -c: runs the script in the next argument with the arguments after that. If
 * a launch raises anything, or another command cannot import something, as when packages are
 * missing or are another Python's, the file in the first argument is executed instead, with
 * --front=start and what was raised, as one printable word. */
extern const char python_guarded[];

#endif
