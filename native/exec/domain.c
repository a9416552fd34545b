#include "domain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/procfile.h"
#include "../common/trust.h"

enum { STATE_BYTES = 4096, BOOT_ID_BYTES = 40, WAIT_MS = 2000, STEP_MS = 2 };

/* In a user namespace without the host's root, such as a container's, its files show the overflow
 * user. Who makes such a namespace can deceive nobody but the programs in it, which could set the
 * flag without ksmrun as well (user_namespaces(7)). */
static bool is_roots(uid_t owner) {
    char map[64], overflow[16], *next;
    if (owner == 0)
        return true;
    if (procfile_read("/proc/self/uid_map", map, sizeof map) <= 0)
        return false;
    unsigned long inside = strtoul(map, &next, 10), outside = strtoul(next, &next, 10);
    if (inside == 0 && outside == 0 && strtoul(next, NULL, 10) == UINT32_MAX)
        return false;
    return procfile_read("/proc/sys/kernel/overflowuid", overflow, sizeof overflow) > 0 &&
           owner == strtoul(overflow, NULL, 10);
}

/* Returns whether only root can have made or changed what is open. */
static bool is_safe(int descriptor, mode_t type, struct stat *status) {
    return fstat(descriptor, status) == 0 && (status->st_mode & S_IFMT) == type &&
           is_roots(status->st_uid) && (status->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int open_safe(int folder, const char *path, const char *name, struct stat *status,
                     char reason[REASON_BYTES]) {
    int file = descriptor_above_stdio(
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (file < 0)
        return refuse(reason, "%s/%s: %s; run `sudo ksmrun trust claim DOMAIN`", path, name,
                      strerror(-file));
    if (is_safe(file, S_IFREG, status))
        return file;
    close(file);
    return refuse(reason,
                  "%s/%s is not a regular file that only root can write; delete it, find out who "
                  "made it, then run `sudo ksmrun trust claim DOMAIN`",
                  path, name);
}

static int open_folder(const char *path, char reason[REASON_BYTES]) {
    struct stat status;
    int folder = descriptor_above_stdio(open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (folder == -ENOENT)
        return refuse(reason,
                      "no domain may merge on this host yet (there is no %s); run `sudo ksmrun "
                      "trust claim DOMAIN`",
                      path);
    if (folder < 0)
        return refuse(reason, "%s: %s; run `sudo ksmrun trust check`", path, strerror(-folder));
    if (is_safe(folder, S_IFDIR, &status))
        return folder;
    close(folder);
    return refuse(
        reason,
        "%s is not a folder that only root can write to; delete it, find out who made it, "
        "then run `sudo ksmrun trust claim DOMAIN`",
        path);
}

/* The process that holds the lock, as far as the kernel tells (proc(5): /proc/locks); else 0. It
 * may be in another PID namespace, or have passed the descriptor on. */
static int holder_of(const struct stat *lock) {
    static char text[65536];
    char place[48];
    snprintf(place, sizeof place, " %02x:%02x:%llu ", major(lock->st_dev), minor(lock->st_dev),
             (unsigned long long)lock->st_ino);
    if (procfile_read("/proc/locks", text, sizeof text) <= 0)
        return 0;
    /* NUMBER: FLOCK  ADVISORY  WRITE PID MAJOR:MINOR:INODE 0 EOF. Others may read-lock the file in
     * another way, or wait ("->"). */
    char *next = text;
    for (char *line; (line = strsep(&next, "\n")) != NULL;) {
        char *found = strstr(line, place), *kind = strstr(line, " WRITE ");
        if (found != NULL && kind != NULL && strstr(line, ": FLOCK ") != NULL)
            return (int)strtol(kind + strlen(" WRITE "), NULL, 10);
    }
    return 0;
}

/* Anybody can open the lock, and so keep it: that costs a launch this wait, and its merging. */
static int await(int lock, const char *path, const struct stat *status, char reason[REASON_BYTES]) {
    const struct timespec step = {.tv_nsec = STEP_MS * NS_A_MS};
    int64_t end_ms = clock_now_ms() + WAIT_MS;
    char who[48] = "another process";
    while (flock(lock, LOCK_SH | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return refuse(reason, "%s/lock cannot be locked: %s; run `sudo ksmrun trust check`",
                          path, strerror(errno));
        if (clock_now_ms() >= end_ms) {
            int pid = holder_of(status);
            if (pid > 0)
                snprintf(who, sizeof who, "PID %d", pid);
            return refuse(reason,
                          "%s holds the lock of the trust domains (%s/lock) for longer than %d s; "
                          "end it, then start this again",
                          who, path, WAIT_MS / 1000);
        }
        nanosleep(&step, NULL);
    }
    return 0;
}

/* Reads the state, and returns 0 if the domain is the one that may merge. */
static int check(int folder, const char *path, const char *name, char reason[REASON_BYTES]) {
    char boot[BOOT_ID_BYTES], text[STATE_BYTES + 1], holder[DOMAIN_BYTES];
    struct stat status;
    ssize_t boot_length = procfile_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    if (boot_length <= 0)
        return refuse(reason, "this boot's id cannot be read (/proc/sys/kernel/random/boot_id); "
                              "mount /proc");
    boot[strcspn(boot, "\n")] = '\0';
    int file = open_safe(folder, path, "state", &status, reason);
    if (file < 0)
        return -1;
    ssize_t length;
    do {
        length = pread(file, text, STATE_BYTES + 1, 0);
    } while (length < 0 && errno == EINTR);
    close(file);
    /* A longer one is not ours. */
    length = length < 0 || length > STATE_BYTES ? 0 : length;
    text[length] = '\0';
    enum trust_state state = trust_parse(text, (size_t)length, boot, holder);
    if (state == TRUST_OTHER_FORMAT)
        return refuse(reason,
                      "%s/state is of another version of ksmrun; install the launcher of that one "
                      "(`sudo ksmrun wrap install`)",
                      path);
    if (state == TRUST_DAMAGED)
        return refuse(
            reason,
            "%s/state is damaged, so no domain may merge; run `sudo ksmrun trust release`, "
            "then `sudo ksmrun trust claim %s`",
            path, name);
    if (state != TRUST_KNOWN)
        return refuse(reason,
                      "%s/state is of another boot, so no domain may merge; run `sudo ksmrun trust "
                      "claim %s`",
                      path, name);
    if (holder[0] == '\0')
        return refuse(reason, "no domain may merge now; run `sudo ksmrun trust claim %s`", name);
    if (strcmp(holder, name) != 0)
        return refuse(reason,
                      "domain %s merges on this host, and not %s; see who by `sudo ksmrun trust "
                      "show`, and when they have ended run `sudo ksmrun trust claim %s`",
                      holder, name, name);
    return 0;
}

int domain_enter(const char *path, const char *name, char reason[REASON_BYTES]) {
    struct stat opened, named;
    int folder = open_folder(path, reason);
    if (folder < 0)
        return -1;
    int lock = open_safe(folder, path, "lock", &opened, reason);
    if (lock >= 0 && await(lock, path, &opened, reason) == 0) {
        /* Root may have put another in its place meanwhile, which others lock now. */
        bool is_there = fstatat(folder, "lock", &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                        named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
        if (!is_there)
            refuse(reason, "%s/lock was replaced meanwhile; start this again", path);
        else if (check(folder, path, name, reason) == 0) {
            close(folder);
            return 0;
        }
    }
    if (lock >= 0)
        close(lock);
    close(folder);
    return -1;
}

void domain_hold(const char *path) {
    char reason[REASON_BYTES];
    struct stat status;
    int folder = open_folder(path, reason);
    int lock = folder < 0 ? -1 : open_safe(folder, path, "lock", &status, reason);
    if (lock >= 0)
        (void)await(lock, path, &status, reason);
    if (folder >= 0)
        close(folder);
}
