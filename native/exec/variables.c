#include "variables.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The kernel refuses longer entries (fs/exec.c: MAX_ARG_STRLEN, 32 pages), and the command would
 * not start. */
enum { ENTRY_BYTES_MAX = 128 << 10 };

bool variables_is_entry(const char *entry) {
    static const char characters[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    bool begins_with_digit = strspn(entry, "0123456789") > 0;
    return !begins_with_digit && *entry != '=' && entry[strspn(entry, characters)] == '=';
}

/* A copy of the first bytes of entry, and then rest. */
static char *join(const char *entry, size_t bytes, const char *rest) {
    size_t rest_bytes = strlen(rest) + 1;
    char *joined = malloc(bytes + rest_bytes);
    if (joined != NULL) {
        memcpy(joined, entry, bytes);
        memcpy(joined + bytes, rest, rest_bytes);
    }
    return joined;
}

static size_t without_separator(const char *entry, size_t name_bytes) {
    size_t bytes = strlen(entry);
    return bytes > name_bytes ? bytes - 1 : bytes;
}

/* The entry with the text before its value; as it is if it begins so or would be too long. */
static char *prepended(char *there, const char *entry, size_t name_bytes) {
    size_t short_bytes = without_separator(entry, name_bytes);
    if (there[name_bytes] == '\0')
        return join(entry, short_bytes, "");
    if (strncmp(there, entry, short_bytes) == 0 ||
        strlen(entry) + strlen(there) - name_bytes >= ENTRY_BYTES_MAX)
        return there;
    return join(entry, strlen(entry), there + name_bytes);
}

/* Changes what there is of one variable, or puts it at the end. Returns false if out of memory. */
static bool extend(char **envp, size_t *count, const char *entry, bool prepends) {
    size_t name_bytes = strcspn(entry, "=") + 1;
    bool is_there = false;
    /* Of several of one name, some programs read the first, others the last. */
    for (size_t i = 0; i < *count; i++) {
        if (strncmp(envp[i], entry, name_bytes) != 0)
            continue;
        is_there = true;
        if (prepends && (envp[i] = prepended(envp[i], entry, name_bytes)) == NULL)
            return false;
    }
    if (is_there)
        return true;
    size_t bytes = prepends ? without_separator(entry, name_bytes) : strlen(entry);
    envp[*count] = join(entry, bytes, "");
    return envp[(*count)++] != NULL;
}

char **variables_extend(char **envp, const struct variables *variables) {
    size_t count = 0;
    while (envp[count] != NULL)
        count++;
    char **copy = calloc(count + VARIABLES_MAX + 1, sizeof *copy);
    if (copy == NULL)
        return NULL;
    memcpy(copy, envp, count * sizeof *envp);
    for (int i = 0; i < variables->count; i++)
        if (!extend(copy, &count, variables->list[i], variables->prepends[i]))
            return NULL;
    return copy;
}
