/* Checks on a stopped thread before anything in it is changed. */
#ifndef KSMRUN_JUDGE_H
#define KSMRUN_JUDGE_H

#include "attach.h"
#include "process.h"

struct call {
    long number;
    uint64_t arguments[6];
};

/* ATTACH_DONE: it may make the call. */
enum outcome judge(const struct process *process, pid_t tid, const struct call *call);

#endif
