/* Reads small files of /proc and /sys, and keeps descriptors away from stdio's numbers. */
#ifndef KSMRUN_PROCFILE_H
#define KSMRUN_PROCFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "pidstat.h"

/* Reads the file into text, truncated to size - 1, NUL-terminated. Returns the bytes read or
 * -errno. */
ssize_t procfile_read(const char *path, char *text, size_t size);
ssize_t procfile_read_at(int directory, const char *name, char *text, size_t size);

/* Reads a stat file of a process or thread. Returns false if there is none, or it is not one. */
bool procfile_stat(int directory, const char *name, struct pidstat *stat);

/* Finds the line "NAME:VALUE" of a file such as /proc/PID/status, and copies the value, which must
 * be shorter than size. The file may be of any length: a process may have 65536 groups. Returns
 * false if there is no such line, or no file. */
bool procfile_row(const char *path, const char *name, char *value, size_t size);

/* Like procfile_read, but only for regular files: opening a FIFO may wait for ever, and opening a
 * device may have effects. Returns -EINVAL for those. */
ssize_t procfile_read_regular(const char *path, char *text, size_t size);

/* Moves a new descriptor above 2: if the caller closed stdin, stdout or stderr, open(2) returns
 * their numbers, and a message meant for stderr would go to our file. Returns it or -errno. */
int descriptor_above_stdio(int descriptor);

#endif
