/* Starts the program of `ksmrun run` without Python, and without what needs planning. */
#ifndef KSMRUN_FALLBACK_H
#define KSMRUN_FALLBACK_H

#include <stdbool.h>

/* Returns whether Python would get enough memory and descriptors to report what it lacks. */
bool fallback_has_room(void);

/* words: what follows "ksmrun", NULL-terminated. Executes ksmrun-exec in the folder, or the program
 * itself if that fails. Returns an exit code; -1 if the words start no program. */
int fallback_start(const char *folder, char **words, const char *why, const char *todo);

#endif
