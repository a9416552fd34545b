/* Lines for people: a stderr that nobody reads must not stop a launch. */
#ifndef KSMRUN_STDERR_H
#define KSMRUN_STDERR_H

#include <limits.h>
#include <stddef.h>

/* More than PIPE_BUF may arrive in a pipe in parts, between other writers' lines, and may block
 * even if poll(2) has promised space (pipe(7)). */
enum { STDERR_LINE_BYTES = PIPE_BUF };

/* Writes a line of at most STDERR_LINE_BYTES, or leaves it out: if stderr is closed or has no
 * reader, or if its reader makes no room within a moment. */
void stderr_write(const char *line, size_t size);

#endif
