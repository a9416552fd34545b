/* ksmrun-attach on|off PID...: each process is made to set or clear its own merge flag.
 * ksmrun-attach mark|unmark PID: it is made to mark its private writable memory instead (before
 * Linux 6.4). A line for each: PID OUTCOME ERRNO NANOSECONDS-OF-THE-LONGEST-STOP.
 * ksmrun-attach launched PID COMMAND [quiet]: for ksmrun-exec --inject; it has begun its exec, and
 * is to set its flag. Says why where it does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attach.h"

enum { EXIT_USAGE = 2, RANGES_MAX = 1 << 16 };

static const char *const names[OUTCOMES] = {
    "done",       "gone",       "not-permitted", "no-stop",        "stopped", "shared",
    "other-bits", "dispatched", "filtered",      "no-instruction", "refused", "lost",
};

static struct range ranges[RANGES_MAX];

/* The flags of a VMA in smaps, each two letters behind a space (proc_pid_smaps(5)). */
static bool has_flag(const char *flags, const char *name) {
    const char *found = strstr(flags, name);
    return found != NULL && (found[3] == ' ' || found[3] == '\n');
}

/* Those whose mark is not as wanted: to mark, what is private and writable and not of a kind that
 * ksmd leaves alone (mm/ksm.c: vma_ksm_compatible()), where the call would be for nothing each
 * time.
 */
static bool is_wanted(const char *flags, bool on) {
    static const char *const excluded[] = {" sh", " ms", " io", " pf", " de", " mm", " ht", " dp"};
    bool is_marked = has_flag(flags, " mg");
    if (!on || is_marked || !has_flag(flags, " wr"))
        return !on && is_marked;
    for (size_t i = 0; i < sizeof excluded / sizeof *excluded; i++)
        if (has_flag(flags, excluded[i]))
            return false;
    return true;
}

/* Whole VMAs: marking a part would split one. Not by maps: each stop is the program's, and what is
 * marked already needs none. False where there is nothing to read. */
static bool read_ranges(pid_t pid, bool on, unsigned *count) {
    char path[32], line[512];
    struct range range = {0};
    bool is_read = false;
    *count = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps", pid);
    FILE *smaps = fopen(path, "re");
    if (smaps == NULL)
        return false;
    while (*count < RANGES_MAX && fgets(line, sizeof line, smaps) != NULL) {
        struct range next;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &next.start, &next.end) == 2) {
            range = next;
            is_read = true;
        } else if (strncmp(line, "VmFlags:", 8) == 0 && is_wanted(line + 8, on)) {
            ranges[(*count)++] = range;
        }
        /* The rest of a long name. */
        while (strchr(line, '\n') == NULL && fgets(line, sizeof line, smaps) != NULL)
            ;
    }
    fclose(smaps);
    if (!is_read)
        errno = ESRCH;
    return is_read;
}

static void say(pid_t pid, const struct report *report) {
    printf("%d %s %d %" PRId64 "\n", pid, names[report->outcome], report->error,
           report->stopped_ns_max);
}

/* While the process stands still nobody else is to run before us; without the right to it the stop
 * is longer. By number, as musl has a function of this name that does nothing. */
static void come_first(void) {
    struct sched_param first = {.sched_priority = 1};
    (void)syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &first);
}

/* In a child of its own: its end lets go of what did not stop in time. */
static enum outcome work_on(pid_t pid, bool on, bool marks, bool says) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct work work = {.on = on, .ranges = ranges};
        struct report report = {.outcome = ATTACH_DONE};
        if (marks && !read_ranges(pid, on, &work.count)) {
            report.outcome = errno == EACCES || errno == EPERM ? ATTACH_NOT_PERMITTED : ATTACH_GONE;
        } else if (!marks || work.count > 0) {
            come_first();
            report = attach(pid, &work);
        }
        if (says)
            say(pid, &report);
        exit(fflush(stdout) == 0 ? (int)report.outcome : OUTCOMES);
    }
    int status;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) < OUTCOMES)
        return (enum outcome)WEXITSTATUS(status);
    struct report report = {.outcome = ATTACH_LOST};
    if (says)
        say(pid, &report);
    return ATTACH_LOST;
}

/* The exec goes on after it has closed its descriptors: its code is not mapped yet, and with a
 * shared layout the program is still being moved, by a tracer of its own. */
static bool may_pass(enum outcome outcome) {
    return outcome == ATTACH_NO_INSTRUCTION || outcome == ATTACH_NOT_PERMITTED ||
           outcome == ATTACH_NO_STOP;
}

static int serve_launch(pid_t pid, const char *command, bool quiet) {
    enum { TRIES_MAX = 100, PAUSE_NS = 2 * 1000 * 1000 };
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", pid);
    /* Held: another process may have the number later. */
    int process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum outcome outcome = ATTACH_GONE;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        if (process < 0 || faccessat(process, "stat", F_OK, 0) != 0)
            return 1;
        outcome = work_on(pid, true, false, false);
        if (!may_pass(outcome))
            break;
        struct timespec pause = {0, PAUSE_NS};
        nanosleep(&pause, NULL);
    }
    if (!quiet && outcome != ATTACH_DONE && outcome != ATTACH_GONE)
        fprintf(stderr,
                "ksmrun-exec: PID %d (%s) runs, but does not merge: %s; `ksmrun attach %d` tells "
                "why\n",
                pid, command, names[outcome], pid);
    return outcome == ATTACH_DONE ? 0 : 1;
}

static bool parse_pid(const char *text, pid_t *pid) {
    char *end;
    long number = strtol(text, &end, 10);
    *pid = (pid_t)number;
    if (*end == '\0' && number > 0 && number <= 1 << 22)
        return true;
    fprintf(stderr, "ksmrun-attach: %s is no PID\n", text);
    return false;
}

int main(int argc, char **argv) {
    const char *verb = argc > 2 ? argv[1] : "";
    bool on = strcmp(verb, "on") == 0 || strcmp(verb, "mark") == 0;
    bool marks = strcmp(verb, "mark") == 0 || strcmp(verb, "unmark") == 0;
    bool launched = strcmp(verb, "launched") == 0 && argc > 3;
    if (!on && !marks && !launched && strcmp(verb, "off") != 0) {
        fputs("usage: ksmrun-attach on|off|mark|unmark PID...\n", stderr);
        return EXIT_USAGE;
    }
    /* Between two system calls of ours the process at hand is not itself: nothing may end us there,
     * and SIGKILL alone can. */
    sigset_t all;
    sigfillset(&all);
    if (sigprocmask(SIG_BLOCK, &all, NULL) != 0 || (setsid() < 0 && errno != EPERM))
        return 1;
    pid_t pid;
    if (launched)
        return parse_pid(argv[2], &pid) ? serve_launch(pid, argv[3], argc > 4) : EXIT_USAGE;
    for (int i = 2; i < argc; i++) {
        if (!parse_pid(argv[i], &pid))
            return EXIT_USAGE;
        work_on(pid, on, marks, true);
    }
    return 0;
}
