/* --verify: proof, from outside the program, that the merge flag outlived the exec. */
#ifndef KSMRUN_VERIFY_H
#define KSMRUN_VERIFY_H

#include <stdbool.h>

/* Starts the observer: a process that is not the program's child, holds none of its descriptors but
 * stderr, waits for the exec, prints one line and ends. Returns the descriptor that tells it of a
 * failed exec (close-on-exec), or -1 where no observer runs; why has then been said. is_late: the
 * flag is set by a preloaded library, so the observer gives it time. */
int verify_start(const char *command, bool is_late, bool quiet);

/* Tells the observer that no exec will come. */
void verify_cancel(int observer);

#endif
