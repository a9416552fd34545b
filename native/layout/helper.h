/* The helper process that moves the program. */
#ifndef KSMRUN_HELPER_H
#define KSMRUN_HELPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "move_parts.h"

/* Execs that get the layout. SCOPE_PROGRAM follows shells, command wrappers and programs that turn
 * out to be wrappers (trial.h) to the programs that they start; SCOPE_TREE every descendant. */
enum scope { SCOPE_PROGRAM, SCOPE_TREE };

/* Of the process, from when it follows what the first program starts. */
#define FOLLOWER_NAME "ksmrun-layout"

struct helper {
    pid_t target;
    bool is_child;                  /* of the target, which then has to wait for it */
    int commands, answers;          /* pipes from and to the launcher */
    struct machine machine, narrow; /* of its own kind, and of programs of 32 bits */
    unsigned char key[KEY_BYTES];
    bool is_arranged; /* for this exec: by limit, else by reservation */
    struct arranged arranged;
    bool was_privileged; /* user and effective user differed before */
    enum scope scope;
    /* The tracer's privileges let traced programs gain theirs at exec, or no program can gain any.
     * Required by SCOPE_TREE, because there nobody checks before each exec. */
    bool exec_keeps_privilege;
    bool shares_go_random, has_domain, require, quiet;
    bool has_said_privileged;
    /* This process would become a second child of the target's parent (systemd then finds no main
     * process: src/core/service.c, service_search_main_pid). */
    bool ends_with_target;
};

/* Writes its PID, waits for a byte, seizes the target, writes the result (an errno), and moves the
 * target at its exec, and what it starts, if it is to be followed. */
_Noreturn void helper_run(struct helper *helper);

#endif
