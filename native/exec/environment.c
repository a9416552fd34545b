#include "environment.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char preload_name[] = "LD_PRELOAD=", shim_name[] = "KSMRUN_SHIM=";
static const char shim_file[] = "/libksmrun-preload.so";

static bool begins(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool is_shim(const char *word, size_t length) {
    size_t file_length = sizeof shim_file - 1;
    return length >= file_length &&
           memcmp(word + length - file_length, shim_file, file_length) == 0;
}

/* Entries end at a blank or a colon (ld.so(8)), which stay as they are. */
static bool has_shim(const char *list) {
    for (size_t length; *list != '\0'; list += length + strspn(list + length, " :")) {
        length = strcspn(list, " :");
        if (is_shim(list, length))
            return true;
    }
    return false;
}

/* "KSMRUN_SHIM=" and the words, either of which may be NULL. */
static char *shim_entry(const char *words, const char *seed) {
    const char *between = words != NULL && seed != NULL ? "," : "";
    words = words == NULL ? "" : words;
    seed = seed == NULL ? "" : seed;
    size_t bytes = sizeof shim_name + strlen(words) + strlen(between) + strlen(seed);
    char *entry = malloc(bytes);
    if (entry != NULL)
        snprintf(entry, bytes, "%s%s%s%s", shim_name, words, between, seed);
    return entry;
}

/* "LD_PRELOAD=" and the list without our shim, with file at its end. */
static char *preload_entry(const char *list, const char *file) {
    size_t file_bytes = file == NULL ? 0 : strlen(file) + 1;
    char *entry = malloc(sizeof preload_name + strlen(list) + file_bytes);
    if (entry == NULL)
        return NULL;
    strcpy(entry, preload_name);
    char *end = entry + sizeof preload_name - 1;
    const char *begin = end;
    while (*list != '\0') {
        size_t length = strcspn(list, " :"), separators = strspn(list + length, " :");
        if (!is_shim(list, length)) {
            memcpy(end, list, length + separators);
            end += length + separators;
        }
        list += length + separators;
    }
    while (end > begin && strchr(" :", end[-1]) != NULL)
        end--;
    if (file != NULL) {
        if (end > begin)
            *end++ = ':';
        memcpy(end, file, file_bytes - 1);
        end += file_bytes - 1;
    }
    *end = '\0';
    return entry;
}

char **environment_with_preload(char **envp, const char *file, const char *shim, const char *seed) {
    size_t count = 0, kept = 0;
    bool has_list = false;
    while (envp[count] != NULL)
        count++;
    char **copy = calloc(count + 3, sizeof *copy);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (begins(envp[i], shim_name))
            continue;
        const char *list = envp[i] + sizeof preload_name - 1;
        /* ld.so uses the last of several, getenv the first: each gets the file. */
        if (!begins(envp[i], preload_name) || (file == NULL && !has_shim(list))) {
            copy[kept++] = envp[i];
            continue;
        }
        char *entry = preload_entry(list, file);
        if (entry == NULL)
            goto no_memory;
        has_list = true;
        /* A variable that contained only the shim was not there before. */
        if (entry[sizeof preload_name - 1] == '\0')
            free(entry);
        else
            copy[kept++] = entry;
    }
    if (file == NULL)
        return copy;
    if (!has_list && (copy[kept++] = preload_entry("", file)) == NULL)
        goto no_memory;
    if ((shim != NULL || seed != NULL) && (copy[kept++] = shim_entry(shim, seed)) == NULL)
        goto no_memory;
    return copy;

no_memory:
    free(copy);
    return NULL;
}
