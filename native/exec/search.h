/* Finding and executing the command as execvp(3) does, but for binaries of a foreign machine. */
#ifndef KSMRUN_SEARCH_H
#define KSMRUN_SEARCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct exec_failure {
    int error;           /* errno of the attempt that decided */
    char path[PATH_MAX]; /* the file of that attempt; the bare command where none was found */
};

/* Executes the command with the PATH of this process; returns only where that failed.
 *
 * A script without an interpreter line goes to /bin/sh, as env(1) and execvp(3) have it. execvp
 * also feeds foreign binaries to the shell, which then runs garbage; here they stay ENOEXEC. */
void search_and_exec(const char *command, char **argv, char **envp, struct exec_failure *failure);

/* The files that search_and_exec may come to, from index 0 on. Returns false where there are no
 * more. */
bool search_candidate(const char *command, int index, char *path, size_t path_bytes);

/* The two parts of a message about a failure, written into text. */
void failure_describe(const struct exec_failure *failure, char *text, int text_bytes);

#endif
