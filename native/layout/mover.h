/* The helper process that moves the program. */
#ifndef KSMRUN_MOVER_H
#define KSMRUN_MOVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "relocate.h"

/* Whose execs the layout reaches: SCOPE_PROGRAM follows shells and command wrappers to the programs
 * that they start, and what turns out to be a wrapper (trial.h); SCOPE_TREE every descendant. */
enum scope { SCOPE_PROGRAM, SCOPE_TREE };

struct mover {
    pid_t target;
    bool is_child;         /* of the target, which then has to wait for it */
    int commands, answers; /* pipes from and to the launcher */
    struct machine machine;
    unsigned char key[KEY_BYTES];
    bool is_arranged; /* for this exec: by limit, else by reservation */
    struct arranged arranged;
    bool was_privileged; /* user and effective user differed before */
    enum scope scope;
    /* The tracer has a privilege that lets traced programs gain theirs at exec, or none can. Tree
     * needs it, as nobody looks before each exec there. */
    bool exec_keeps_privilege;
    bool require, quiet;
    bool has_said_privileged;
    /* Who waits for the target would have this process beside it, for a second child (systemd then
     * knows no main process: src/core/service.c, service_search_main_pid). */
    bool ends_with_target;
};

/* Says its PID, waits for a byte, seizes the target, says how that went (an errno), and moves the
 * target at its exec; and what it starts, if it is one to follow. */
_Noreturn void mover_run(struct mover *mover);

#endif
