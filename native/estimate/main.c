/* ksmrun-estimate: prints what merging would save, from the contents of the pages of processes. It
 * changes nothing about them and does not stop them. `ksmrun estimate` starts it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

enum { EXIT_OWN_FAILURE = 125, SHARING_DEFAULT = 256, DIGITS = 10 };

struct options {
    bool with_layout;
    unsigned long max_page_sharing;
    double volatile_after_seconds;
};

static const char help[] =
    "Usage: ksmrun-estimate [--layout] [--max-page-sharing=N] [--volatile-after=SECONDS] PID...\n"
    "\n"
    "Hashes the private pages that the processes have in memory, and prints as JSON what is "
    "equal.\n"
    "\n"
    "  --layout                  a second time with pointers replaced: one address layout for all\n"
    "  --max-page-sharing=N      of KSM (default: 256)\n"
    "  --volatile-after=SECONDS  looks again then; what has changed is not counted as equal\n";

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void wait_until(double seconds) {
    struct timespec end = {.tv_sec = (time_t)seconds};
    end.tv_nsec = (long)((seconds - (double)end.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        continue;
}

/* Returns whether all options are known and complete. */
static bool parse(int argc, char **argv, struct options *options) {
    static const struct option known[] = {
        {"layout", no_argument, NULL, 'l'},
        {"max-page-sharing", required_argument, NULL, 'm'},
        {"volatile-after", required_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    char *end = "";
    for (int letter; (letter = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (letter == 'l')
            options->with_layout = true;
        else if (letter == 'm')
            options->max_page_sharing = strtoul(optarg, &end, DIGITS);
        else if (letter == 'v')
            options->volatile_after_seconds = strtod(optarg, &end);
        else
            return false;
        if (*end != '\0')
            return false;
    }
    /* Nobody waits for more than a day. */
    return options->max_page_sharing > 0 && options->volatile_after_seconds >= 0 &&
           options->volatile_after_seconds <= 86400;
}

static struct process open_process(const char *pid) {
    char path[32], *end;
    struct process process = {.pid = (pid_t)strtol(pid, &end, DIGITS), .folder = -1};
    if (*end != '\0' || process.pid <= 0) {
        process.result = -ESRCH;
        return process;
    }
    snprintf(path, sizeof path, "/proc/%d", process.pid);
    process.folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (process.folder < 0)
        process.result = errno == ENOENT ? -ESRCH : -errno;
    return process;
}

/* One descriptor per process. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static double look_at_all(struct look *look, struct process *processes, size_t count,
                          double volatile_after_seconds) {
    double start = now_seconds();
    for (size_t i = 0; i < count; i++)
        if (processes[i].folder >= 0)
            look_first(look, &processes[i], i);
    double seconds = now_seconds() - start;
    if (volatile_after_seconds <= 0)
        return seconds;
    wait_until(start + volatile_after_seconds);
    start = now_seconds();
    for (size_t i = 0; i < count; i++)
        if (processes[i].result == 0)
            look_again(look, &processes[i]);
    return seconds + now_seconds() - start;
}

static int fail(const char *what, const char *todo) {
    fprintf(stderr, "ksmrun-estimate: %s; %s\n", what, todo);
    return EXIT_OWN_FAILURE;
}

int main(int argc, char **argv) {
    static struct look look;
    struct options options = {.max_page_sharing = SHARING_DEFAULT};
    if (!parse(argc, argv, &options) || optind == argc) {
        fputs(help, stderr);
        return EXIT_OWN_FAILURE;
    }
    size_t count = (size_t)(argc - optind);
    if (count > PROCESSES_MAX)
        return fail("too many processes", "name 524,287 at most");
    raise_descriptor_limit();
    struct process *processes = calloc(count, sizeof *processes);
    struct tally tally = {.processes = calloc(count, sizeof *tally.processes)};
    look.with_layout = options.with_layout;
    if (processes == NULL || tally.processes == NULL || !look_prepare(&look))
        return fail("out of memory", "free memory, or raise ulimit -v");
    for (size_t i = 0; i < count; i++)
        processes[i] = open_process(argv[optind + (int)i]);
    double seconds = look_at_all(&look, processes, count, options.volatile_after_seconds);
    for (size_t i = 0; i < count; i++)
        if (processes[i].result == -ENOMEM)
            return fail("no memory for a record of each page", "name fewer processes");
    if (!tally_records(&look.records, options.max_page_sharing, look.with_layout, &tally))
        return fail("no memory to count in", "name fewer processes");
    const struct result result = {&look, &tally,  processes,
                                  count, seconds, options.volatile_after_seconds};
    if (!output_write(&result))
        return fail("the result cannot be written", "check what reads it, and free memory");
    /* The end of the process frees everything. */
    return 0;
}
