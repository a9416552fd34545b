/* The merge flag of this process: setting it, and finding out why it cannot be set. */
#ifndef KSMRUN_MERGE_H
#define KSMRUN_MERGE_H

#include <stdbool.h>

enum merge_obstacle {
    OBSTACLE_NONE,
    OBSTACLE_KERNEL_TOO_OLD, /* KSM is there, the prctl is not: before Linux 6.4 */
    OBSTACLE_NO_KSM,         /* built without CONFIG_KSM */
    OBSTACLE_SECCOMP,        /* a seccomp filter refuses or fakes the prctl */
    OBSTACLE_NOT_PASSED_ON, /* the kernel has it, something between us and it does not pass it on */
    OBSTACLE_NO_MEMORY,
    OBSTACLE_UNKNOWN,
};

/* 1 the flag is set, 0 it is not, or -errno. */
int merge_get(void);

/* Whether a seccomp filter is in force. */
bool merge_is_filtered(void);

/* Sets or clears the flag and reads it back. *error is the errno of the prctl, 0 where the prctl
 * claimed success but the flag reads otherwise. */
enum merge_obstacle merge_set(bool on, int *error);

/* Short name of an obstacle for --probe, and the two parts of a message about it. */
const char *obstacle_name(enum merge_obstacle obstacle);
const char *obstacle_what(enum merge_obstacle obstacle);
const char *obstacle_todo(enum merge_obstacle obstacle);

/* Whether this kernel release belongs to the ranges that keep the flag over exec but never scan the
 * program: from 3c6f33b7273a (6.7) to 3a9e567ca45f (6.8.12, 6.9.3, 6.10). Only ksmd at work could
 * show it, so here, and here only, the version has to do. */
bool release_never_scans(const char *release);

/* Whether it is worth asking, before a launch, if an exec keeps the flag: d7597f59d1d3 (6.4) to
 * 3c6f33b7273a (6.7) lose it. The question costs a child, which other kernels are spared. */
bool release_may_lose_at_exec(const char *release);

#endif
