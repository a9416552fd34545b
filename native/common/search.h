/* Finds and executes the command as execvp(3) does, except for binaries of a foreign machine. */
#ifndef KSMRUN_SEARCH_H
#define KSMRUN_SEARCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct exec_failure {
    int error;           /* errno of the decisive attempt */
    char path[PATH_MAX]; /* the file of that attempt; the bare command if none was found */
};

/* Executes the command, searching PATH of this process; returns only on failure.
 *
 * A script without an interpreter line goes to /bin/sh, as with env(1) and execvp(3). execvp also
 * passes foreign binaries to the shell, which then runs garbage; here they fail with ENOEXEC. */
void search_and_exec(const char *command, char **argv, char **envp, struct exec_failure *failure);

/* Files that search_and_exec may try, from index 0 on. Returns false if there are no more. */
bool search_candidate(const char *command, int index, char *path, size_t path_bytes);

/* Writes the two parts of a message about a failure into text. */
void failure_describe(const struct exec_failure *failure, char *text, int text_bytes);

#endif
