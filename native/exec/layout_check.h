/* --layout-check: which processes have the layout of a key. */
#ifndef KSMRUN_LAYOUT_CHECK_H
#define KSMRUN_LAYOUT_CHECK_H

#include <stdbool.h>

/* Prints a line for each PID in words, which end with NULL. Returns false after a message. */
bool layout_check(const char *key_file, const char *group, char **words);

#endif
