#include "follow.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../exec/message.h"
#include "../inject/inject.h"
#include "place.h"
#include "target.h"
#include "tracee.h"

/* Without PTRACE_O_EXITKILL: what was followed lives on where this process is killed. With it only
 * while a process is being moved. */
static const long following = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK |
                              PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;

/* What starts programs and is none itself. Followed by name; and not moved where that would be by
 * reservation, which its own memory would not gain from and a limit it sets (ulimit -v) counts. */
static bool is_wrapper(pid_t pid, const char *path) {
    static const char *const names[] = {
        "sh",      "bash",      "dash",
        "ash",     "busybox",   "ksh",
        "ksh93",   "mksh",      "zsh",
        "env",     "nice",      "ionice",
        "nohup",   "chrt",      "taskset",
        "setsid",  "stdbuf",    "timeout",
        "prlimit", "time",      "numactl",
        "tini",    "dumb-init", "catatonit",
        "setarch", "setpriv",   "start-stop-daemon",
    };
    const char *name = strrchr(path, '/');
    char applet[1 + TRACEE_APPLET_BYTES] = "/";
    if (name != NULL && strcmp(name, "/busybox") == 0 && tracee_applet(pid, applet + 1))
        name = applet;
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(name + 1, names[i]) == 0)
            return true;
    return false;
}

static void say_left(const struct mover *mover, pid_t pid, const char *path, const char *reason) {
    if (mover->quiet)
        return;
    message("PID %d (%s) %s: %s", pid, path,
            mover->require ? "is not started, as it cannot have the group's layout"
                           : "starts with the kernel's own layout, not the group's",
            reason);
}

/* Said once: a start script may call sudo or ping again and again. */
static void say_privileged(struct mover *mover, pid_t pid, const char *path) {
    if (!mover->quiet && !mover->has_said_privileged)
        message("PID %d (%s) starts with the kernel's own layout, not the group's: it changes "
                "user, group or capabilities at exec, and is not traced then; this is said once",
                pid, path);
    mover->has_said_privileged = true;
}

static void kill_half_moved(pid_t pid, const char *path, const struct placement *placed) {
    unsigned long event;
    /* Out of its stop, so somebody else kills it (ptrace(2): ESRCH): nothing was wrong, and the
     * number may be another process's by now. */
    if (ptrace(PTRACE_GETEVENTMSG, pid, 0L, &event) != 0)
        return;
    kill(pid, SIGKILL);
    message(
        "PID %d (%s) is killed, as it cannot be moved to the shared layout (%s: %lld); start it "
        "with --layout=random",
        pid, path, placed->what, (long long)placed->result);
}

/* Without what was for the move, and with the stop of a stop signal that came meanwhile
 * (inject_go_on). */
static bool keep(pid_t pid) {
    return ptrace(PTRACE_SETOPTIONS, pid, 0L, following) == 0 &&
           ptrace(PTRACE_INTERRUPT, pid, 0L, 0L) == 0;
}

static bool is_kept_unmoved(pid_t pid, const struct arranged *arranged) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return arranged == NULL && !target_gains_privilege(path);
}

bool follow_exec(struct mover *mover, pid_t pid, const struct arranged *arranged) {
    char path[PATH_MAX];
    bool is_known = tracee_link(pid, "exe", path, sizeof path);
    bool is_shell = is_known && is_wrapper(pid, path);
    bool goes_on = is_shell || (is_known && mover->scope == SCOPE_TREE);
    const struct place_request request = {
        .pid = pid,
        .machine = &mover->machine,
        .key = mover->key,
        .arranged = arranged,
        .was_privileged = arranged != NULL && mover->was_privileged,
        .is_waiting_first = mover->is_child && pid == mover->target && !goes_on,
        .require = mover->require,
    };
    if (is_shell && is_kept_unmoved(pid, arranged) && keep(pid))
        return true;
    struct placement placed = place(&request);
    /* A process that is not as arranged lies where everybody knows. */
    if (placed.state == PLACE_HALF_MOVED || (placed.state == PLACE_LEFT && arranged != NULL)) {
        kill_half_moved(pid, path, &placed);
        return false;
    }
    /* Where no call could be made in it, it could not be made to exit either. */
    if (mover->require && placed.state == PLACE_LEFT && !placed.is_privileged)
        kill(pid, SIGKILL);
    if (placed.is_privileged)
        say_privileged(mover, pid, path);
    else if (placed.state != PLACE_MOVED)
        say_left(mover, pid, path, placed.what);
    if (goes_on && placed.state == PLACE_MOVED && keep(pid))
        return true;
    ptrace(PTRACE_DETACH, pid, 0L, 0L);
    /* It waits for the end of this process. */
    if (request.is_waiting_first)
        _exit(0);
    return false;
}

