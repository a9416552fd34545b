/* Sets the merge flag of this process, and finds out why it cannot be set. */
#ifndef KSMRUN_MERGE_H
#define KSMRUN_MERGE_H

#include <stdbool.h>

enum merge_obstacle {
    OBSTACLE_NONE,
    OBSTACLE_KERNEL_TOO_OLD, /* KSM exists, the prctl does not: before Linux 6.4 */
    OBSTACLE_NO_KSM,         /* built without CONFIG_KSM */
    OBSTACLE_SECCOMP,        /* a seccomp filter denies or fakes the prctl */
    OBSTACLE_NOT_PASSED_ON,  /* something above the kernel (an emulator) does not pass it on */
    OBSTACLE_NO_MEMORY,
    OBSTACLE_UNKNOWN,
};

/* Returns 1 if the flag is set, 0 if it is not, or -errno. */
int merge_get(void);

/* Returns whether a seccomp filter is installed. */
bool merge_is_filtered(void);

/* Sets or clears the flag and reads it back. *error is the errno of the prctl, 0 if the prctl
 * claimed success but the flag reads otherwise. */
enum merge_obstacle merge_set(bool on, int *error);

/* Short name of an obstacle for --probe, and the two parts of a message about it. */
const char *obstacle_name(enum merge_obstacle obstacle);
const char *obstacle_what(enum merge_obstacle obstacle);
const char *obstacle_todo(enum merge_obstacle obstacle);

/* Returns whether this kernel release is in the ranges that keep the flag over exec but never scan
 * the program: from 3c6f33b7273a (6.7) to 3a9e567ca45f (6.8.12, 6.9.3, 6.10). Only a running ksmd
 * could show this, so this is the one place that compares versions. */
bool release_never_scans(const char *release);

/* Returns whether to test, before a launch, if an exec keeps the flag: d7597f59d1d3 (6.4) to
 * 3c6f33b7273a (6.7) lose it. The test costs a child process, which other kernels are spared. */
bool release_may_lose_at_exec(const char *release);

#endif
