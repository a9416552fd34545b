/* What is done from outside the program once its exec is over: --inject, that it merges; --verify,
 * proof that it does. */
#ifndef KSMRUN_OBSERVER_H
#define KSMRUN_OBSERVER_H

#include <stdbool.h>

/* What is to be seen after the exec: the flag at once, the flag when the preloaded shim has set it,
 * or marked memory when its sweeper has made its first round. */
enum expected { EXPECTED_FLAG, EXPECTED_FLAG_LATE, EXPECTED_MARKS };

struct observation {
    const char *command;
    bool injects, verifies;
    enum expected expected;
    const char *layout_key, *layout_group; /* key NULL: no layout to verify; group NULL: none */
    bool quiet;
};

/* Starts the observer: a process that is not the program's child, holds none of its descriptors but
 * stderr, waits for the exec, does what is asked, prints one line and ends. Returns the descriptor
 * that tells it of a failed exec (close-on-exec), or -1 where no observer runs; why has then been
 * said. */
int observer_start(const struct observation *observation);

/* Tells the observer that no exec will come. */
void observer_cancel(int observer);

#endif
