/* Files in folders that others may own: read completely into memory, and replaced atomically. */
#ifndef KSMRUN_OCI_FILE_H
#define KSMRUN_OCI_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Real ones have some 10 KiB, with a pod's ConfigMap in the environment 1 MiB more. */
enum { FILE_BYTES_MAX = 8 << 20 };

/* Reads a regular file; free the bytes. A link is followed only if root or this user made it.
 * Returns 0, or -errno; -EINVAL for other types, which are not opened, because a pipe's content
 * belongs to the runtime; -EFBIG above FILE_BYTES_MAX. */
int file_read(const char *path, char **bytes, size_t *length);

/* Replaces the file, or the target of such a link, with the same mode and owner. Returns 0, or
 * -errno: then it is unchanged, and nothing is left beside it. */
int file_replace(const char *path, const char *bytes, size_t length);

/* Puts a file that only this user can read (mode 0400) into the folder, replacing one that exists.
 * Returns 0, or -errno. */
int file_put_secret(const char *folder, const char *name, const void *bytes, size_t length,
                    uid_t owner);

#endif
