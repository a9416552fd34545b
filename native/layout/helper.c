#include "helper.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/descriptors.h"
#include "../common/merge.h"
#include "../inject/inject.h"
#include "follow.h"
#include "tracees.h"

static int wait_for(pid_t pid, int *status) {
    while (waitpid(pid, status, __WALL) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* Passes on what happens to the target until its exec, as if it were not traced. */
static void await_exec(const struct helper *helper) {
    for (;;) {
        int status;
        if (wait_for(helper->target, &status) != 0 || !WIFSTOPPED(status))
            /* It did not start anything, and has said why. */
            _exit(0);
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event == PTRACE_EVENT_EXEC)
            return;
        bool is_group_stop = event == PTRACE_EVENT_STOP && signal != SIGTRAP;
        if (is_group_stop)
            ptrace(PTRACE_LISTEN, helper->target, 0L, 0L);
        else
            ptrace(PTRACE_CONT, helper->target, 0L, event == 0 ? (long)signal : 0L);
    }
}

/* Returns whether the target's parent will become this process's, once the target has ended. In
 * a container, children of the target go to PID 1; a subreaper in between as parent is not
 * visible. */
static bool will_be_beside(const struct helper *helper) {
    return tracees_parent_of(helper->target) == (helper->is_child ? 1 : getppid());
}

void helper_run(struct helper *helper) {
    pid_t own = getpid();
    char byte;
    /* Ctrl-C is for the program; if it ended this process before the exec, the target would end
     * too. */
    setsid();
    int error = 0;
    if (helper->has_domain)
        (void)merge_set(false, &error);
    /* It holds the key: no core dump, and not readable by others. */
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    descriptors_close_all_but(helper->commands, helper->answers);
    if (write(helper->answers, &own, sizeof own) != sizeof own ||
        read(helper->commands, &byte, 1) != 1)
        _exit(1);
    /* All options in one call: if the helper is killed, no program is left partly moved. */
    long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
    error = ptrace(PTRACE_SEIZE, helper->target, 0L, options) == 0 ? 0 : errno;
    if (write(helper->answers, &error, sizeof error) != sizeof error || error != 0)
        _exit(1);
    close(helper->answers);
    close(helper->commands);
    helper->ends_with_target = will_be_beside(helper);
    await_exec(helper);
    /* Registers that are set at the exec's event are overwritten, so this is done at its end. If
     * the target ends before that, somebody else killed it. */
    if (inject_go_on(helper->target) &&
        follow_exec(helper, helper->target, helper->is_arranged ? &helper->arranged : NULL,
                    helper->was_privileged))
        follow(helper, helper->target);
    _exit(0);
}
