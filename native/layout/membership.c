#include "membership.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "../common/lines.h"
#include "../common/maps.h"
#include "../common/pidstat.h"
#include "../common/procfile.h"
#include "elf_file.h"
#include "tracee.h"

static bool find_stack_end(pid_t pid, uint64_t *end) {
    /* The kernel gives up to a page of it at a time, musl's own buffer takes a quarter. */
    char path[32], line[512], buffer[4096];
    struct vma vma = {.end = 0};
    bool is_found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        return false;
    setvbuf(maps, buffer, _IOFBF, sizeof buffer);
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

static bool is_same_file(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino &&
           one->st_size == other->st_size && one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

/* Returns false if the file cannot be read. */
static bool look_at_program(const char *path, const struct machine *machine,
                            const unsigned char key[KEY_BYTES], struct last_program *last) {
    struct stat file;
    if (stat(path, &file) != 0)
        return false;
    if (last->is_known && is_same_file(&file, &last->file))
        return true;
    *last = (struct last_program){.file = file};
    if (identity_read(&last->identity, path) != 0)
        return false;
    last->machine = machine_of_program(path, machine);
    last->has_room = bases_have_room(&last->machine);
    if (last->has_room)
        last->stack_end =
            bases_by_limit(&last->machine, key, last->identity.bytes, last->identity.length)
                .stack_top;
    /* It may have executed another program between two of these looks. */
    last->is_known = stat(path, &file) == 0 && is_same_file(&file, &last->file);
    return last->is_known;
}

/* The limit is the present one: where the place depends on it, a program that has changed its limit
 * since its exec is not recognised. */
static uint64_t reserved_end(struct last_program *last, const unsigned char key[KEY_BYTES],
                             uint64_t soft_bytes) {
    if (!last->has_reserved || last->soft_bytes != soft_bytes) {
        last->reserved_end = bases_by_reservation(&last->machine, key, last->identity.bytes,
                                                  last->identity.length, soft_bytes)
                                 .stack_top;
        last->soft_bytes = soft_bytes;
        last->has_reserved = true;
    }
    return last->reserved_end;
}

/* What is above the start of a stack: arguments and environment, 6 MiB at most (fs/exec.c:
 * bprm_stack_limits), and what the group has random. */
static bool may_end_at(uint64_t start, uint64_t end) {
    const uint64_t above_bytes_max = (uint64_t)64 << 20;
    return start <= end && end - start <= above_bytes_max;
}

/* By one line of the kernel's, instead of one for each VMA. */
static bool may_be_member(const struct pidstat *stat, uint64_t end, uint64_t reserved) {
    uint64_t start = stat->fields[PIDSTAT_START_STACK];
    bool is_shown = start != 0; /* as only to who may trace it */
    return !is_shown || may_end_at(start, end) || may_end_at(start, reserved);
}

enum membership membership_of(pid_t pid, const struct machine *machine,
                              const unsigned char key[KEY_BYTES], struct last_program *last) {
    char path[32];
    struct pidstat stat;
    uint64_t stack_end, soft_bytes = 0;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (!look_at_program(path, machine, key, last) ||
        (bases_stack_needs_limit(&last->machine) &&
         !tracee_limit(pid, "Max stack size", &soft_bytes)))
        return MEMBER_UNKNOWN;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (!procfile_stat(AT_FDCWD, path, &stat))
        return MEMBER_UNKNOWN;
    if (!last->has_room ||
        !may_be_member(&stat, last->stack_end, reserved_end(last, key, soft_bytes)))
        return NO_MEMBER;
    if (!find_stack_end(pid, &stack_end))
        return MEMBER_UNKNOWN;
    return last->stack_end == stack_end || last->reserved_end == stack_end ? MEMBER : NO_MEMBER;
}
