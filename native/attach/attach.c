#include "attach.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "code.h"
#include "judge.h"
#include "stop.h"
#include "worker.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef MADV_MERGEABLE
#define MADV_MERGEABLE 12
#define MADV_UNMERGEABLE 13
#endif
/* include/uapi/linux/kcmp.h */
enum { KCMP_VM = 1 };

/* One stop must stay well under a millisecond. */
enum { RANGES_A_STOP = 16 };
/* A call that has not begun after this time is taken back, at the second time if its thread runs
 * something else. One that makes no progress is at the fifth time, as is one whose thread gets no
 * CPU: a busy machine may be all that delays it. */
enum { LATE_NS = 200 * 1000 * 1000, PATIENCE = 5 };
/* Limit over all stops: a fixed time, and some per stop. */
#define TOTAL_NS INT64_C(1000000000)
#define TOTAL_NS_A_STOP INT64_C(1000000)

/* State of the work on one process. */
struct deed {
    const struct process *process;
    const struct work *work;
    struct report *report;
    pid_t tid;
    unsigned next; /* range */
    bool is_done;
    bool is_frozen;
    uint64_t faults, ticks;  /* when last read */
    unsigned progress_times; /* how late it was then */
};

static void pause_ms(void) {
    struct timespec pause = {0, 1000 * 1000};
    nanosleep(&pause, NULL);
}

/* While the process is stopped nobody else should run before us; without that privilege the stop
 * takes longer. Called by number, as musl has a function of this name that does nothing. */
static void come_first(bool first) {
    struct sched_param parameter = {.sched_priority = first};
    (void)syscall(SYS_sched_setscheduler, 0, first ? SCHED_FIFO : SCHED_OTHER, &parameter);
}

/* Most uninterruptible sleeps are short: they wait for a disk. ATTACH_DONE: tid is one that can be
 * stopped. */
static enum outcome find_thread(const struct process *process, pid_t *tid) {
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        char state = process_state(process);
        if (state == 0 || state == 'Z' || state == 'X')
            return ATTACH_GONE;
        if (state == 'T')
            return ATTACH_STOPPED;
        *tid = process_thread(process);
        if (*tid != 0)
            return ATTACH_DONE;
        pause_ms();
    }
    return ATTACH_NO_STOP;
}

static bool shares_its_parents_memory(const struct process *process) {
    char text[16];
    long parent = thread_field(process, process->pid, "PPid:", text, sizeof text)
                      ? strtol(text, NULL, 10)
                      : 0;
    return parent > 0 && syscall(SYS_kcmp, process->pid, (pid_t)parent, KCMP_VM, 0L, 0L) == 0;
}

static bool is_64_bit(const struct injection *injection) {
#if defined(__x86_64__)
    /* arch/x86/include/asm/segment.h: __USER_CS */
    return injection->registers.cs == 0x33;
#else
    /* Arm ARM: PSTATE.nRW */
    return (injection->registers.pstate & 0x10) == 0;
#endif
}

/* The thread is ending by exit_group() or exec in another thread. On a busy machine it may have to
 * wait for the CPU that it needs for that. */
static bool ends(const struct deed *deed, int within_ms) {
    enum { WITHOUT_CPU_MS_MAX = 1000 };
    uint64_t ticks = 0;
    bool has_ended;
    for (int i = 0; !(has_ended = thread_has_ended(deed->process, deed->tid) ||
                                  !process_has_memory(deed->process)) &&
                    (i < within_ms || (i < WITHOUT_CPU_MS_MAX &&
                                       thread_lacks_cpu(deed->process, deed->tid, &ticks)));
         i++) {
        worker_beat();
        pause_ms();
    }
    return has_ended;
}

static struct call call_of(const struct work *work, unsigned index) {
    if (work->count == 0)
        return (struct call){SYS_prctl, {PR_SET_MEMORY_MERGE, work->on, 0, 0, 0, 0}};
    const struct range *range = &work->ranges[index];
    return (struct call){SYS_madvise,
                         {range->start, range->end - range->start,
                          work->on ? MADV_MERGEABLE : MADV_UNMERGEABLE, 0, 0, 0}};
}

/* Unmerging takes time, and is worth waiting for while pages are copied back. ksm_merging_pages
 * does not show that: ksmd updates it only when it comes by. */
static bool is_getting_on(struct deed *deed) {
    uint64_t faults = thread_faults(deed->process, deed->tid);
    bool is_more = faults > deed->faults;
    deed->faults = faults;
    return is_more;
}

/* The call has not begun if the process is frozen or has no CPU, or other threads have changed its
 * code. Within the call it may wait for a lock of its memory, and only the call's end ends that:
 * then this process stays alone for as long as it takes. */
static void on_late(struct injection *injection, unsigned times) {
    struct deed *deed = injection->state;
    if (injection->is_in_call && is_getting_on(deed)) {
        worker_beat();
        deed->progress_times = times;
        return;
    }
    /* Without a CPU it would not have run its own code either. */
    bool lacks_cpu = thread_lacks_cpu(deed->process, deed->tid, &deed->ticks);
    unsigned patience = lacks_cpu || injection->is_in_call ? PATIENCE : 1;
    unsigned waited = times - deed->progress_times;
    if (waited < patience)
        worker_beat();
    if (!injection->is_taken_back && waited >= patience) {
        /* On the way there it runs only its own code, and sleeps for nothing else. */
        char state = thread_state(deed->process, deed->tid);
        deed->is_frozen = !injection->is_in_call && state == 'S';
        inject_take_back(injection);
    } else if (waited > patience) {
        come_first(false);
        deed->report->outcome = ATTACH_PENDING;
        worker_report(deed->report);
    }
}

