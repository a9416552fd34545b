#include "target.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/procfile.h"
#include "../common/search.h"
#include "loads.h"
#include "resolve.h"

/* fs/exec.c: exec_binprm follows this many interpreters. */
enum { INTERPRETERS_MAX = 5, HEAD_BYTES = 256, PATH_BYTES = PATH_MAX + 64 };

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#else
enum { MACHINE = EM_AARCH64 };
#endif

/* A process with no_new_privs gains less than is reported here. */
static bool file_gains_privilege(const char *path) {
    struct stat status;
    struct statvfs system;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1 || stat(path, &status) != 0 ||
        !S_ISREG(status.st_mode) ||
        (statvfs(path, &system) == 0 && (system.f_flag & ST_NOSUID) != 0))
        return false;
    bool is_setgid = (status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0;
    return (status.st_mode & S_ISUID) != 0 || is_setgid ||
           getxattr(path, "security.capability", NULL, 0) > 0;
}

struct head {
    unsigned char bytes[HEAD_BYTES];
    ssize_t length;
};

static struct head read_head(const char *path) {
    struct head head = {.length = 0};
    ssize_t length = procfile_read_regular(path, (char *)head.bytes, sizeof head.bytes);
    head.length = length < 0 ? 0 : length;
    return head;
}

/* Replaces a script's path by the interpreter that it names. Returns false if it is no script. */
static bool to_interpreter(const struct head *head, char path[PATH_BYTES]) {
    if (head->length < 3 || head->bytes[0] != '#' || head->bytes[1] != '!')
        return false;
    const char *start = (const char *)head->bytes + 2;
    start += strspn(start, " \t");
    snprintf(path, PATH_BYTES, "%.*s", (int)strcspn(start, " \t\n"), start);
    return true;
}

bool target_gains_privilege(const char *file, pid_t pid) {
    char path[PATH_BYTES], named[PATH_BYTES], folder[32];
    snprintf(path, sizeof path, "%s", file);
    snprintf(folder, sizeof folder, "/proc/%d/cwd", pid);
    for (int depth = 0; depth <= INTERPRETERS_MAX; depth++) {
        if (file_gains_privilege(path))
            return true;
        struct head head = read_head(path);
        if (!to_interpreter(&head, named))
            return false;
        /* What cannot be told may grant something. */
        if (!resolve_for(pid, folder, named, path, sizeof path))
            return true;
    }
    return false;
}

/* Registrations are beside these two files (Documentation/admin-guide/binfmt-misc.rst). */
static bool has_other_formats(void) {
    DIR *folder = opendir("/proc/sys/fs/binfmt_misc");
    bool has_any = false;
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        has_any |= entry->d_name[0] != '.' && strcmp(entry->d_name, "register") != 0 &&
                   strcmp(entry->d_name, "status") != 0;
    if (folder != NULL)
        closedir(folder);
    return has_any;
}

/* Text goes to /bin/sh; everything else is executed by an interpreter that may be of any kind. */
static int check_other(const char *path, const struct head *head, char reason[REASON_BYTES]) {
    if (head->length < 1 || memchr(head->bytes, '\0', (size_t)head->length) == NULL ||
        !has_other_formats())
        return 0;
    return refuse(reason,
                  "%s is run by an interpreter of binfmt_misc, which cannot be known before it "
                  "runs; start that interpreter, or use --layout=random",
                  path);
}

struct machines {
    const struct machine *own, *narrow;
    enum target_kind kind; /* of all files so far */
};

static enum target_kind kind_of(const struct head *head, const struct machine *narrow) {
    int class = head->bytes[EI_CLASS], machine = head->bytes[18] | head->bytes[19] << 8;
    if (class == ELFCLASS64 && machine == MACHINE)
        return TARGET_OWN;
    return class == ELFCLASS32 && machine == EM_386 && narrow->address_bits != 0 ? TARGET_NARROW
                                                                                 : TARGET_UNKNOWN;
}

static int check_file(const char *path, const struct head *head, struct machines *machines,
                      char reason[REASON_BYTES]) {
    if (access(path, F_OK) != 0)
        return 0;
    if (file_gains_privilege(path))
        return refuse(reason,
                      "%s changes user, group or capabilities at exec, which it would lose while "
                      "traced; put ksmrun behind it (sudo -u USER ksmrun run ...), or use "
                      "--layout=random",
                      path);
    if (access(path, R_OK) != 0)
        return refuse(reason, "%s cannot be read, so neither can its memory; run chmod +r on it",
                      path);
    if (head->length < 20 || memcmp(head->bytes, ELFMAG, SELFMAG) != 0)
        return check_other(path, head, reason);
    enum target_kind kind = kind_of(head, machines->narrow);
    if (kind == TARGET_UNKNOWN)
        return refuse(reason,
                      "%s is a program for another machine, or of 32 bits but not i386's, for "
                      "which there is no shared layout; start it with --layout=random",
                      path);
    bool is_other = machines->kind != TARGET_UNKNOWN && machines->kind != kind;
    machines->kind = is_other ? TARGET_MIXED : kind;
    const char *obstacle =
        loads_obstacle_of(path, kind == TARGET_NARROW ? machines->narrow : machines->own);
    return obstacle == NULL
               ? 0
               : refuse(reason, "%s %s; start it with --layout=random", path, obstacle);
}

static int check_chain(char path[PATH_BYTES], struct machines *machines,
                       char reason[REASON_BYTES]) {
    for (int depth = 0; depth <= INTERPRETERS_MAX; depth++) {
        struct head head = read_head(path);
        if (check_file(path, &head, machines, reason) != 0)
            return -1;
        if (!to_interpreter(&head, path))
            return 0;
    }
    return 0;
}

/* Of a folder, or a file that nobody may execute, the exec tries the next in PATH. */
static bool may_be_executed(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0;
}

/* Checks every file of that name in PATH: the exec tries the next if one cannot be run. */
int target_may_move(const char *command, const struct machine *machine,
                    const struct machine *narrow, enum target_kind *kind,
                    char reason[REASON_BYTES]) {
    char path[PATH_BYTES];
    struct machines machines = {machine, narrow, TARGET_UNKNOWN};
    for (int index = 0; search_candidate(command, index, path, sizeof path); index++)
        if (may_be_executed(path) && check_chain(path, &machines, reason) != 0)
            return -1;
    *kind = machines.kind;
    return 0;
}
