/* Tests what this kernel does by doing it; each trial runs in a child of its own. */
#ifndef KSMRUN_KERNEL_TRIAL_H
#define KSMRUN_KERNEL_TRIAL_H

#include <stdbool.h>

#include "../common/merge.h"

enum answer { ANSWER_UNKNOWN, ANSWER_NO, ANSWER_YES };

/* Number of mappings or brk steps in the VMA trials. */
enum { VMA_STEPS = 64 };

struct findings {
    enum merge_obstacle obstacle;
    int prctl_errno;
    enum answer kept_over_fork;
    enum answer kept_over_exec;
    enum answer scanned_after_exec;
    int mmap_vmas; /* VMAs that VMA_STEPS adjacent mmaps became, -1 unknown */
    int brk_vmas;  /* VMAs that VMA_STEPS brk steps added to the heap, -1 unknown */
    enum answer ptrace_allowed;
    int ptrace_errno;
    enum answer mm_map_allowed;
    int mm_map_errno;
};

/* Runs all trials. Takes some milliseconds, and at most half a second more if ksmd runs. */
struct findings kernel_trial_all(void);

/* Returns whether an exec loses the merge flag on this kernel; also false if that cannot be found
 * out. Leaves nothing behind in this process. */
bool kernel_loses_flag_at_exec(void);

/* Returns whether a program merges on this kernel only if it sets the flag itself, after the exec:
 * it is lost there, or may be kept without being scanned. */
bool kernel_needs_late_flag(void);

/* Returns whether mappings of a merging process stay separate VMAs on this kernel, as before
 * cf7e7a3503df (6.17); also false if that cannot be found out. Leaves nothing behind in this
 * process. */
bool kernel_keeps_vmas_apart(void);

/* The part of a trial that runs after an exec; its exit code is the result. */
int kernel_trial_after_exec(void);

#endif
