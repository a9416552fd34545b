/* A raw thread (clone(2), not pthread_create(3)), so that libc does not know of it: a program with
 * one thread of its own keeps malloc's, stdio's and shared_ptr's fast paths, its last pthread_exit
 * still ends the process, and nothing is allocated. It has no thread-local storage and calls no
 * libc.
 *
 * libc's setuid(3) does not reach such a thread. So before its first look it gives up all that its
 * credentials are good for: capabilities, the descriptor table, and by seccomp every system call
 * but reading and advising its own memory, sleeping and ending. */
#include "sweeper.h"

#include <stdatomic.h>

#include "excluded.h"
#include "filter.h"
#include "linux.h"
#include "status.h"
#include "sweep.h"
#include "syscalls.h"

enum { STACK_BYTES = 16 * 1024, BUFFER_BYTES = 4096 };
/* More than the holes that ld.so leaves between libraries: in one of them it would be in the way of
 * VMAs that join otherwise. Only what is used is resident. */
enum { MAPPING_BYTES = 128 * 1024 };
enum { FIRST_WAIT_MS = 100, GROWING_WAIT_MS = 250, LONGEST_WAIT_MS = 60 * 1000 };
/* Sweeping takes at most one part in so many of a core. */
enum { REST_FACTOR = 100 };
/* include/linux/mm.h: DEFAULT_MAX_MAP_COUNT */
enum { DEFAULT_MAX_MAP_COUNT = 65530 };
enum { LEAVE_YIELDS_MAX = 100 * 1000, ERROR_SRCH = 3 };

/* Not in .bss, which would be one VMA more for every program that never starts a thread. */
struct memory {
    _Alignas(16) char stack[STACK_BYTES];
    char buffer[BUFFER_BYTES];
    struct excluded excluded;
};

static struct {
    struct sweeper_options options;
    struct memory *memory;
    /* The process whose sweeper this is: a raw fork leaves a copy that has none. */
    _Atomic long pid;
    /* Set by the kernel when the thread starts, cleared and woken when it ends. */
    _Atomic int tid;
    _Atomic int is_told_to_leave;
    _Atomic bool is_away;
    _Atomic bool must_stay_away;
    atomic_flag is_changing;
} sweeper = {.is_changing = ATOMIC_FLAG_INIT};

struct timespec {
    long seconds, nanoseconds;
};

/* proc_pid_statm(5): size resident shared text lib data dt, in pages. */
struct statm {
    size_t size, resident, data;
};

struct files {
    int maps, statm, max_map_count, status;
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
    for (int skipped = 0; skipped < 3; skipped++)
        read_number(&at);
    statm->data = read_number(&at);
    return true;
}

