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

bool rootfs_covers(const char *upper, const char *lower) {
    size_t length = strlen(upper);
    return strncmp(lower, upper, length) == 0 && (lower[length] == '\0' || lower[length] == '/');
}

/* Stores the host's path of one in the container. Returns false if what is mounted there last has
 * no files of the host's, and so no links of an image's or a user's. */
static bool to_host(const struct rootfs *rootfs, const char *path, char host[LONG_PATH]) {
    for (size_t i = rootfs->count; i-- > 0;) {
        const struct mounted *mount = &rootfs->mounts[i];
        if (mount->place == NULL || !rootfs_covers(mount->place, path))
            continue;
        if (mount->source == NULL)
            return false;
        return snprintf(host, LONG_PATH, "%s%s", mount->source, path + strlen(mount->place)) <
               LONG_PATH;
    }
    return snprintf(host, LONG_PATH, "%s%s", rootfs->folder, path) < LONG_PATH;
}

bool rootfs_resolve(struct rootfs *rootfs, const char *name, char path[PATH_MAX]) {
    char rest[LONG_PATH], joined[LONG_PATH], host[LONG_PATH], text[PATH_MAX];
    int links = 0;
    *path = '\0';
    if (strlen(name) >= sizeof rest)
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
        if (parent + 1 + bytes >= PATH_MAX || rootfs->looks == 0)
            return false;
        rootfs->looks--;
        snprintf(path + parent, PATH_MAX - parent, "/%.*s", (int)bytes, word);
        ssize_t length = to_host(rootfs, path, host) ? readlink(host, text, sizeof text - 1) : 0;
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
