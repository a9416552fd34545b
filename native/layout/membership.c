#include "membership.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "../common/lines.h"
#include "../common/maps.h"
#include "elf_file.h"
#include "identity.h"
#include "tracee.h"

static bool find_stack_end(pid_t pid, uint64_t *end) {
    char path[32], line[512];
    struct vma vma = {.end = 0};
    bool is_found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        return false;
    while (!is_found && line_next(maps, line, sizeof line))
        is_found = maps_read_line(line, &vma) != NULL && vma.is_main_stack;
    fclose(maps);
    *end = vma.end;
    return is_found;
}

static struct machine machine_of_program(const char *path, const struct machine *machine) {
    Elf64_Ehdr header;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool is_narrow =
        file >= 0 && elf_read_header(file, &header) && header.e_ident[EI_CLASS] == ELFCLASS32;
    if (file >= 0)
        close(file);
    return is_narrow ? machine_narrow(machine) : *machine;
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
    const struct machine its = machine_of_program(path, machine);
    if (!bases_have_room(&its))
        return NO_MEMBER;
    if (bases_by_limit(&its, key, identity.bytes, identity.length).stack_top == stack_end)
        return MEMBER;
    /* The limit is the present one. On x86_64 the stack's place does not depend on it, elsewhere a
     * program that has changed its limit since its exec is not recognised. */
    return bases_by_reservation(&its, key, identity.bytes, identity.length, stack_bytes)
                       .stack_top == stack_end
               ? MEMBER
               : NO_MEMBER;
}
