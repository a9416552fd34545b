#include "attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../exec/procfile.h"
#include "../preload/filter.h"
#include "stop.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef MADV_MERGEABLE
#define MADV_MERGEABLE 12
#define MADV_UNMERGEABLE 13
#endif
/* include/uapi/linux/ptrace.h, Linux 6.4; 0x4210 sets it. */
#define GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
struct dispatch_configuration {
    uint64_t mode, selector, offset, length;
};
/* include/uapi/linux/kcmp.h */
enum { KCMP_VM = 1 };
/* include/uapi/linux/seccomp.h */
enum { ANSWER_ALLOW = 0x7fff0000, ANSWER_LOG = 0x7ffc0000 };

/* One stop is to stay well under a millisecond. */
enum { RANGES_A_STOP = 16 };
enum { FILTER_LENGTH_MAX = 4096, FILTERS_MAX = 64 };

struct call {
    long number;
    uint64_t arguments[6];
};

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A line of /proc/PID/status. */
static const char *field(const char *status, const char *name) {
    const char *found = strstr(status, name);
    return found == NULL ? "" : found + strlen(name);
}

/* By /proc/PID/status; 0 where it is gone. */
static char state_of(pid_t tid) {
    char path[32], status[4096];
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    return procfile_read(path, status, sizeof status) < 0 ? 0 : *field(status, "\nState:\t");
}

/* A thread that can be stopped now: the first unless it has ended or sleeps uninterruptibly. 0:
 * none.
 */
static pid_t thread_now(pid_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return 0;
    pid_t found = 0;
    struct dirent *entry;
    while (found == 0 && (entry = readdir(tasks)) != NULL) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        char state = tid > 0 ? state_of(tid) : 0;
        if (state == 'R' || state == 'S')
            found = tid;
    }
    closedir(tasks);
    return found;
}

/* Most uninterruptible sleeps are short: those for a disk. */
static pid_t thread_of(pid_t pid) {
    enum { TRIES = 100, PAUSE_NS = 1000 * 1000 };
    pid_t tid = 0;
    for (int i = 0; i < TRIES && tid == 0 && !has_ended(pid) && state_of(pid) != 'T'; i++) {
        struct timespec pause = {0, PAUSE_NS};
        tid = thread_now(pid);
        if (tid == 0)
            nanosleep(&pause, NULL);
    }
    return tid;
}

static bool shares_its_parents_memory(pid_t pid) {
    char path[32], status[4096];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (procfile_read(path, status, sizeof status) < 0)
        return false;
    long parent = strtol(field(status, "\nPPid:\t"), NULL, 10);
    return parent > 0 && syscall(SYS_kcmp, pid, (pid_t)parent, KCMP_VM, 0L, 0L) == 0;
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

static bool catches_its_calls(pid_t tid) {
    struct dispatch_configuration configuration = {0};
    return ptrace(GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof configuration, &configuration) ==
               0 &&
           configuration.mode != 0;
}

/* All filters have to let it through (seccomp(2)). */
static bool filters_allow(pid_t tid, const struct call *call) {
    static struct sock_filter filter[FILTER_LENGTH_MAX];
    long arguments[6];
    for (int i = 0; i < 6; i++)
        arguments[i] = (long)call->arguments[i];
    for (long index = 0; index < FILTERS_MAX; index++) {
        long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, NULL);
        /* EINVAL: no filter at all. */
        if (length < 0)
            return errno == ENOENT || (index == 0 && errno == EINVAL);
        if (length > FILTER_LENGTH_MAX ||
            ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, filter) != length)
            return false;
        struct sock_fprog program = {(unsigned short)length, filter};
        uint32_t answer = filter_answer(&program, call->number, arguments) & 0xffff0000u;
        if (answer != ANSWER_ALLOW && answer != ANSWER_LOG)
            return false;
    }
    return false;
}

/* Strict mode has no filter to show, and lets nothing through. */
static bool seccomp_allows(pid_t tid, const struct call *call) {
    char path[32], status[4096];
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    if (procfile_read(path, status, sizeof status) < 0)
        return false;
    char mode = *field(status, "\nSeccomp:\t");
    return mode == '0' || mode == '\0' || (mode == '2' && filters_allow(tid, call));
}

/* In the vDSO, which has one for what it cannot do itself, or in any other code. 0: none. It is
 * looked for before the process is stopped. */
static uint64_t find_instruction(pid_t pid) {
    char path[32], line[512];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    struct injection look = {.pid = pid, .memory = open(path, O_RDONLY | O_CLOEXEC)};
    if (look.memory < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    for (int pass = 0; pass < 2 && look.instruction == 0; pass++) {
        FILE *maps = fopen(path, "re");
        while (maps != NULL && look.instruction == 0 && fgets(line, sizeof line, maps) != NULL) {
            uint64_t start, end;
            char rights[5];
            if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, rights) == 3 &&
                rights[0] == 'r' && rights[2] == 'x' && strstr(line, "[vsyscall]") == NULL &&
                (pass == 1 || strstr(line, "[vdso]") != NULL))
                injection_find_instruction(&look, start, end);
        }
        if (maps != NULL)
            fclose(maps);
    }
    close(look.memory);
    return look.instruction;
}

