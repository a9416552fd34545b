#include "kernel_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/child.h"
#include "../common/procfile.h"

/* Exit codes of the launched child; others (a loader's error, a signal) mean unknown. */
enum { EXIT_FLAG_LOST = 40, EXIT_NOT_SCANNED = 41, EXIT_SCANNED = 42, EXIT_SCAN_UNKNOWN = 43 };

/* On an idle host ksmd wakes every 20 ms; on a busy one no wait of ours would be long enough. */
static const struct timespec scan_look_interval = {.tv_nsec = 5 * 1000 * 1000};
enum { SCAN_LOOKS = 100, SCAN_PASSES = 3, SCAN_PAGES = 8 };

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Runs the trial in a child, so that its flag stays there, and a filter that kills leaves us
 * alive. The child writes its results into *findings, which is shared memory. */
static void in_child(void (*trial)(struct findings *), struct findings *findings) {
    pid_t child = fork();
    if (child == 0) {
        trial(findings);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void try_prctl(struct findings *findings) {
    findings->obstacle = merge_set(true, &findings->prctl_errno);
    if (findings->obstacle != OBSTACLE_NONE)
        return;
    pid_t child = fork();
    if (child == 0)
        _exit(merge_get() == 1 ? 0 : 1);
    int status;
    if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status))
        findings->kept_over_fork = WEXITSTATUS(status) == 0 ? ANSWER_YES : ANSWER_NO;
}

/* Exit code of this program started with the flag set; -1 if that failed. */
static int launched_child(void) {
    pid_t child = child_fork();
    if (child == 0) {
        int error;
        char *argv[] = {(char *)"ksmrun-exec", (char *)"--probe-launched", NULL};
        if (merge_set(true, &error) == OBSTACLE_NONE)
            execv("/proc/self/exe", argv);
        _exit(0);
    }
    int code = child < 0 ? -1 : child_wait(child);
    return code < EXIT_FLAG_LOST || code > EXIT_SCAN_UNKNOWN ? -1 : code;
}

bool kernel_loses_flag_at_exec(void) {
    return !child_would_be_init() && launched_child() == EXIT_FLAG_LOST;
}

static void try_exec_keeps(struct findings *findings) {
    int code = launched_child();
    if (code < 0)
        return;
    findings->kept_over_exec = code == EXIT_FLAG_LOST ? ANSWER_NO : ANSWER_YES;
    if (code == EXIT_SCANNED)
        findings->scanned_after_exec = ANSWER_YES;
    if (code == EXIT_NOT_SCANNED)
        findings->scanned_after_exec = ANSWER_NO;
}

static long number_in(const char *path, const char *key) {
    char text[1024];
    if (procfile_read(path, text, sizeof text) < 0)
        return -1;
    const char *place = strstr(text, key);
    return place != NULL ? strtol(place + strlen(key), NULL, 10) : -1;
}

int kernel_trial_after_exec(void) {
    if (merge_get() != 1)
        return EXIT_FLAG_LOST;
    if (number_in("/sys/kernel/mm/ksm/run", "") != 1)
        return EXIT_SCAN_UNKNOWN;
    size_t size = SCAN_PAGES * page_bytes();
    char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return EXIT_SCAN_UNKNOWN;
    memset(pages, 0x5a, size);
    long first_pass = number_in("/sys/kernel/mm/ksm/full_scans", "");
    for (int look = 0; look < SCAN_LOOKS; look++) {
        /* Scans first: ksmd may complete many between two statements of ours. */
        long passes = number_in("/sys/kernel/mm/ksm/full_scans", "") - first_pass;
        /* A page gets its rmap_item when ksmd first sees it (mm/ksm.c: get_next_rmap_item). */
        if (number_in("/proc/self/ksm_stat", "ksm_rmap_items ") > 0)
            return EXIT_SCANNED;
        if (passes >= SCAN_PASSES)
            return EXIT_NOT_SCANNED;
        nanosleep(&scan_look_interval, NULL);
    }
    return EXIT_SCAN_UNKNOWN;
}

static int vma_count(void) {
    static char maps[65536];
    ssize_t length = procfile_read("/proc/self/maps", maps, sizeof maps);
    if (length <= 0 || (size_t)length == sizeof maps - 1)
        return -1;
    int count = 0;
    for (ssize_t i = 0; i < length; i++)
        count += maps[i] == '\n';
    return count;
}

static int vmas_since(int before) {
    int now = vma_count();
    return before < 0 || now < 0 ? -1 : now - before;
}

