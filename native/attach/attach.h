/* A process that runs is made to call prctl(PR_SET_MEMORY_MERGE) or madvise(2) on itself. */
#ifndef KSMRUN_ATTACH_H
#define KSMRUN_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process.h"

/* What came of it. The words for people are Python's. */
enum outcome {
    ATTACH_DONE,
    ATTACH_GONE,           /* no such process, or it ended meanwhile */
    ATTACH_NOT_PERMITTED,  /* by ptrace(2), or it is traced already */
    ATTACH_NO_STOP,        /* in an uninterruptible sleep, or no thread that could be stopped */
    ATTACH_STOPPED,        /* by a signal such as SIGSTOP */
    ATTACH_FROZEN,         /* its cgroup is */
    ATTACH_SHARED,         /* its memory is its parent's (vfork) */
    ATTACH_OTHER_BITS,     /* a 32-bit program */
    ATTACH_DISPATCHED,     /* it catches its own system calls (PR_SET_SYSCALL_USER_DISPATCH) */
    ATTACH_FILTERED,       /* a seccomp filter would not let the call through, or is not shown */
    ATTACH_NO_INSTRUCTION, /* none to make a system call with */
    ATTACH_REFUSED,        /* the call itself failed: error */
    ATTACH_LATE,           /* not done in time, or only a part of it; the process is as it was */
    ATTACH_PENDING,        /* the call has not ended; a worker waits for that */
    ATTACH_UNREADABLE,     /* its memory or maps could not be looked at in time */
    ATTACH_LOST,           /* it did something else than the call */
    OUTCOMES
};

struct range {
    uint64_t start, end;
};

struct work {
    bool on;
    /* Ranges to be advised, several a stop; none: the flag, by prctl. */
    const struct range *ranges;
    unsigned count;
};

struct report {
    enum outcome outcome;
    int error;              /* of the last call that failed, 0 or an errno */
    int64_t stopped_ns_max; /* the longest */
};

/* Does it, and leaves the process as it was but for that. In a worker (worker.h). */
void attach(const struct process *process, const struct work *work, struct report *report);

#endif
