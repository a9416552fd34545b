#include "membership.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "tracee.h"

/* proc_pid_maps(5): "START-END ... [stack]". */
static bool find_stack_end(pid_t pid, uint64_t *end) {
    char path[32], line[512];
    bool is_found = false, is_start = true;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        return false;
    while (!is_found && fgets(line, sizeof line, maps) != NULL) {
        const char *dash = strchr(line, '-'), *name = strstr(line, " [stack]\n");
        is_found = is_start && dash != NULL && name != NULL && strchr(line, '/') == NULL;
        /* The rest of a line with a long path may look like anything. */
        is_start = strchr(line, '\n') != NULL;
        if (is_found)
            *end = strtoull(dash + 1, NULL, 16);
    }
    fclose(maps);
    return is_found;
}

enum membership membership_of(pid_t pid, const struct machine *machine,
                              const unsigned char key[KEY_BYTES]) {
    char path[32];
    struct identity identity;
    uint64_t stack_end, stack_bytes;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (!find_stack_end(pid, &stack_end) || identity_read(&identity, path) != 0 ||
        !tracee_limit(pid, "Max stack size", &stack_bytes))
        return MEMBER_UNKNOWN;
    if (bases_by_limit(machine, key, identity.bytes, identity.length).stack_top == stack_end)
        return MEMBER;
    /* The limit is the present one. On x86_64 the stack's place does not depend on it, elsewhere a
     * program that has changed its limit since its exec is not recognised. */
    return bases_by_reservation(machine, key, identity.bytes, identity.length, stack_bytes)
                       .stack_top == stack_end
               ? MEMBER
               : NO_MEMBER;
}
