/* Whole files: read into memory, and replaced in one step. */
#ifndef KSMRUN_OCI_FILE_H
#define KSMRUN_OCI_FILE_H

#include <stddef.h>

/* The bytes of a regular file, to be freed. Returns 0, or -errno; -EINVAL where it is none, which
 * is then not opened, as what a pipe holds is the runtime's. */
int file_read(const char *path, char **bytes, size_t *length);

/* Replaces the file, or what the link leads to, with the same mode and owner. Returns 0, or -errno:
 * then it is as it was. */
int file_replace(const char *path, const char *bytes, size_t length);

#endif