static size_t vmas_max(int file) {
    char text[32];
    long length = file < 0 ? 0 : pread_at(file, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    const char *at = text;
    size_t limit = read_number(&at);
    if (limit == 0)
        limit = DEFAULT_MAX_MAP_COUNT;
    return limit - limit / 100 * sweeper.options.map_reserve_percent;
}

/* Before 5.9 (278a5fbaed89) there is no close_range(2). */
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

/* A table of its own, empty: whatever the program does to its descriptors does not meet ours, and
 * no pipe of its stays open here. Record locks belong to a table, so closing here frees none. */
static bool part_from_descriptors(void) {
    enum { CLOSE_RANGE_UNSHARE = 2 };
    return SYSTEM_CALL(NUMBER_CLOSE_RANGE, 0, (long)~0U, CLOSE_RANGE_UNSHARE) == 0 ||
           close_one_by_one();
}

/* Of this thread alone; the program's dumpable attribute stays, as capabilities only get fewer
 * (kernel/cred.c: commit_creds). */
static void give_up_capabilities(void) {
    struct {
        uint32_t version;
        int pid;
    } header = {0x20080522, 0};
    struct {
        uint32_t effective, permitted, inheritable;
    } none[2] = {0};
    SYSTEM_CALL(NUMBER_CAPSET, (long)&header, (long)none);
    SYSTEM_CALL(NUMBER_PRCTL, PR_SET_NO_NEW_PRIVS, 1);
}

/* Returns false when the thread is to end. */
static bool sleep_unless_told(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    SYSTEM_CALL(NUMBER_FUTEX, (long)&sweeper.is_told_to_leave, FUTEX_WAIT_PRIVATE, 0, (long)&time);
    return !atomic_load(&sweeper.is_told_to_leave);
}

static long cpu_ms(void) {
    enum { CLOCK_THREAD_CPUTIME_ID = 3 };
    struct timespec time = {0};
    SYSTEM_CALL(NUMBER_CLOCK_GETTIME, CLOCK_THREAD_CPUTIME_ID, (long)&time);
    return time.seconds * 1000 + time.nanoseconds / 1000000;
}

/* Looks soon while the data size changes, else ever more seldom. What replaced something of its own
 * size shows at the latest when the longest wait is over. */
static void loop(const struct files *files) {
    struct sweep sweep = {
        .work = sweeper.options.work,
        .maps = files->maps,
        .page_bytes = sweeper.options.page_bytes,
        .mark_min_bytes = sweeper.options.mark_min_bytes,
        .excluded = &sweeper.memory->excluded,
        .buffer = sweeper.memory->buffer,
        .buffer_bytes = BUFFER_BYTES,
        .is_told_to_leave = &sweeper.is_told_to_leave,
    };
    struct statm statm, seen = {0};
    long wait_ms = FIRST_WAIT_MS;
    while (sleep_unless_told(wait_ms)) {
        if (!read_statm(files->statm, &statm))
            return;
        bool has_grown = statm.data != seen.data || statm.size != seen.size ||
                         (sweep.has_sparse && statm.resident > seen.resident);
        if (!has_grown && wait_ms < LONGEST_WAIT_MS) {
            wait_ms = wait_ms * 2 < LONGEST_WAIT_MS ? wait_ms * 2 : LONGEST_WAIT_MS;
            continue;
        }
        sweep.resident_bytes = statm.resident * sweeper.options.page_bytes;
        sweep.vmas_max = vmas_max(files->max_map_count);
        long before_ms = cpu_ms();
        if (!sweep_once(&sweep))
            return;
        long rest_ms = (cpu_ms() - before_ms) * REST_FACTOR;
        /* What is not joined in time reaches the limit. */
        if (sweep.work == SWEEP_JOIN && sweep.vmas > sweep.vmas_max / 2)
            rest_ms = 0;
        status_write(files->status, &sweep);
        if (sweep.state == SWEEP_NO_KSM)
            return;
        seen = statm;
        if (has_grown)
            wait_ms = rest_ms > GROWING_WAIT_MS ? rest_ms : GROWING_WAIT_MS;
    }
}

static void thread(void) {
    SYSTEM_CALL(NUMBER_PRCTL, PR_SET_NAME, (long)"ksmrun-sweep");
    if (part_from_descriptors()) {
        /* Of the thread, not the process: its first thread may end before the others do. */
        struct files files = {
            .maps = (int)open_readonly("/proc/thread-self/maps"),
            .statm = (int)open_readonly("/proc/thread-self/statm"),
            .max_map_count = (int)open_readonly("/proc/sys/vm/max_map_count"),
            .status = status_open(),
        };
        give_up_capabilities();
        filter_confine();
        if (files.maps >= 0 && files.statm >= 0)
            loop(&files);
    }
    for (;;)
        SYSTEM_CALL(NUMBER_EXIT, 0);
}

static long own_pid(void) {
    return SYSTEM_CALL(NUMBER_GETPID, 0);
}

static void start(void) {
    enum { SIG_SETMASK = 2 };
    if (atomic_load(&sweeper.must_stay_away))
        return;
    unsigned long long all = ~0ULL, before = 0;
    atomic_store(&sweeper.is_told_to_leave, 0);
    atomic_store(&sweeper.pid, own_pid());
    /* The thread takes no signal of the program's. */
    SYSTEM_CALL(NUMBER_RT_SIGPROCMASK, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
    if (is_error(clone_call(CLONE_THREAD_FLAGS, sweeper.memory->stack + STACK_BYTES,
                            (int *)&sweeper.tid, thread)))
        atomic_store(&sweeper.tid, 0);
    SYSTEM_CALL(NUMBER_RT_SIGPROCMASK, SIG_SETMASK, (long)&before, 0, sizeof before);
}

static bool has_sweeper(void) {
    return sweeper.memory != NULL && atomic_load(&sweeper.pid) == own_pid();
}

void sweeper_begin(const struct sweeper_options *options) {
    enum { READ_AND_WRITE = 3, PRIVATE_AND_ANONYMOUS = 0x22 };
    _Static_assert(sizeof(struct memory) <= MAPPING_BYTES, "");
    long mapping[6] = {0, MAPPING_BYTES, READ_AND_WRITE, PRIVATE_AND_ANONYMOUS, -1, 0};
    long at = map_memory(mapping);
    if (is_error(at))
        return;
    sweeper.memory = (struct memory *)at;
    sweeper.options = *options;
    start();
}

/* The kernel clears tid a moment before the thread leaves its thread group (kernel/exit.c). */
static void wait_until_gone(long pid, int tid) {
    for (int now; (now = atomic_load(&sweeper.tid)) != 0;)
        SYSTEM_CALL(NUMBER_FUTEX, (long)&sweeper.tid, FUTEX_WAIT, now);
    for (int yields = 0; yields < LEAVE_YIELDS_MAX; yields++) {
        if (SYSTEM_CALL(NUMBER_TGKILL, pid, tid, 0) == -ERROR_SRCH)
            return;
        SYSTEM_CALL(NUMBER_SCHED_YIELD, 0);
    }
}

bool sweeper_leave(void) {
    /* Where another thread is at it, that one's come_back counts. */
    if (!has_sweeper() || atomic_flag_test_and_set(&sweeper.is_changing))
        return false;
    int tid = atomic_load(&sweeper.tid);
    atomic_store(&sweeper.is_told_to_leave, 1);
    SYSTEM_CALL(NUMBER_FUTEX, (long)&sweeper.is_told_to_leave, FUTEX_WAKE_PRIVATE, 1);
    if (tid != 0)
        wait_until_gone(own_pid(), tid);
    return true;
}

void sweeper_come_back(void) {
    start();
    atomic_flag_clear(&sweeper.is_changing);
}

void sweeper_stay_away(void) {
    atomic_store(&sweeper.must_stay_away, true);
}

void sweeper_come_back_later(void) {
    atomic_store(&sweeper.is_away, true);
}

void sweeper_come_back_if_away(void) {
    if (atomic_load(&sweeper.is_away) && atomic_exchange(&sweeper.is_away, false))
        sweeper_come_back();
}

void sweeper_begin_in_child(void) {
    if (sweeper.memory == NULL)
        return;
    atomic_store(&sweeper.tid, 0);
    atomic_store(&sweeper.is_away, false);
    start();
    atomic_flag_clear(&sweeper.is_changing);
}

/* Marking must not take in what the program keeps out; joining sets and clears a flag that the
 * program may have set. */
void sweeper_note_advice(uintptr_t start_address, size_t length, int advice) {
    if (sweeper.memory == NULL || start_address + length < start_address)
        return;
    struct excluded *excluded = &sweeper.memory->excluded;
    bool marks = sweeper.options.work == SWEEP_MARK;
    if (marks ? advice == MADV_UNMERGEABLE : advice == MADV_RANDOM || advice == MADV_SEQUENTIAL)
        excluded_add(excluded, start_address, start_address + length);
    if (advice == (marks ? MADV_MERGEABLE : MADV_NORMAL))
        excluded_remove(excluded, start_address, start_address + length);
}
