/* Whole files of folders that somebody else may own: read into memory, and replaced in one step. */
#ifndef KSMRUN_OCI_FILE_H
#define KSMRUN_OCI_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Real ones have some 10 KiB, with a pod's ConfigMap in the environment 1 MiB more. */
enum { FILE_BYTES_MAX = 8 << 20 };

/* The bytes of a regular file, to be freed. A link is followed where root or this user made it.
 * Returns 0, or -errno; -EINVAL where it is no file, which is then not opened, as what a pipe holds
 * is the runtime's; -EFBIG above FILE_BYTES_MAX. */
int file_read(const char *path, char **bytes, size_t *length);

/* Replaces the file, or what such a link leads to, with the same mode and owner. Returns 0, or
 * -errno: then it is as it was, and nothing is left beside it. */
int file_replace(const char *path, const char *bytes, size_t length);

/* Puts a file in the folder that this user alone can read (mode 0400), in the place of one that is
 * there. Returns 0, or -errno. */
int file_put_secret(const char *folder, const char *name, const void *bytes, size_t length,
                    uid_t owner);

#endif
