/* Makes a running process call prctl(PR_SET_MEMORY_MERGE) or madvise(2) on itself. */
#ifndef KSMRUN_ATTACH_H
#define KSMRUN_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process.h"

/* Result. Python has the words for people. */
enum outcome {
    ATTACH_DONE,
    ATTACH_GONE,           /* no such process, or it has ended */
    ATTACH_NOT_PERMITTED,  /* by ptrace(2), or it is traced already */
    ATTACH_NO_STOP,        /* in an uninterruptible sleep, or no thread can be stopped */
    ATTACH_STOPPED,        /* by a signal such as SIGSTOP */
    ATTACH_FROZEN,         /* its cgroup is frozen */
    ATTACH_SHARED,         /* it shares its memory with its parent (vfork) */
    ATTACH_OTHER_BITS,     /* a 32-bit program */
    ATTACH_DISPATCHED,     /* it catches its own system calls (PR_SET_SYSCALL_USER_DISPATCH) */
    ATTACH_FILTERED,       /* a seccomp filter would deny the call, or cannot be read */
    ATTACH_NO_INSTRUCTION, /* none that makes a system call */
    ATTACH_REFUSED,        /* the call itself failed: error */
    ATTACH_LATE,           /* not done in time, or only in part; the process is as it was */
    ATTACH_PENDING,        /* the call has not ended; a worker waits for it */
    ATTACH_UNREADABLE,     /* its memory or maps could not be read in time */
    ATTACH_LOST,           /* it did something other than the call */
    OUTCOMES
};

struct range {
    uint64_t start, end;
};

struct work {
    bool on;
    /* Ranges to advise, several per stop; none: set the flag, by prctl. */
    const struct range *ranges;
    unsigned count;
};

struct report {
    enum outcome outcome;
    int error;              /* of the last call that failed, 0 or an errno */
    int64_t stopped_ns_max; /* the longest */
};

/* Does the work; apart from that the process stays as it was. Runs in a worker (worker.h). */
void attach(const struct process *process, const struct work *work, struct report *report);

#endif
