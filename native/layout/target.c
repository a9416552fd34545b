#include "target.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../exec/procfile.h"
#include "../exec/search.h"

/* fs/exec.c: exec_binprm follows so many interpreters. */
enum { INTERPRETERS_MAX = 5, HEAD_BYTES = 256 };

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#else
enum { MACHINE = EM_AARCH64 };
#endif

/* Any process with no_new_privs of its own gains less than is said here. */
bool target_gains_privilege(const char *path) {
    struct stat status;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1 || stat(path, &status) != 0)
        return false;
    bool is_setgid = (status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0;
    return (status.st_mode & S_ISUID) != 0 || is_setgid ||
           getxattr(path, "security.capability", NULL, 0) > 0;
}

static int check_file(const char *path, const unsigned char *head, ssize_t length,
                      char reason[REASON_BYTES]) {
    if (access(path, F_OK) != 0)
        return 0;
    if (target_gains_privilege(path))
        return refuse(reason,
                      "%s changes user, group or capabilities at exec, which it would lose under a "
                      "tracer; start it with --layout=random",
                      path);
    if (access(path, R_OK) != 0)
        return refuse(reason, "%s cannot be read, so its memory is hidden too; chmod +r it", path);
    if (length < 20 || memcmp(head, ELFMAG, SELFMAG) != 0)
        return 0;
    if (head[EI_CLASS] != ELFCLASS64 || (head[18] | head[19] << 8) != MACHINE)
        return refuse(reason,
                      "%s is a 32-bit program or one of another machine, whose addresses have too "
                      "few bits to keep secret; start it with --layout=random",
                      path);
    return 0;
}

int target_file_may_move(const char *file, char reason[REASON_BYTES]) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s", file);
    for (int depth = 0; depth <= INTERPRETERS_MAX; depth++) {
        unsigned char head[HEAD_BYTES];
        ssize_t length = procfile_read(path, (char *)head, sizeof head);
        if (check_file(path, head, length, reason) != 0)
            return -1;
        if (length < 3 || head[0] != '#' || head[1] != '!')
            return 0;
        const char *start = (const char *)head + 2;
        start += strspn(start, " \t");
        snprintf(path, sizeof path, "%.*s", (int)strcspn(start, " \t\r\n"), start);
    }
    return 0;
}

/* Every file of that name in PATH: the exec goes on to the next where one cannot be run. */
int target_may_move(const char *command, char reason[REASON_BYTES]) {
    char path[PATH_MAX];
    for (int index = 0; search_candidate(command, index, path, sizeof path); index++)
        if (access(path, F_OK) == 0 && target_file_may_move(path, reason) != 0)
            return -1;
    return 0;
}
