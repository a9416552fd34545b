#include "follow.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/message.h"
#include "../common/procfile.h"
#include "../inject/inject.h"
#include "decide.h"
#include "loader.h"
#include "target.h"
#include "tracee.h"
#include "tracees.h"
#include "trial.h"
#include "wrapper.h"

/* Without PTRACE_O_EXITKILL: followed processes survive if this one is killed. With it only while a
 * process is being moved. */
static const long following = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK |
                              PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;

/* For what the target has forked to execute something, if this process ends with it. */
enum { ENDING_MS = 500, ENDING_STEP_MS = 5, TRIAL_STEP_MS = 50 };

/* Once it has stepped aside, a message goes to the stderr of the process that it is about. */
static bool is_aside;

static void begin_line(pid_t pid) {
    if (is_aside)
        tracee_borrow_stderr(pid);
}

static void end_line(void) {
    if (is_aside)
        tracee_return_stderr();
}

static void say_left(const struct helper *helper, pid_t pid, const char *path, const char *reason) {
    if (helper->quiet)
        return;
    begin_line(pid);
    message("PID %d (%s): shared layout not applied%s: %s; start it with --layout=random if it "
            "needs none",
            pid, path, helper->require ? " and the program not started, because of --require" : "",
            reason);
    end_line();
}

/* Printed once: a start script may call sudo or ping repeatedly. */
static void say_privileged(struct helper *helper, pid_t pid, const char *path) {
    if (!helper->quiet && !helper->has_said_privileged) {
        begin_line(pid);
        message(
            "PID %d (%s): shared layout not applied: it changes user, group or capabilities at "
            "exec, which forbids tracing; nothing to do if it needs none (this is reported once)",
            pid, path);
        end_line();
    }
    helper->has_said_privileged = true;
}

static void kill_half_moved(pid_t pid, const char *path, const struct move_outcome *outcome) {
    unsigned long event;
    /* Not stopped any more, so somebody else is killing it (ptrace(2): ESRCH): nothing was wrong,
     * and the PID may have been reused. */
    if (ptrace(PTRACE_GETEVENTMSG, pid, 0L, &event) != 0)
        return;
    begin_line(pid);
    kill(pid, SIGKILL);
    message("PID %d (%s) was killed, because moving it to the shared layout failed halfway (%s: "
            "%lld); start it with --layout=random",
            pid, path, outcome->what, (long long)outcome->result);
    end_line();
}

/* Restores the trace options, and a stop signal that arrived meanwhile (inject_go_on). */
static bool keep(const struct helper *helper, pid_t pid) {
    long until_end = helper->ends_with_target && pid == helper->target ? PTRACE_O_TRACEEXIT : 0;
    return ptrace(PTRACE_SETOPTIONS, pid, 0L, following | until_end) == 0 &&
           ptrace(PTRACE_INTERRUPT, pid, 0L, 0L) == 0;
}

/* Named wrappers are not moved if that would be by reservation, from which their own memory would
 * not gain and which a limit that they set (ulimit -v) counts. */
static bool is_kept_unmoved(pid_t pid, const struct arranged *arranged) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return arranged == NULL && !target_gains_privilege(path, pid);
}

/* A target that would adopt this process waits for it before its first instruction (reap.h). One
 * that has a trial cannot, and has it as a zombie, of which no wait(2) without __WALL tells, until
 * it execs or ends: so that needs a sign that it is a wrapper. */
static bool is_to_be_tried(const struct helper *helper, pid_t pid, const char *name,
                           const char *file) {
    bool is_adopter = helper->is_child && pid == helper->target;
    return helper->scope == SCOPE_PROGRAM && wrapper_is_possible(name, file) &&
           (!is_adopter || wrapper_names_program(pid, name));
}

bool follow_exec(struct helper *helper, pid_t pid, const struct arranged *arranged,
                 bool was_privileged) {
    char path[PATH_MAX], file[PATH_MAX + 32];
    trial_forget(pid);
    bool is_known = tracee_link(pid, "exe", path, sizeof path);
    const char *name = loader_look_through(pid, path, file, sizeof file) ? file : path;
    bool is_shell = is_known && wrapper_is_named(pid, name);
    bool is_tried = is_known && !is_shell && is_to_be_tried(helper, pid, name, file);
    bool goes_on = is_shell || (is_known && helper->scope == SCOPE_TREE);
    const struct move_request request = {
        .pid = pid,
        .file = file,
        .machine = &helper->machine,
        .narrow = &helper->narrow,
        .key = helper->key,
        .arranged = arranged,
        .was_privileged = was_privileged,
        .is_waiting_first = helper->is_child && pid == helper->target && !goes_on && !is_tried,
        .shares_go_random = helper->shares_go_random,
        .require = helper->require,
    };
    if (is_shell && is_kept_unmoved(pid, arranged) && keep(helper, pid))
        return true;
    struct move_outcome outcome = decide_and_move(&request);
    /* A process that is not as arranged is at addresses that everybody knows. */
    if (outcome.state == OUTCOME_HALF_MOVED ||
        (outcome.state == OUTCOME_LEFT && arranged != NULL)) {
        kill_half_moved(pid, path, &outcome);
        return false;
    }
    /* If no call could be made in it, it could not be made to exit either. */
    if (helper->require && outcome.state == OUTCOME_LEFT && !outcome.is_privileged)
        kill(pid, SIGKILL);
    if (outcome.is_privileged)
        say_privileged(helper, pid, path);
    else if (outcome.state != OUTCOME_MOVED)
        say_left(helper, pid, path, outcome.what);
    if (is_tried && outcome.state == OUTCOME_MOVED)
        goes_on = trial_begin(pid);
    if (goes_on && outcome.state == OUTCOME_MOVED && keep(helper, pid))
        return true;
    ptrace(PTRACE_DETACH, pid, 0L, 0L);
    /* It waits for the end of this process. */
    if (request.is_waiting_first)
        _exit(0);
    return false;
}

