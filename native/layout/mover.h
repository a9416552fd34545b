/* The helper process that moves the program. */
#ifndef KSMRUN_MOVER_H
#define KSMRUN_MOVER_H

#include <sys/types.h>

#include "relocate.h"

struct mover {
    pid_t target;
    const char *command;
    bool is_child;         /* of the target, which then has to wait for it */
    int commands, answers; /* pipes from and to the launcher */
    struct machine machine;
    unsigned char key[KEY_BYTES];
    struct arranged arranged;
};

/* Says its PID, waits for a byte, seizes the target, says how that went (an errno), and moves the
 * target at its exec. */
_Noreturn void mover_run(struct mover *mover);

#endif
