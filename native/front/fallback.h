/* Starting the program of `ksmrun run` without Python: what cannot be planned is left out. */
#ifndef KSMRUN_FALLBACK_H
#define KSMRUN_FALLBACK_H

#include <stdbool.h>

/* Whether Python would get the memory and the descriptors that it takes to say what it lacks. */
bool fallback_has_room(void);

/* words: what follows "ksmrun", NULL-terminated. Executes ksmrun-exec in the folder, or the program
 * itself where that fails. Returns an exit code; -1 where the words start no program. */
int fallback_start(const char *folder, char **words, const char *why, const char *todo);

#endif
