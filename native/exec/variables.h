/* Variables that the command line gives the command. What the command's environment already has is
 * never replaced, so that the same line serves units and containers with environments of their own.
 */
#ifndef KSMRUN_VARIABLES_H
#define KSMRUN_VARIABLES_H

#include <stdbool.h>

enum { VARIABLES_MAX = 8 };

struct variables {
    const char *list[VARIABLES_MAX]; /* "NAME=TEXT" */
    bool prepends[VARIABLES_MAX];    /* TEXT goes before the value that there is */
    int count;
};

/* If entry is "NAME=TEXT", with a name as the shell has them. */
bool variables_is_entry(const char *entry);

/* Returns a copy of envp with each variable that is missing. One that is there keeps its value, and
 * if it is to be prepended, TEXT comes before it, unless it is there already. TEXT then ends with
 * the character that separates it, which is left out if nothing follows. Returns NULL if out of
 * memory. Never freed: exec takes it. */
char **variables_extend(char **envp, const struct variables *variables);

#endif
