#include "stop.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../common/clock.h"
#include "../inject/wait.h"
#include "worker.h"

/* include/uapi/linux/ptrace.h; libc's headers may lack it. */
#define GET_RSEQ_CONFIGURATION 0x420f
struct rseq_configuration {
    uint64_t address;
    uint32_t size, signature, flags, padding;
};
/* include/uapi/linux/rseq.h */
enum { RSEQ_CS_OFFSET = 8 };
struct rseq_section {
    uint32_t version, flags;
    uint64_t start, length, abort;
};

/* A thread in an uninterruptible sleep does not stop; others do so as soon as they get a CPU, which
 * on a busy machine takes its time. */
enum { WAIT_NS = 100 * 1000 * 1000, WAITS_MAX = 10 };

static bool is_event_stop(int status) {
    return status >> 16 == PTRACE_EVENT_STOP;
}

/* Waits for the stop that PTRACE_INTERRUPT requests, from another stop or from running. Signals
 * that arrive before it are passed on; the time limit covers all of them. */
static enum outcome interrupted(const struct process *process, pid_t tid, bool is_stopped) {
    int64_t until = clock_now_ns() + WAIT_NS;
    uint64_t ticks = 0;
    int waits = 1;
    if (ptrace(PTRACE_INTERRUPT, tid, 0L, 0L) != 0 ||
        (is_stopped && ptrace(PTRACE_CONT, tid, 0L, 0L) != 0))
        return ATTACH_GONE;
    for (;;) {
        int status = wait_for_stop(tid, until);
        if (status == WAIT_GONE)
            return ATTACH_GONE;
        if (status == WAIT_LATE) {
            if (!thread_lacks_cpu(process, tid, &ticks))
                return ATTACH_NO_STOP;
            if (waits++ == WAITS_MAX)
                return ATTACH_LATE;
            until += WAIT_NS;
            worker_beat();
            continue;
        }
        if (is_event_stop(status))
            return WSTOPSIG(status) == SIGTRAP ? ATTACH_DONE : ATTACH_STOPPED;
        long signal_to_give = status >> 16 == 0 ? WSTOPSIG(status) : 0;
        if (ptrace(PTRACE_CONT, tid, 0L, signal_to_give) != 0)
            return ATTACH_GONE;
    }
}

enum outcome stop_thread(const struct process *process, pid_t tid) {
    if (ptrace(PTRACE_SEIZE, tid, 0L, (long)PTRACE_O_TRACESYSGOOD) != 0)
        /* EPERM is also returned for a zombie (kernel/ptrace.c: ptrace_attach()). */
        return errno == ESRCH || thread_has_ended(process, tid) ? ATTACH_GONE
                                                                : ATTACH_NOT_PERMITTED;
    enum outcome outcome = interrupted(process, tid, false);
    /* While it is traced its TID cannot be reused; before that it may have been. */
    if (outcome == ATTACH_DONE && thread_has_ended(process, tid)) {
        let_go(process, tid, NULL);
        return ATTACH_GONE;
    }
    /* A group stop is kept (ptrace(2)); without a stop the end of this process releases it. */
    if (outcome == ATTACH_STOPPED)
        let_go(process, tid, NULL);
    return outcome;
}

enum outcome let_go(const struct process *process, pid_t tid, struct injection *restored) {
    if (restored != NULL) {
        if (injection_end(restored) != 0)
            return ATTACH_GONE;
        /* From the exit of an injected call the kernel would return -ERESTARTSYS to the program. A
         * call is restarted on the way out of a stop for signals (arch_do_signal_or_restart), so
         * the thread is put into one. */
        enum outcome outcome = interrupted(process, tid, true);
        if (outcome != ATTACH_DONE && outcome != ATTACH_STOPPED)
            return outcome;
    }
    return ptrace(PTRACE_DETACH, tid, 0L, 0L) == 0 ? ATTACH_DONE : ATTACH_GONE;
}

/* kernel/rseq.c: rseq_ip_fixup(). */
void leave_restartable_sequence(struct injection *injection) {
    struct rseq_configuration configuration = {0};
    uint64_t address;
    struct rseq_section section;
    if (ptrace(GET_RSEQ_CONFIGURATION, injection->pid, sizeof configuration, &configuration) <= 0 ||
        configuration.address == 0 ||
        !injection_read(injection, configuration.address + RSEQ_CS_OFFSET, &address,
                        sizeof address) ||
        address == 0 || !injection_read(injection, address, &section, sizeof section))
        return;
    uint64_t at = PROGRAM_COUNTER(injection->registers);
    if (at - section.start < section.length)
        PROGRAM_COUNTER(injection->registers) = section.abort;
}

#if defined(__x86_64__)
/* They have done nothing yet when they return EINTR, so repeating them is equivalent, except that a
 * time limit starts again. */
static const long waiting_calls[] = {
    SYS_epoll_wait,   SYS_epoll_pwait,    SYS_epoll_pwait2, SYS_semop,
    SYS_semtimedop,   SYS_msgrcv,         SYS_msgsnd,       SYS_rt_sigtimedwait,
    SYS_io_getevents, SYS_io_uring_enter, SYS_accept,       SYS_accept4,
    SYS_read,         SYS_readv,          SYS_recvfrom,     SYS_recvmsg,
    SYS_recvmmsg,     SYS_write,          SYS_writev,       SYS_sendto,
    SYS_sendmsg,      SYS_sendmmsg,
};
/* include/linux/errno.h: restarted, but EINTR if a handler is to run. The kernel decides that
 * when the thread leaves its stop (arch_do_signal_or_restart), with all signals that arrived
 * meanwhile. */
enum { RESTART_UNLESS_HANDLED = 514 };

void keep_waiting(struct injection *injection) {
    struct user_regs_struct *registers = &injection->registers;
    if ((int64_t)registers->rax != -EINTR)
        return;
    for (size_t i = 0; i < sizeof waiting_calls / sizeof *waiting_calls; i++)
        if ((long)registers->orig_rax == waiting_calls[i])
            registers->rax = (unsigned long long)-RESTART_UNLESS_HANDLED;
}
#else
/* The first argument is no longer in the registers, and the kernel does not show where it keeps
 * it. */
void keep_waiting(struct injection *injection) {
    (void)injection;
}
#endif
