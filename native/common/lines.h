/* Lines of text files whose lines may be of any length. */
#ifndef KSMRUN_LINES_H
#define KSMRUN_LINES_H

#include <stdbool.h>
#include <stdio.h>

/* Reads a line without its newline, cut to size - 1 bytes: the rest of a longer one is skipped, so
 * that no part of it looks like a line. Returns false at the end, or if reading failed
 * (ferror(3)). */
bool line_next(FILE *file, char *line, int size);

#endif
