#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../inject/wait.h"

enum { SILENCE_MS_MAX = 1000, LOOK_MS = 100 };
enum phase { PHASE_UNTOUCHED, PHASE_TOUCHED, PHASE_ENDED };

static struct shared {
    _Atomic int phase;
    atomic_uint beats;
} * shared;
static int report_end = -1;

void worker_beat(void) {
    atomic_fetch_add(&shared->beats, 1);
}

void worker_touch(void) {
    int untouched = PHASE_UNTOUCHED;
    if (!atomic_compare_exchange_strong(&shared->phase, &untouched, PHASE_TOUCHED))
        _exit(1);
}

void worker_release(void) {
    atomic_store(&shared->phase, PHASE_UNTOUCHED);
}

void worker_report(const struct report *report) {
    if (report_end < 0)
        return;
    /* If the parent is gone, nobody needs it. SIGPIPE is blocked. */
    (void)!write(report_end, report, sizeof *report);
    close(report_end);
    report_end = -1;
}

/* Keeps only the report's write end open: a reader of our output must not wait for this process. */
static _Noreturn void run(void (*work)(const void *order, struct report *report),
                          const void *order) {
    struct report report = {.outcome = ATTACH_GONE};
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++)
        if (standard != report_end)
            close(standard);
    work(order, &report);
    worker_report(&report);
    _exit(0);
}

/* Returns false if it has been silent for too long. */
static bool await_report(int from, struct report *report) {
    int64_t heard = clock_now_ns();
    unsigned beats = 0;
    for (;;) {
        struct pollfd end = {.fd = from, .events = POLLIN};
        if (poll(&end, 1, LOOK_MS) > 0) {
            if (read(from, report, sizeof *report) != sizeof *report)
                report->outcome = ATTACH_LOST;
            return true;
        }
        unsigned now = atomic_load(&shared->beats);
        if (now != beats)
            heard = clock_now_ns();
        else if (clock_now_ns() - heard > (int64_t)SILENCE_MS_MAX * NS_A_MS)
            return false;
        beats = now;
    }
}

static enum outcome give_up(pid_t child) {
    int untouched = PHASE_UNTOUCHED;
    if (!atomic_compare_exchange_strong(&shared->phase, &untouched, PHASE_ENDED))
        return ATTACH_PENDING;
    kill(child, SIGKILL);
    return ATTACH_UNREADABLE;
}

struct report worker_run(void (*work)(const void *order, struct report *report),
                         const void *order) {
    struct report report = {.outcome = ATTACH_REFUSED};
    int ends[2];
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe2(ends, O_CLOEXEC) != 0) {
        report.error = errno;
        return report;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        report_end = ends[1];
        run(work, order);
    }
    report.error = errno;
    close(ends[1]);
    if (child > 0) {
        report.error = 0;
        if (!await_report(ends[0], &report))
            report.outcome = give_up(child);
        /* Its end releases what did not stop. The wait is short: it may be in the kernel, for as
         * long as the other process likes. */
        if (report.outcome != ATTACH_PENDING)
            wait_for_stop(child, clock_now_ns() + (int64_t)LOOK_MS * NS_A_MS);
    }
    close(ends[0]);
    munmap(shared, sizeof *shared);
    return report;
}
