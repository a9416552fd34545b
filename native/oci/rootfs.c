#include "rootfs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* include/linux/namei.h: MAXSYMLINKS */
enum { LINKS_MAX = 40, LONG_PATH = 2 * PATH_MAX };

static bool is(const char *word, size_t bytes, const char *name) {
    return strlen(name) == bytes && memcmp(word, name, bytes) == 0;
}

static void cut_last(char *path) {
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
}

bool rootfs_resolve(const char *rootfs, const char *name, char path[PATH_MAX]) {
    char rest[LONG_PATH], joined[LONG_PATH], host[LONG_PATH], text[PATH_MAX];
    int links = 0;
    *path = '\0';
    if (strlen(name) >= sizeof rest || strlen(rootfs) >= PATH_MAX)
        return false;
    strcpy(rest, name);
    for (const char *at = rest; *(at += strspn(at, "/")) != '\0';) {
        size_t parent = strlen(path), bytes = strcspn(at, "/");
        const char *word = at;
        at += bytes;
        if (is(word, bytes, ".."))
            cut_last(path);
        if (is(word, bytes, ".") || is(word, bytes, ".."))
            continue;
        if (parent + 1 + bytes >= PATH_MAX)
            return false;
        snprintf(path + parent, PATH_MAX - parent, "/%.*s", (int)bytes, word);
        snprintf(host, sizeof host, "%s%s", rootfs, path);
        ssize_t length = readlink(host, text, sizeof text - 1);
        if (length <= 0)
            continue;
        text[length] = '\0';
        if (++links > LINKS_MAX || (size_t)length + 1 + strlen(at) >= sizeof joined)
            return false;
        path[text[0] == '/' ? 0 : parent] = '\0';
        snprintf(joined, sizeof joined, "%s/%s", text, at);
        strcpy(rest, joined);
        at = rest;
    }
    return true;
}
