#include "resolve.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

/* include/linux/namei.h: MAXSYMLINKS; include/uapi/linux/magic.h. */
enum { LINKS_MAX = 40, PROC_MAGIC = 0x9fa0, REST_BYTES = 2 * PATH_MAX };

static bool is_in_proc(const char *folder) {
    struct statfs system;
    return statfs(*folder == '\0' ? "/" : folder, &system) == 0 && system.f_type == PROC_MAGIC;
}

/* Replaces the first component of rest by the text of its link. */
static bool put_first(char rest[REST_BYTES], const char *text, const char *after) {
    char joined[REST_BYTES];
    int length = snprintf(joined, sizeof joined, "%s/%s", text, after);
    memcpy(rest, joined, sizeof joined);
    return length > 0 && length < REST_BYTES;
}

bool resolve_for(pid_t pid, const char *folder, const char *name, char *path, size_t path_bytes) {
    char rest[REST_BYTES], text[PATH_MAX];
    const char *start = *name == '/' ? "" : folder;
    int links = 0;
    if (strlen(name) >= sizeof rest || strlen(start) >= path_bytes)
        return false;
    snprintf(rest, sizeof rest, "%s", name);
    snprintf(path, path_bytes, "%s", start);
    for (const char *at = rest; *(at += strspn(at, "/")) != '\0';) {
        size_t parent = strlen(path), bytes = strcspn(at, "/");
        int added = snprintf(path + parent, path_bytes - parent, "/%.*s", (int)bytes, at);
        if (added < 0 || (size_t)added >= path_bytes - parent)
            return false;
        at += bytes;
        ssize_t length = readlink(path, text, sizeof text - 1);
        if (length <= 0)
            continue;
        if (++links > LINKS_MAX)
            return false;
        text[length] = '\0';
        path[parent] = '\0';
        bool is_proc = is_in_proc(path);
        if (is_proc && strtol(text, NULL, 10) == getpid()) {
            /* self or thread-self */
            added = snprintf(path + parent, path_bytes - parent, "/%d", pid);
            if (added < 0 || (size_t)added >= path_bytes - parent)
                return false;
        } else if (is_proc && strncmp(text, "self/", 5) != 0) {
            /* Those of /proc/PID lead to a file that need not have a name. */
            path[parent] = '/';
        } else {
            if (text[0] == '/')
                *path = '\0';
            if (!put_first(rest, text, at))
                return false;
            at = rest;
        }
    }
    if (*path == '\0')
        snprintf(path, path_bytes, "/");
    return true;
}