static void try_adjacent_mmaps(struct findings *findings) {
    int error;
    merge_set(true, &error);
    size_t page = page_bytes();
    /* A reservation one page longer at both ends keeps other mappings from touching ours. */
    size_t size = (VMA_STEPS + 2) * page;
    char *area = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || munmap(area, size) != 0)
        return;
    int before = vma_count();
    for (size_t i = 1; i <= VMA_STEPS; i++) {
        if (mmap(area + i * page, page, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            return;
    }
    findings->mmap_vmas = vmas_since(before);
}

bool kernel_needs_late_flag(void) {
    struct utsname kernel;
    return uname(&kernel) != 0 || release_never_scans(kernel.release) ||
           (release_may_lose_at_exec(kernel.release) && kernel_loses_flag_at_exec());
}

bool kernel_keeps_vmas_apart(void) {
    if (child_would_be_init())
        return false;
    pid_t child = child_fork();
    if (child == 0) {
        struct findings findings = {.mmap_vmas = -1};
        try_adjacent_mmaps(&findings);
        _exit(findings.mmap_vmas > VMA_STEPS / 2);
    }
    return child > 0 && child_wait(child) == 1;
}

/* musl's sbrk(3) refuses to move the break, so ask the kernel. */
static char *move_brk(char *to) {
    return (char *)syscall(SYS_brk, to);
}

static void try_brk_steps(struct findings *findings) {
    int error;
    merge_set(true, &error);
    size_t page = page_bytes();
    char *start = move_brk(NULL);
    start += (page - (uintptr_t)start % page) % page + page;
    if (move_brk(start) != start)
        return;
    int before = vma_count();
    for (size_t i = 1; i <= VMA_STEPS; i++) {
        if (move_brk(start + i * page) != start + i * page)
            return;
    }
    findings->brk_vmas = vmas_since(before);
}

/* Like the shared layout: a child seizes its parent, which has allowed it (Yama scope 1). */
static void try_ptrace(struct findings *findings) {
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0L, 0L, 0L);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0)
        _exit(ptrace(PTRACE_SEIZE, parent, NULL, NULL) == 0 ? 0 : errno);
    int status;
    pid_t done;
    do {
        done = waitpid(child, &status, 0);
    } while (done < 0 && errno == EINTR);
    if (child < 0 || done != child || !WIFEXITED(status))
        return;
    findings->ptrace_errno = WEXITSTATUS(status);
    findings->ptrace_allowed = findings->ptrace_errno == 0 ? ANSWER_YES : ANSWER_NO;
}

/* prctl(2): PR_SET_MM_MAP with the present values; needs CONFIG_CHECKPOINT_RESTORE. */
static void try_mm_map(struct findings *findings) {
    struct pidstat stat;
    if (!procfile_stat(AT_FDCWD, "/proc/self/stat", &stat))
        return;
    struct prctl_mm_map map = {
        .start_code = stat.fields[PIDSTAT_START_CODE],
        .end_code = stat.fields[PIDSTAT_END_CODE],
        .start_data = stat.fields[PIDSTAT_START_DATA],
        .end_data = stat.fields[PIDSTAT_END_DATA],
        .start_brk = stat.fields[PIDSTAT_START_BRK],
        .brk = (uintptr_t)move_brk(NULL),
        .start_stack = stat.fields[PIDSTAT_START_STACK],
        .arg_start = stat.fields[PIDSTAT_ARG_START],
        .arg_end = stat.fields[PIDSTAT_ARG_END],
        .env_start = stat.fields[PIDSTAT_ENV_START],
        .env_end = stat.fields[PIDSTAT_ENV_END],
        .exe_fd = (uint32_t)-1,
    };
    int result = prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0L);
    findings->mm_map_errno = result == 0 ? 0 : errno;
    findings->mm_map_allowed = result == 0 ? ANSWER_YES : ANSWER_NO;
}

struct findings kernel_trial_all(void) {
    struct findings findings = {.obstacle = OBSTACLE_UNKNOWN, .mmap_vmas = -1, .brk_vmas = -1};
    struct findings *shared =
        mmap(NULL, sizeof findings, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return findings;
    /* With SIGCHLD ignored, waitpid would lose the exit codes. */
    signal(SIGCHLD, SIG_DFL);
    *shared = findings;
    in_child(try_prctl, shared);
    in_child(try_exec_keeps, shared);
    in_child(try_adjacent_mmaps, shared);
    in_child(try_brk_steps, shared);
    in_child(try_ptrace, shared);
    in_child(try_mm_map, shared);
    findings = *shared;
    munmap(shared, sizeof findings);
    return findings;
}
