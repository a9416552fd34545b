/* Finds where a container's mounts come to lie. */
#ifndef KSMRUN_OCI_ROOTFS_H
#define KSMRUN_OCI_ROOTFS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* What is mounted at a path of the container. */
struct mounted {
    char *place;        /* resolved; NULL if it cannot be told */
    const char *source; /* of a bind mount, a path on the host; NULL for others */
};

/* A container's root, and what is mounted in it, in this order. All of it is the container's, and
 * may change at any time: what is found is good for a decision, and not for opening it. */
struct rootfs {
    const char *folder; /* on the host */
    struct mounted *mounts;
    size_t count;
    size_t looks; /* how many links may still be looked for */
};

/* Stores where a mount at this name comes to lie, as runtimes find it: following all links, none of
 * which leads out of the root. Returns false if it is too long, or has too many links. */
bool rootfs_resolve(struct rootfs *rootfs, const char *name, char path[PATH_MAX]);

/* Returns whether a mount at `upper`, both resolved, hides what is at `lower`. */
bool rootfs_covers(const char *upper, const char *lower);

#endif
