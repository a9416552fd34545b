/* Resolves names of another process as its own system calls would. */
#ifndef KSMRUN_RESOLVE_H
#define KSMRUN_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Follows all links in name, which begins in folder if it is relative, and stores a path that means
 * the same file for this process: what /proc/self or /dev/fd leads to depends on who follows it.
 * Both processes must have the same root and mounts. Returns false if that is too long, or has too
 * many links. */
bool resolve_for(pid_t pid, const char *folder, const char *name, char *path, size_t path_bytes);

#endif
