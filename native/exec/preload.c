#include "preload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char name[] = "LD_PRELOAD=";

static char *entry_with(const char *file, const char *rest) {
    size_t size = sizeof name + strlen(file) + 1 + strlen(rest);
    char *entry = malloc(size);
    if (entry != NULL)
        snprintf(entry, size, "%s%s%s%s", name, file, *rest ? ":" : "", rest);
    return entry;
}

char **preload_environment(char **envp, const char *file) {
    size_t count = 0;
    while (envp[count] != NULL)
        count++;
    char **copy = calloc(count + 2, sizeof *copy);
    if (copy == NULL)
        return NULL;
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        copy[i] = envp[i];
        /* ld.so takes the last of several, getenv the first: each gets the file. */
        if (strncmp(envp[i], name, sizeof name - 1) == 0) {
            copy[i] = entry_with(file, envp[i] + sizeof name - 1);
            found = 1;
        }
        if (copy[i] == NULL)
            goto no_memory;
    }
    if (!found && (copy[count] = entry_with(file, "")) == NULL)
        goto no_memory;
    return copy;

no_memory:
    free(copy);
    return NULL;
}