/* System calls are intercepted only if an exec could lose something by being traced. */
static void go_on(const struct helper *helper, pid_t pid, long signal) {
    ptrace(helper->exec_keeps_privilege ? PTRACE_CONT : PTRACE_SYSCALL, pid, 0L, signal);
}

/* At the entry to a system call: whether to release it before an exec that gains privilege, of
 * which an unprivileged tracer would deprive it (execve(2)). */
static bool is_to_be_let_go(struct helper *helper, pid_t pid) {
    char path[PATH_MAX + 64];
    struct tracee_call call;
    if (!tracee_call(pid, &call))
        return false;
    if (!call.is_known)
        return true;
    if (call.number != SYS_execve && call.number != SYS_execveat)
        return false;
    if (!tracee_exec_path(pid, &call, path, sizeof path))
        return true;
    if (!target_gains_privilege(path, pid))
        return false;
    say_privileged(helper, pid, path);
    return true;
}

static void at_exec(struct helper *helper, pid_t pid) {
    /* Registers that are set at the exec's event are overwritten, so this is done at its end. */
    /* What is made to end has no stderr any more. */
    if (helper->require)
        begin_line(pid);
    if (ptrace(PTRACE_SETOPTIONS, pid, 0L, following | PTRACE_O_EXITKILL) == 0 &&
        inject_go_on(pid) && follow_exec(helper, pid, NULL, false))
        go_on(helper, pid, 0);
    if (helper->require)
        end_line();
}

/* The target ends, and with it this process, once what it has just forked has executed something:
 * its parent is told of that end only when it continues. */
static int64_t ending_since_ms;
static pid_t ending_pid;

static bool is_awaited(pid_t pid) {
    return pid != ending_pid && tracees_may_exec(pid);
}

static bool is_at_end(const struct helper *helper, pid_t pid) {
    char path[32], threads[16];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    return helper->ends_with_target && pid == helper->target &&
           procfile_row(path, "Threads", threads, sizeof threads) && strtol(threads, NULL, 10) == 1;
}

static void at_fork(pid_t pid) {
    unsigned long child;
    if (ptrace(PTRACE_GETEVENTMSG, pid, 0L, &child) == 0)
        (void)trial_has_forked(pid, (pid_t)child); /* what it returns is asked at its own stop */
}

static void at_stop(struct helper *helper, pid_t pid, int status) {
    int event = status >> 16, signal = WSTOPSIG(status);
    /* Before its parent's event it would continue as nobody's child, and be moved at its exec. */
    bool is_one_too_many = event == PTRACE_EVENT_STOP && tracees_has_not_executed(pid) &&
                           !trial_has_forked(tracees_parent_of(pid), pid);
    if (signal == (SIGTRAP | 0x80)) {
        if (is_to_be_let_go(helper, pid))
            ptrace(PTRACE_DETACH, pid, 0L, 0L);
        else
            go_on(helper, pid, 0);
    } else if (event == PTRACE_EVENT_EXEC) {
        at_exec(helper, pid);
    } else if (event == PTRACE_EVENT_EXIT && is_at_end(helper, pid)) {
        ending_since_ms = clock_now_ms();
        ending_pid = pid;
    } else if (event == PTRACE_EVENT_STOP && (is_one_too_many || trial_is_over(pid))) {
        ptrace(PTRACE_DETACH, pid, 0L, 0L);
    } else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
        /* A stop signal's stop, until SIGCONT. */
        ptrace(PTRACE_LISTEN, pid, 0L, 0L);
    } else {
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
            event == PTRACE_EVENT_CLONE)
            at_fork(pid);
        go_on(helper, pid, event == 0 ? (long)signal : 0L);
    }
}

/* As long as it follows, it must not keep any of the script's files open or file systems busy, nor
 * react to its signals. */
static void step_aside(void) {
    prctl(PR_SET_NAME, FOLLOWER_NAME, 0L, 0L, 0L);
    is_aside = true;
    tracee_return_stderr();
    if (chdir("/") != 0)
        _exit(1);
}

/* Both are waited for: a signal that ended this process between a tracee's stop and its
 * continuation would lose the signal for which the tracee stopped. */
static void block_signals(sigset_t *both) {
    sigemptyset(both);
    sigaddset(both, SIGCHLD);
    sigaddset(both, SIGTERM);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_BLOCK, both, NULL);
}

/* Returns how long to wait for an event; -1: until there is one. Does not return if nothing is left
 * to do: what is still traced continues. */
static int wait_ms(void) {
    if (ending_since_ms != 0) {
        if (clock_now_ms() - ending_since_ms > ENDING_MS || !tracees_any(is_awaited))
            _exit(0);
        return ENDING_STEP_MS;
    }
    switch (trial_look()) {
    case TRIALS_LAST_OVER:
        _exit(0);
    case TRIALS_UNDER_WAY:
        return TRIAL_STEP_MS;
    default:
        return -1;
    }
}

static int wait_for_signal(const sigset_t *signals, int timeout_ms) {
    const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    return sigtimedwait(signals, NULL, timeout_ms < 0 ? NULL : &timeout);
}

void follow(struct helper *helper, pid_t pid) {
    int status;
    sigset_t both;
    step_aside();
    block_signals(&both);
    go_on(helper, pid, 0);
    do {
        while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
            if (WIFSTOPPED(status))
                at_stop(helper, pid, status);
            else
                trial_forget(pid);
        }
        if (pid < 0 && errno != EINTR)
            break;
    } while (wait_for_signal(&both, wait_ms()) != SIGTERM);
    _exit(0);
}
