/* Reads small files of /proc and /sys, and keeps descriptors out of stdio's way. */
#ifndef KSMRUN_PROCFILE_H
#define KSMRUN_PROCFILE_H

#include <stddef.h>
#include <sys/types.h>

/* Reads the file into text, cut at size - 1, NUL-terminated. Returns the bytes read or -errno. */
ssize_t procfile_read(const char *path, char *text, size_t size);
ssize_t procfile_read_at(int directory, const char *name, char *text, size_t size);

/* Moves a fresh descriptor above 2: where the caller closed stdin, stdout or stderr, open(2) hands
 * out their numbers, and a message meant for stderr would land in our file. Returns it or -errno.
 */
int descriptor_above_stdio(int descriptor);

#endif
