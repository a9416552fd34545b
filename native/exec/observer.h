/* Work done from outside the program after its exec: --inject makes it merge, --verify checks that
 * it does. */
#ifndef KSMRUN_OBSERVER_H
#define KSMRUN_OBSERVER_H

#include <stdbool.h>

/* Expectation after the exec: the flag at once, the flag once the preloaded shim has set it, or
 * marked memory once its sweeper has made its first round. */
enum expected { EXPECTED_FLAG, EXPECTED_FLAG_LATE, EXPECTED_MARKS };

struct observation {
    const char *command;
    bool injects, verifies;
    enum expected expected;
    const char *layout_key, *layout_group; /* key NULL: no layout to verify; group NULL: none */
    bool has_domain; /* a claim looks for those who merge, and it is not the program */
    bool quiet;
};

/* Starts the observer, a process that is not the program's child and holds none of its descriptors
 * but stderr. It waits for the exec, does what is asked, prints one line and ends. Returns the
 * descriptor that reports a failed exec to it (close-on-exec), or -1 if no observer runs; the
 * reason has then been printed. */
int observer_start(const struct observation *observation);

/* Tells the observer that there will be no exec. */
void observer_cancel(int observer);

#endif