/* Makes the calls of one stop. From here to let_go() the thread is not in its normal state. */
static enum outcome make_calls(struct deed *deed, struct injection *injection) {
    leave_restartable_sequence(injection);
    keep_waiting(injection);
    const struct work *work = deed->work;
    unsigned end =
        deed->next + RANGES_A_STOP < work->count ? deed->next + RANGES_A_STOP : work->count;
    do {
        struct call call = call_of(work, deed->next);
        deed->progress_times = 0;
        deed->faults = 0;
        deed->ticks = 0;
        int64_t result = inject(injection, call.number, call.arguments);
        if (result == INJECT_LATE)
            return deed->is_frozen ? ATTACH_FROZEN : ATTACH_LATE;
        if (result == INJECT_LOST)
            return ATTACH_LOST;
        /* The range may be gone meanwhile, or cannot merge (VM_IO and others). */
        if (result < 0)
            deed->report->error = (int)-result;
        else
            deed->is_done = true;
        deed->next++;
    } while (deed->next < end);
    return ATTACH_DONE;
}

/* Does the work of a stop. */
static enum outcome use_stop(struct deed *deed, uint64_t instruction) {
    struct injection injection;
    struct call call = call_of(deed->work, deed->next);
    enum outcome outcome = judge(deed->process, deed->tid, &call);
    worker_touch();
    if (outcome == ATTACH_DONE) {
        int error = injection_begin(&injection, deed->tid);
        /* ESRCH: a SIGKILL or exit_group() has ended the stop (ptrace(2)). */
        if (error != 0)
            outcome = error == -ESRCH ? ATTACH_GONE : ATTACH_NOT_PERMITTED;
    }
    if (outcome != ATTACH_DONE) {
        let_go(deed->process, deed->tid, NULL);
        return outcome;
    }
    injection.instruction = instruction;
    injection.limit_ns = LATE_NS;
    injection.late = on_late;
    injection.state = deed;
    if (!is_64_bit(&injection))
        outcome = ATTACH_OTHER_BITS;
    else
        outcome = injection_is_possible(&injection) ? make_calls(deed, &injection) : ATTACH_GONE;
    enum outcome gone = let_go(deed->process, deed->tid, &injection);
    return outcome == ATTACH_DONE || gone != ATTACH_DONE ? gone : outcome;
}

static enum outcome one_stop(struct deed *deed) {
    if (thread_is_frozen(deed->process, deed->tid))
        return ATTACH_FROZEN;
    uint64_t instruction = code_find(deed->process);
    if (instruction == 0)
        return errno == EACCES || errno == EPERM   ? ATTACH_NOT_PERMITTED
               : process_has_memory(deed->process) ? ATTACH_NO_INSTRUCTION
                                                   : ATTACH_GONE;
    come_first(true);
    enum outcome outcome = stop_thread(deed->process, deed->tid);
    int64_t since = clock_now_ns();
    if (outcome == ATTACH_DONE) {
        outcome = use_stop(deed, instruction);
        worker_release();
        int64_t passed = clock_now_ns() - since;
        if (passed > deed->report->stopped_ns_max)
            deed->report->stopped_ns_max = passed;
    }
    come_first(false);
    return outcome;
}

static enum outcome next_stop(struct deed *deed) {
    enum outcome outcome = find_thread(deed->process, &deed->tid);
    if (outcome == ATTACH_DONE)
        outcome = one_stop(deed);
    /* A thread that is exiting cannot be traced (kernel/ptrace.c: ptrace_attach()). */
    if ((outcome == ATTACH_LOST && ends(deed, 100)) ||
        (outcome == ATTACH_NOT_PERMITTED && ends(deed, 10)))
        outcome = ATTACH_GONE;
    return outcome;
}

/* Returns whether to retry: the thread was one of many, or the process executes another program,
 * whose code is not there yet. */
static bool may_come(const struct deed *deed, enum outcome outcome, int tries) {
    enum { THREADS_MAX = 50, EXEC_MS_MAX = 10 };
    return (outcome == ATTACH_GONE && !process_has_ended(deed->process) && tries < THREADS_MAX &&
            process_has_memory(deed->process)) ||
           (outcome == ATTACH_NO_INSTRUCTION && tries < EXEC_MS_MAX);
}

void attach(const struct process *process, const struct work *work, struct report *report) {
    struct deed deed = {.process = process, .work = work, .report = report};
    int64_t until = clock_now_ns() + TOTAL_NS + TOTAL_NS_A_STOP * (work->count / RANGES_A_STOP);
    if (shares_its_parents_memory(process)) {
        report->outcome = ATTACH_SHARED;
        return;
    }
    for (int tries = 0;;) {
        report->outcome = next_stop(&deed);
        bool is_again = may_come(&deed, report->outcome, tries);
        if (!is_again && (report->outcome != ATTACH_DONE || deed.next >= work->count))
            break;
        if (clock_now_ns() > until) {
            report->outcome = ATTACH_LATE;
            break;
        }
        worker_beat();
        if (is_again && tries++ > 0)
            pause_ms();
    }
    if (report->outcome == ATTACH_DONE && !deed.is_done)
        report->outcome = ATTACH_REFUSED;
}
