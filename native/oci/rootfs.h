/* Resolves names in a container's root file system. */
#ifndef KSMRUN_OCI_ROOTFS_H
#define KSMRUN_OCI_ROOTFS_H

#include <limits.h>
#include <stdbool.h>

/* Stores where a mount at this name comes to lie, as runtimes find it: following all links, none of
 * which leads out of rootfs, a path on the host. It is a container's, and may change at any time:
 * what is found is good for a decision, and not for opening it. Returns false if it is too long, or
 * has too many links. */
bool rootfs_resolve(const char *rootfs, const char *name, char path[PATH_MAX]);

#endif