/* It goes some time before the process is a zombie (kernel/exit.c: do_exit()). */
static bool has_memory(pid_t pid) {
    char path[32], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    return procfile_read(path, line, sizeof line) != 0;
}

/* A thread that another one's exit_group() or exec ended under our hands. */
static bool ends(pid_t tid, int within_ms) {
    enum { PAUSE_NS = 1000 * 1000 };
    for (int i = 0; i < within_ms && !has_ended(tid) && has_memory(tid); i++) {
        struct timespec pause = {0, PAUSE_NS};
        nanosleep(&pause, NULL);
    }
    return has_ended(tid) || !has_memory(tid);
}

static struct call call_of(const struct work *work, unsigned index) {
    if (work->count == 0)
        return (struct call){SYS_prctl, {PR_SET_MEMORY_MERGE, work->on, 0, 0, 0, 0}};
    const struct range *range = &work->ranges[index];
    return (struct call){SYS_madvise,
                         {range->start, range->end - range->start,
                          work->on ? MADV_MERGEABLE : MADV_UNMERGEABLE, 0, 0, 0}};
}

/* What is to be known of a stopped thread before anything of it is touched. */
static enum outcome judge(pid_t tid, const struct work *work, unsigned next) {
    struct call call = call_of(work, next);
    if (catches_its_calls(tid))
        return ATTACH_DISPATCHED;
    return seccomp_allows(tid, &call) ? ATTACH_DONE : ATTACH_FILTERED;
}

/* The calls of one stop. From here to let_go() the thread is not itself. */
static enum outcome make_calls(struct injection *injection, const struct work *work, unsigned *next,
                               bool *is_done, struct report *report) {
    if (!is_64_bit(injection))
        return ATTACH_OTHER_BITS;
    leave_restartable_sequence(injection);
    keep_waiting(injection);
    unsigned end = *next + RANGES_A_STOP < work->count ? *next + RANGES_A_STOP : work->count;
    do {
        struct call call = call_of(work, *next);
        int64_t result = inject(injection, call.number, call.arguments);
        if (result == INJECT_LOST)
            return ATTACH_LOST;
        /* A range may be gone meanwhile, or not to be merged (VM_IO and others). */
        if (result < 0)
            report->error = (int)-result;
        else
            *is_done = true;
        (*next)++;
    } while (*next < end);
    return ATTACH_DONE;
}

static enum outcome one_stop(pid_t tid, const struct work *work, unsigned *next, bool *is_done,
                             struct report *report) {
    struct injection injection;
    errno = 0;
    uint64_t instruction = find_instruction(tid);
    bool not_permitted = errno == EACCES || errno == EPERM;
    if (instruction == 0)
        return has_ended(tid) || !has_memory(tid) ? ATTACH_GONE
               : not_permitted                    ? ATTACH_NOT_PERMITTED
                                                  : ATTACH_NO_INSTRUCTION;
    enum outcome outcome = stop_thread(tid);
    if (outcome != ATTACH_DONE)
        return outcome;
    int64_t since = now_ns();
    outcome = judge(tid, work, *next);
    if (outcome != ATTACH_DONE || injection_begin(&injection, tid) != 0) {
        let_go(tid, NULL);
        return outcome != ATTACH_DONE ? outcome : ATTACH_NOT_PERMITTED;
    }
    injection.instruction = instruction;
    outcome = make_calls(&injection, work, next, is_done, report);
    if (!let_go(tid, &injection) && outcome == ATTACH_DONE)
        outcome = ATTACH_LOST;
    int64_t passed = now_ns() - since;
    if (passed > report->stopped_ns_max)
        report->stopped_ns_max = passed;
    return outcome;
}

struct report attach(pid_t pid, const struct work *work) {
    struct report report = {0};
    unsigned next = 0;
    bool is_done = false;
    if (shares_its_parents_memory(pid)) {
        report.outcome = ATTACH_SHARED;
        return report;
    }
    do {
        pid_t tid = thread_of(pid);
        report.outcome = tid != 0               ? one_stop(tid, work, &next, &is_done, &report)
                         : has_ended(pid)       ? ATTACH_GONE
                         : state_of(pid) == 'T' ? ATTACH_STOPPED
                                                : ATTACH_NO_STOP;
        /* Nobody may trace a thread that exits (kernel/ptrace.c: ptrace_attach()). */
        if ((report.outcome == ATTACH_LOST && ends(tid, 100)) ||
            (report.outcome == ATTACH_NOT_PERMITTED && ends(tid, 10)))
            report.outcome = ATTACH_GONE;
    } while (report.outcome == ATTACH_DONE && next < work->count);
    if (report.outcome == ATTACH_DONE && !is_done)
        report.outcome = ATTACH_REFUSED;
    return report;
}
