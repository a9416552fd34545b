/* The sweeping thread: what it does, and what it gives up first. libc's setuid(3) does not reach
 * it, so its credentials must be useless: it has no capability, no descriptor of the program's, and
 * through seccomp no system calls except reading and advising its own memory, sleeping, lowering
 * its priority and ending. */
#include "thread.h"

#include "../common/pidstat.h"
#include "filter.h"
#include "linux.h"
#include "status.h"
#include "syscalls.h"

enum { FIRST_WAIT_MS = 100, GROWING_WAIT_MS = 250, LONGEST_WAIT_MS = 60 * 1000 };
/* Sweeping takes at most 1/REST_FACTOR of a core. */
enum { REST_FACTOR = 100 };
/* include/linux/mm.h: DEFAULT_MAX_MAP_COUNT */
enum { DEFAULT_MAX_MAP_COUNT = 65530 };
enum { ERROR_INTR = 4, ERROR_AGAIN = 11, ERROR_TIMEDOUT = 110 };

/* proc_pid_statm(5): size resident shared text lib data dt, in pages. */
struct statm {
    size_t size, resident, shared, data;
};

struct files {
    int maps, statm, stat, max_map_count, status;
};

static size_t read_number(const char **text) {
    size_t number = 0;
    while (**text >= '0' && **text <= '9')
        number = number * 10 + (size_t)(*(*text)++ - '0');
    while (**text == ' ')
        (*text)++;
    return number;
}

static bool read_statm(int file, struct statm *statm) {
    char text[128];
    long length = pread_at(file, text, sizeof text - 1, 0);
    if (length <= 0)
        return false;
    text[length] = '\0';
    const char *at = text;
    statm->size = read_number(&at);
    statm->resident = read_number(&at);
    statm->shared = read_number(&at);
    for (int skipped = 0; skipped < 2; skipped++)
        read_number(&at);
    statm->data = read_number(&at);
    return true;
}

