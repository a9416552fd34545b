/* Reads small files of /proc and /sys, and keeps descriptors out of stdio's way. */
#ifndef KSMRUN_PROCFILE_H
#define KSMRUN_PROCFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads the file into text, cut at size - 1, NUL-terminated. Returns the bytes read or -errno. */
ssize_t procfile_read(const char *path, char *text, size_t size);
ssize_t procfile_read_at(int directory, const char *name, char *text, size_t size);

/* Finds the row "NAME:VALUE" of a file such as /proc/PID/status, and copies the value, which must
 * be shorter than size. However long the file is: a process may have 65536 groups. Returns false
 * where there is no such row, or no file. */
bool procfile_row(const char *path, const char *name, char *value, size_t size);

/* Reads as procfile_read does, but nothing except a regular file: to open a FIFO may wait for ever,
 * and to open a device may do things. Returns -EINVAL for those. */
ssize_t procfile_read_regular(const char *path, char *text, size_t size);

/* Moves a fresh descriptor above 2: where the caller closed stdin, stdout or stderr, open(2) hands
 * out their numbers, and a message meant for stderr would land in our file. Returns it or -errno.
 */
int descriptor_above_stdio(int descriptor);

#endif
