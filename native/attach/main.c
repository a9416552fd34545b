/* ksmrun-attach on|off PID[:START]...
 *     Makes each process set or clear its own merge flag.
 * ksmrun-attach mark|unmark PID[:START]...
 *     Makes it mark its private writable memory instead, or unmark it (before Linux 6.4).
 * ksmrun-attach launched PID COMMAND [quiet]
 *     For ksmrun-exec --inject: the process has begun its exec, and must set its flag. Says why if
 *     it does not.
 *
 * START is the start time in ticks (proc_pid_stat(5)): a process that has reused the PID is left
 * alone. Prints a line for each: PID OUTCOME ERRNO NANOSECONDS-OF-THE-LONGEST-STOP. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "attach.h"
#include "ranges.h"
#include "worker.h"

enum { EXIT_USAGE = 2, PID_MAX = 1 << 22 };

static const char *const names[OUTCOMES] = {
    "done",   "gone",       "not-permitted", "no-stop",  "stopped",        "frozen",
    "shared", "other-bits", "dispatched",    "filtered", "no-instruction", "refused",
    "late",   "pending",    "unreadable",    "lost",
};

struct order {
    pid_t pid;
    uint64_t start_ticks;
    bool on, marks;
};

static void carry_out(const void *given, struct report *report) {
    static struct range ranges[RANGES_MAX];
    const struct order *order = given;
    struct process process;
    struct work work = {.on = order->on, .ranges = ranges};
    if (!process_open(&process, order->pid, order->start_ticks))
        return;
    if (order->marks) {
        int count = ranges_read(&process, order->on, ranges, worker_beat);
        if (count <= 0) {
            report->outcome = count == 0                            ? ATTACH_DONE
                              : count == -EACCES || count == -EPERM ? ATTACH_NOT_PERMITTED
                                                                    : ATTACH_GONE;
            return;
        }
        work.count = (unsigned)count;
    }
    attach(&process, &work, report);
}

/* The exec continues after it has closed its descriptors: its code is not mapped yet, and with a
 * shared layout the program is still being moved, by its own tracer. */
static bool may_pass(enum outcome outcome) {
    return outcome == ATTACH_NO_INSTRUCTION || outcome == ATTACH_NOT_PERMITTED ||
           outcome == ATTACH_NO_STOP || outcome == ATTACH_LATE;
}

static int serve_launch(pid_t pid, const char *command, bool quiet) {
    enum { TRIES_MAX = 100, PAUSE_NS = 2 * 1000 * 1000 };
    /* Shorter than the name may be: one write(2), of PIPE_BUF bytes at most. */
    enum { COMMAND_BYTES = 2048 };
    static const int64_t limit_ns = INT64_C(2000000000);
    const struct order order = {.pid = pid, .on = true};
    struct process process;
    struct report report = {.outcome = ATTACH_GONE};
    int64_t until = clock_now_ns() + limit_ns;
    /* Held open, because another process may get the PID later. */
    bool is_held = process_open(&process, pid, 0);
    for (int tries = 0; tries < TRIES_MAX && (tries == 0 || clock_now_ns() < until); tries++) {
        if (!is_held || process_state(&process) == 0)
            return 1;
        report = worker_run(carry_out, &order);
        if (!may_pass(report.outcome))
            break;
        struct timespec pause = {0, PAUSE_NS};
        nanosleep(&pause, NULL);
    }
    if (!quiet && report.outcome != ATTACH_DONE && report.outcome != ATTACH_GONE) {
        char line[COMMAND_BYTES + 256];
        int length = snprintf(line, sizeof line,
                              "ksmrun-exec: PID %d (%.*s) runs, but does not merge: %s; run "
                              "`ksmrun attach %d` to see why\n",
                              pid, COMMAND_BYTES, command, names[report.outcome], pid);
        for (int i = 0; i + 1 < length; i++)
            if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
                line[i] = '?';
        (void)!write(STDERR_FILENO, line, (size_t)length);
    }
    return report.outcome == ATTACH_DONE ? 0 : 1;
}

static bool parse_who(const char *text, pid_t *pid, uint64_t *start_ticks) {
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    *pid = (pid_t)number;
    *start_ticks = 0;
    if (*end == ':' && end[1] >= '0' && end[1] <= '9')
        *start_ticks = strtoull(end + 1, &end, 10);
    if (*end == '\0' && number > 0 && number <= PID_MAX && errno == 0)
        return true;
    fprintf(stderr, "ksmrun-attach: %s is not a PID; give PID or PID:START\n", text);
    return false;
}

int main(int argc, char **argv) {
    const char *verb = argc > 2 ? argv[1] : "";
    struct order order = {
        .on = strcmp(verb, "on") == 0 || strcmp(verb, "mark") == 0,
        .marks = strcmp(verb, "mark") == 0 || strcmp(verb, "unmark") == 0,
    };
    bool launched = strcmp(verb, "launched") == 0 && argc > 3;
    if (!order.on && !order.marks && !launched && strcmp(verb, "off") != 0) {
        fputs("usage: ksmrun-attach on|off|mark|unmark PID[:START]...\n", stderr);
        return EXIT_USAGE;
    }
    /* Between two system calls of ours the process being changed is not in its normal state:
     * nothing may end us there, and only SIGKILL can. SIGCHLD reports its stops, but not if it is
     * ignored. A worker may outlive this process, and must not keep a file system busy. */
    sigset_t all;
    sigfillset(&all);
    if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || sigprocmask(SIG_BLOCK, &all, NULL) != 0 ||
        (setsid() < 0 && errno != EPERM) || chdir("/") != 0)
        return 1;
    if (launched)
        return parse_who(argv[2], &order.pid, &order.start_ticks)
                   ? serve_launch(order.pid, argv[3], argc > 4)
                   : EXIT_USAGE;
    for (int i = 2; i < argc; i++) {
        if (!parse_who(argv[i], &order.pid, &order.start_ticks))
            return EXIT_USAGE;
        struct report report = worker_run(carry_out, &order);
        printf("%d %s %d %" PRId64 "\n", order.pid, names[report.outcome], report.error,
               report.stopped_ns_max);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