static size_t vmas_max(int file, unsigned reserve_percent) {
    char text[32];
    long length = file < 0 ? 0 : pread_at(file, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    const char *at = text;
    size_t limit = read_number(&at);
    if (limit == 0)
        limit = DEFAULT_MAX_MAP_COUNT;
    return limit - limit / 100 * reserve_percent;
}

/* close_range(2) exists since 5.9 (278a5fbaed89). */
static bool close_one_by_one(void) {
    /* getdents(2): struct linux_dirent64, little-endian wherever the shim runs. */
    enum { LENGTH_AT = 16, NAME_AT = 19 };
    char entries[1024];
    if (is_error(SYSTEM_CALL(NUMBER_UNSHARE, CLONE_FILES)))
        return false;
    long folder = open_readonly("/proc/thread-self/fd");
    if (is_error(folder))
        return false;
    for (;;) {
        long length = SYSTEM_CALL(NUMBER_GETDENTS64, folder, (long)entries, sizeof entries);
        if (length <= 0)
            break;
        for (long at = 0; at < length; at += (unsigned char)entries[at + LENGTH_AT]) {
            const char *name = entries + at + NAME_AT;
            bool is_number = *name != '.';
            long file = (long)read_number(&name);
            if (is_number && file != folder)
                SYSTEM_CALL(NUMBER_CLOSE, file);
        }
    }
    SYSTEM_CALL(NUMBER_CLOSE, folder);
    return true;
}

/* An empty descriptor table of its own: the program's changes to its descriptors do not affect
 * ours, and none of its pipes stays open here. Record locks belong to a table, so closing here
 * releases none. */
static bool part_from_descriptors(void) {
    enum { CLOSE_RANGE_UNSHARE = 2 };
    return SYSTEM_CALL(NUMBER_CLOSE_RANGE, 0, (long)~0U, CLOSE_RANGE_UNSHARE) == 0 ||
           close_one_by_one();
}

/* Affects this thread alone; the program's dumpable attribute stays, because capabilities only
 * decrease (kernel/cred.c: commit_creds). */
static bool give_up_capabilities(void) {
    struct {
        uint32_t version;
        int pid;
    } header = {0x20080522, 0};
    struct {
        uint32_t effective, permitted, inheritable;
    } none[2] = {0};
    return SYSTEM_CALL(NUMBER_CAPSET, (long)&header, (long)none) == 0 &&
           SYSTEM_CALL(NUMBER_PRCTL, PR_SET_NO_NEW_PRIVS, 1) == 0;
}

/* A program may have real-time priority; scanning its memory must not. */
static void give_up_priority(void) {
    const int priority = 0;
    SYSTEM_CALL(NUMBER_SCHED_SETSCHEDULER, 0, SCHED_OTHER, (long)&priority);
}

/* Returns false when the thread must end. */
static bool sleep_unless_told(const struct thread *own, long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    long result =
        SYSTEM_CALL(NUMBER_FUTEX, (long)&own->is_told_to_leave, FUTEX_WAIT_PRIVATE, 0, (long)&time);
    bool is_known =
        result == 0 || result == -ERROR_TIMEDOUT || result == -ERROR_INTR || result == -ERROR_AGAIN;
    return is_known && !atomic_load(&own->is_told_to_leave);
}

/* Returns whether all of the program's own threads have ended. A plain exit(2) does not end a
 * process that has another thread: the first thread is a zombie then, and this one the only other.
 * Its exit code is to be the process's. Not inlined, because its frame is large. */
__attribute__((noinline)) static bool is_left_alone(int file, int *exit_code) {
    char text[PIDSTAT_BYTES];
    struct pidstat stat;
    long length = file < 0 ? 0 : pread_at(file, text, sizeof text, 0);
    if (length <= 0 || !pidstat_parse(text, (size_t)length, &stat) || stat.state != 'Z')
        return false;
    *exit_code = (int)(stat.fields[PIDSTAT_EXIT_CODE] >> 8);
    return stat.fields[PIDSTAT_THREADS] == 2;
}

static long cpu_ms(void) {
    enum { CLOCK_THREAD_CPUTIME_ID = 3 };
    struct timespec time = {0};
    SYSTEM_CALL(NUMBER_CLOCK_GETTIME, CLOCK_THREAD_CPUTIME_ID, (long)&time);
    return time.seconds * 1000 + time.nanoseconds / 1000000;
}

/* Checks soon while the data size changes, and otherwise ever more rarely. Memory that replaced
 * some of the same size is found at the latest when the longest wait is over. */
static void loop(struct thread *own, const struct files *files, int *exit_code) {
    struct sweep sweep = {
        .work = own->options.work,
        .maps = files->maps,
        .page_bytes = own->options.page_bytes,
        .mark_min_bytes = own->options.mark_min_bytes,
        .excluded = own->excluded,
        .buffer = own->buffer,
        .buffer_bytes = sizeof own->buffer,
        .is_told_to_leave = &own->is_told_to_leave,
    };
    struct statm statm, seen = {0};
    long wait_ms = FIRST_WAIT_MS;
    while (sleep_unless_told(own, wait_ms) && !is_left_alone(files->stat, exit_code)) {
        if (!read_statm(files->statm, &statm))
            return;
        bool has_grown = statm.data != seen.data || statm.size != seen.size ||
                         (sweep.has_sparse && statm.resident > seen.resident);
        if (atomic_exchange(&own->is_to_look_soon, false))
            wait_ms = FIRST_WAIT_MS;
        if (!has_grown && !sweep.has_postponed && wait_ms < LONGEST_WAIT_MS) {
            wait_ms = wait_ms * 2 < LONGEST_WAIT_MS ? wait_ms * 2 : LONGEST_WAIT_MS;
            continue;
        }
        sweep.resident_bytes = statm.resident * own->options.page_bytes;
        sweep.vmas_max = vmas_max(files->max_map_count, own->options.map_reserve_percent);
        long before_ms = cpu_ms();
        atomic_fetch_add(&own->walks, 1);
        bool is_swept = sweep_once(&sweep);
        atomic_fetch_add(&own->walks, 1);
        if (!is_swept)
            return;
        long rest_ms = (cpu_ms() - before_ms) * REST_FACTOR;
        /* What is not joined in time approaches the limit. */
        if (sweep.work == SWEEP_JOIN && sweep.vmas > sweep.vmas_max / 2)
            rest_ms = 0;
        status_write(files->status, &sweep);
        if (sweep.state == SWEEP_NO_KSM)
            return;
        seen = statm;
        atomic_store(own->swept_bytes, (statm.resident - statm.shared) * own->options.page_bytes);
        if (has_grown)
            wait_ms = rest_ms > GROWING_WAIT_MS ? rest_ms : GROWING_WAIT_MS;
    }
}

_Noreturn void thread_run(struct thread *own) {
    int exit_code = 0;
    SYSTEM_CALL(NUMBER_PRCTL, PR_SET_NAME, (long)"ksmrun-sweep");
    if (give_up_capabilities() && part_from_descriptors()) {
        /* Of the thread, not the process: the first thread may end before the others do. */
        struct files files = {
            .maps = (int)open_readonly("/proc/thread-self/maps"),
            .statm = (int)open_readonly("/proc/thread-self/statm"),
            .stat = (int)open_readonly("/proc/self/stat"),
            .max_map_count = (int)open_readonly("/proc/sys/vm/max_map_count"),
            .status = status_open(),
        };
        if (files.maps >= 0 && files.statm >= 0 && filter_confine()) {
            atomic_store(&own->is_confined, 1);
            SYSTEM_CALL(NUMBER_FUTEX, (long)&own->is_confined, FUTEX_WAKE_PRIVATE, 1);
            /* Last: until here a thread of that priority waits. */
            give_up_priority();
            loop(own, &files, &exit_code);
        }
    }
    for (;;)
        SYSTEM_CALL(NUMBER_EXIT, exit_code);
}
