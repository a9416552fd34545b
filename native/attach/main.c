/* ksmrun-attach on|off PID...: each process is made to set or clear its own merge flag.
 * ksmrun-attach mark|unmark PID: it is made to mark its private writable memory instead (before
 * Linux 6.4). A line for each: PID OUTCOME ERRNO NANOSECONDS-OF-THE-LONGEST-STOP.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach.h"

enum { EXIT_USAGE = 2, RANGES_MAX = 1 << 16 };

static const char *const names[OUTCOMES] = {
    "done",       "gone",       "not-permitted", "no-stop",        "stopped", "shared",
    "other-bits", "dispatched", "filtered",      "no-instruction", "refused", "lost",
};

static struct range ranges[RANGES_MAX];

/* Whole VMAs: marking a part would split one. */
static unsigned read_ranges(pid_t pid) {
    char path[32], line[512];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    while (maps != NULL && count < RANGES_MAX && fgets(line, sizeof line, maps) != NULL) {
        char rights[5];
        struct range *range = &ranges[count];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &range->start, &range->end, rights) == 3)
            count += rights[1] == 'w' && rights[3] == 'p';
        /* The rest of a long name. */
        while (strchr(line, '\n') == NULL && fgets(line, sizeof line, maps) != NULL)
            ;
    }
    if (maps != NULL)
        fclose(maps);
    return count;
}

static void say(pid_t pid, const struct report *report) {
    printf("%d %s %d %" PRId64 "\n", pid, names[report->outcome], report->error,
           report->stopped_ns_max);
}

/* In a child of its own: its end lets go of what did not stop in time. */
static void work_on(pid_t pid, bool on, bool marks) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        /* While the process stands still nobody else is to come first; without the right to it the
         * stop is longer. By number, as musl has a function of this name that does nothing. */
        struct sched_param first = {.sched_priority = 1};
        (void)syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &first);
        struct work work = {.on = on, .ranges = ranges, .count = marks ? read_ranges(pid) : 0};
        struct report report = {.outcome = ATTACH_GONE};
        if (!marks || work.count > 0)
            report = attach(pid, &work);
        say(pid, &report);
        exit(fflush(stdout) == 0 ? 0 : 1);
    }
    int status;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        struct report report = {.outcome = ATTACH_LOST};
        say(pid, &report);
    }
}

int main(int argc, char **argv) {
    const char *verb = argc > 2 ? argv[1] : "";
    bool on = strcmp(verb, "on") == 0 || strcmp(verb, "mark") == 0;
    bool marks = strcmp(verb, "mark") == 0 || strcmp(verb, "unmark") == 0;
    if (!on && !marks && strcmp(verb, "off") != 0) {
        fputs("usage: ksmrun-attach on|off|mark|unmark PID...\n", stderr);
        return EXIT_USAGE;
    }
    /* Between two system calls of ours the process at hand is not itself: nothing may end us there,
     * and SIGKILL alone can. */
    sigset_t all;
    sigfillset(&all);
    if (sigprocmask(SIG_BLOCK, &all, NULL) != 0 || (setsid() < 0 && errno != EPERM))
        return 1;
    for (int i = 2; i < argc; i++) {
        char *end;
        long pid = strtol(argv[i], &end, 10);
        if (*end != '\0' || pid <= 0 || pid > 1 << 22) {
            fprintf(stderr, "ksmrun-attach: %s is no PID\n", argv[i]);
            return EXIT_USAGE;
        }
        work_on((pid_t)pid, on, marks);
    }
    return 0;
}