/* Each system call is looked at only where an exec could lose something by being traced. */
static void go_on(const struct mover *mover, pid_t pid, long signal) {
    ptrace(mover->exec_keeps_privilege ? PTRACE_CONT : PTRACE_SYSCALL, pid, 0L, signal);
}

/* At the entry to a system call: before an exec that gains privilege, which a tracer without
 * privilege would take away (execve(2)). */
static bool is_to_be_let_go(struct mover *mover, pid_t pid) {
    char path[PATH_MAX + 64];
    struct tracee_call call;
    if (!tracee_call(pid, &call))
        return false;
    if (!call.is_native)
        return true;
    if (call.number != SYS_execve && call.number != SYS_execveat)
        return false;
    if (!tracee_exec_path(pid, &call, path, sizeof path))
        return true;
    if (!target_gains_privilege(path))
        return false;
    tracee_borrow_stderr(pid);
    say_privileged(mover, pid, path);
    tracee_return_stderr();
    return true;
}

static void at_exec(struct mover *mover, pid_t pid) {
    /* Registers that are set at the exec's event are overwritten: its end is the place. */
    tracee_borrow_stderr(pid);
    if (ptrace(PTRACE_SETOPTIONS, pid, 0L, following | PTRACE_O_EXITKILL) == 0 &&
        inject_go_on(pid) && follow_exec(mover, pid, NULL))
        go_on(mover, pid, 0);
    tracee_return_stderr();
}

static void at_stop(struct mover *mover, pid_t pid, int status) {
    int event = status >> 16, signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) {
        if (is_to_be_let_go(mover, pid))
            ptrace(PTRACE_DETACH, pid, 0L, 0L);
        else
            go_on(mover, pid, 0);
    } else if (event == PTRACE_EVENT_EXEC) {
        at_exec(mover, pid);
    } else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
        /* A stop signal's stop, until SIGCONT. */
        ptrace(PTRACE_LISTEN, pid, 0L, 0L);
    } else {
        go_on(mover, pid, event == 0 ? (long)signal : 0L);
    }
}

/* For as long as it follows, it must keep nothing of the script's open, busy or deaf. */
static void step_aside(void) {
    prctl(PR_SET_NAME, "ksmrun-layout", 0L, 0L, 0L);
    tracee_return_stderr();
    if (chdir("/") != 0)
        _exit(1);
}

/* Both are waited for: one that ended this process between a tracee's stop and its going on would
 * take along the signal that the tracee stopped for. */
static void block_signals(sigset_t *both) {
    sigemptyset(both);
    sigaddset(both, SIGCHLD);
    sigaddset(both, SIGTERM);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_BLOCK, both, NULL);
}

void follow(struct mover *mover, pid_t pid) {
    int status;
    sigset_t both;
    step_aside();
    block_signals(&both);
    go_on(mover, pid, 0);
    do {
        while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0)
            if (WIFSTOPPED(status))
                at_stop(mover, pid, status);
        if (pid < 0 && errno != EINTR)
            break;
    } while (sigwaitinfo(&both, NULL) != SIGTERM);
    _exit(0);
}
