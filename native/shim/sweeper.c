/* A raw thread (clone(2), not pthread_create(3)), so that libc does not know of it: a program with
 * one thread of its own keeps the fast paths of malloc, stdio and shared_ptr, its last pthread_exit
 * still ends the process, and nothing is allocated. It has no thread-local storage and calls no
 * libc. The program continues only when the thread has given up everything that could be misused
 * (thread.c).
 *
 * A fork starts none: most children exec or end at once, and one that ends has to wait until its
 * threads have ended. No signal and no timer may report to a child that its memory has grown,
 * because both would be visible, so growth is checked in calls that processes make sooner or later
 * (forward.c). Until then a child costs nothing: the fork wipes what belongs to one process, and
 * copies no page of the shim's. */
#include "sweeper.h"

#include "linux.h"
#include "syscalls.h"

/* Larger than the holes that ld.so leaves between libraries: in one of them it would separate VMAs
 * that would otherwise join. Only the used part is resident. */
enum { MAPPING_BYTES = 128 * 1024 };
_Static_assert(sizeof(struct thread) <= MAPPING_BYTES, "");
enum { ERROR_SRCH = 3 };
/* Less growth is not worth a thread, and pages of libraries, which a child does not inherit, come
 * to nearly as much. The first NOTICES_EACH calls are all checked, later one in as many. */
enum { GROWTH_MIN_BYTES = 2 << 20, NOTICES_EACH = 16 };
enum { POLL_NANOSECONDS = 50 * 1000, POLLS_MAX = 20 * 1000 };

/* Inherited by children. All of the shim's data is in one page: more would cost every program one
 * more VMA. */
static struct {
    struct thread *thread;
    struct thread_options options;
    struct excluded excluded;
    _Atomic size_t swept_bytes;
    _Atomic bool must_stay_away;
    /* Another process that must not have one, nor its children. */
    _Atomic long filtered_pid;
} sweeper;

static long own_pid(void) {
    return SYSTEM_CALL(NUMBER_GETPID, 0);
}

/* On a word that nobody wakes: sched_yield(2) would not let a thread of lower priority run. */
static void pause_briefly(void) {
    static const int word;
    struct timespec time = {0, POLL_NANOSECONDS};
    SYSTEM_CALL(NUMBER_FUTEX, (long)&word, FUTEX_WAIT_PRIVATE, 0, (long)&time);
}

enum { SIG_SETMASK = 2 };

static unsigned long long block_signals(void) {
    unsigned long long all = ~0ULL, before = 0;
    SYSTEM_CALL(NUMBER_RT_SIGPROCMASK, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
    return before;
}

static void set_signals(unsigned long long mask) {
    SYSTEM_CALL(NUMBER_RT_SIGPROCMASK, SIG_SETMASK, (long)&mask, 0, sizeof mask);
}

/* A handler of the program's must not meet the lock of the thread that it interrupts. Returns the
 * signals that unlock() is to let through again. */
static unsigned long long lock(void) {
    unsigned long long before = block_signals();
    while (atomic_exchange(&sweeper.thread->lock, 1) != 0)
        pause_briefly();
    return before;
}

static void unlock(unsigned long long before) {
    atomic_store(&sweeper.thread->lock, 0);
    set_signals(before);
}

/* Returns whether there may be one in this process; not in a child of vfork(2), which shares this
 * memory. In this order: once a filter is in the way, no call is made. */
static bool is_for_this_process(void) {
    struct thread *thread = sweeper.thread;
    if (thread == NULL || atomic_load(&sweeper.must_stay_away))
        return false;
    long pid = atomic_load(&thread->pid);
    if (pid != 0)
        return pid == own_pid();
    /* A child that was forked. */
    long filtered = atomic_load(&sweeper.filtered_pid);
    if (filtered != 0 && filtered == SYSTEM_CALL(NUMBER_GETPPID, 0)) {
        atomic_store(&sweeper.must_stay_away, true);
        return false;
    }
    excluded_mend(&sweeper.excluded);
    atomic_store(&thread->pid, own_pid());
    return true;
}

static void run(void) {
    thread_run(sweeper.thread);
}

/* Waits until it has given up everything that could be misused, or is gone. */
static void wait_until_confined(struct thread *thread) {
    while (!atomic_load(&thread->is_confined) && atomic_load(&thread->tid) != 0) {
        struct timespec time = {0, 1000 * 1000};
        SYSTEM_CALL(NUMBER_FUTEX, (long)&thread->is_confined, FUTEX_WAIT_PRIVATE, 0, (long)&time);
    }
}

/* Signals are blocked: the thread takes none of the program's. */
static void start(void) {
    struct thread *thread = sweeper.thread;
    atomic_store(&thread->tid, 0);
    atomic_store(&thread->is_told_to_leave, 0);
    atomic_store(&thread->is_confined, 0);
    thread->options = sweeper.options;
    thread->excluded = &sweeper.excluded;
    thread->swept_bytes = &sweeper.swept_bytes;
    atomic_store(&thread->is_wanted, true);
    if (is_error(clone_call(CLONE_THREAD_FLAGS, thread->stack + sizeof thread->stack,
                            (int *)&thread->tid, run)))
        atomic_store(&thread->tid, 0);
    wait_until_confined(thread);
}

void sweeper_begin(const struct thread_options *options) {
    enum { READ_AND_WRITE = 3, PRIVATE_AND_ANONYMOUS = 0x22 };
    long mapping[6] = {0, MAPPING_BYTES, READ_AND_WRITE, PRIVATE_AND_ANONYMOUS, -1, 0};
    long at = map_memory(mapping);
    if (is_error(at))
        return;
    if (SYSTEM_CALL(NUMBER_MADVISE, at, MAPPING_BYTES, MADV_WIPEONFORK) != 0) {
        SYSTEM_CALL(NUMBER_MUNMAP, at, MAPPING_BYTES);
        return;
    }
    sweeper.thread = (struct thread *)at;
    sweeper.options = *options;
    atomic_store(&sweeper.thread->pid, own_pid());
    unsigned long long before = lock();
    start();
    unlock(before);
}

/* Asks the kernel whether the thread exists: a raw clone leaves a copy of this memory without it,
 * possibly even with the same PID, in a PID namespace of its own. */
static bool is_there(int tid) {
    return tid != 0 && SYSTEM_CALL(NUMBER_TGKILL, own_pid(), tid, 0) != -ERROR_SRCH;
}

/* The kernel clears tid a moment before the thread leaves its thread group (kernel/exit.c). The
 * limit is for a debugger that holds it. */
static void end_thread(struct thread *thread) {
    int tid = atomic_load(&thread->tid);
    atomic_store(&thread->is_told_to_leave, 1);
    SYSTEM_CALL(NUMBER_FUTEX, (long)&thread->is_told_to_leave, FUTEX_WAKE_PRIVATE, 1);
    for (int polls = 0; polls < POLLS_MAX && is_there(tid); polls++)
        pause_briefly();
}

static void step_aside(struct thread *thread) {
    if (thread->away_count++ == 0 && atomic_load(&thread->is_wanted))
        end_thread(thread);
}

bool sweeper_leave(void) {
    if (!is_for_this_process())
        return false;
    unsigned long long before = lock();
    step_aside(sweeper.thread);
    unlock(before);
    return true;
}

void sweeper_come_back(void) {
    struct thread *thread = sweeper.thread;
    unsigned long long before = lock();
    if (--thread->away_count == 0 && !atomic_load(&sweeper.must_stay_away) &&
        atomic_load(&thread->is_wanted))
        start();
    unlock(before);
}

/* A child of vfork(2) shares this memory, but its filter is not its parent's. */
void sweeper_stay_away(bool has_left, long pid) {
    if (has_left)
        atomic_store(&sweeper.must_stay_away, true);
    else
        atomic_store(&sweeper.filtered_pid, pid);
}

bool sweeper_is_used(void) {
    return sweeper.thread != NULL;
}

/* Two threads may fork at once. */
void sweeper_leave_until_mapping(void) {
    if (!is_for_this_process())
        return;
    unsigned long long before = lock();
    if (!atomic_exchange(&sweeper.thread->has_to_come_back, true))
        step_aside(sweeper.thread);
    unlock(before);
}

void sweeper_come_back_if_away(void) {
    struct thread *thread = sweeper.thread;
    if (thread != NULL && atomic_load(&thread->has_to_come_back) && is_for_this_process() &&
        atomic_exchange(&thread->has_to_come_back, false))
        sweeper_come_back();
}

/* getrusage(2): two times of two longs, then the peak in KiB, which a fork resets to the present
 * size (kernel/fork.c: dup_mm). It needs no descriptor, which another thread might close. */
static bool has_grown(size_t more_bytes) {
    enum { RUSAGE_SELF = 0, RUSAGE_LONGS = 18, RUSAGE_PEAK_KIB = 4 };
    long usage[RUSAGE_LONGS];
    if (SYSTEM_CALL(NUMBER_GETRUSAGE, RUSAGE_SELF, (long)usage) != 0)
        return true;
    size_t peak_bytes = (size_t)usage[RUSAGE_PEAK_KIB] * 1024;
    return peak_bytes + more_bytes >= atomic_load(&sweeper.swept_bytes) + GROWTH_MIN_BYTES;
}

void sweeper_notice(size_t more_bytes) {
    struct thread *thread = sweeper.thread;
    if (thread == NULL || atomic_load_explicit(&thread->is_wanted, memory_order_relaxed) ||
        atomic_load(&sweeper.must_stay_away))
        return;
    unsigned notices = atomic_fetch_add(&thread->notices, 1);
    if (notices >= NOTICES_EACH && notices % NOTICES_EACH != 0)
        return;
    if (!is_for_this_process() || !has_grown(more_bytes))
        return;
    unsigned long long before = lock();
    if (thread->away_count == 0 && !atomic_load(&sweeper.must_stay_away) &&
        !atomic_load(&thread->is_wanted))
        start();
    unlock(before);
}

void sweeper_look_soon(void) {
    if (sweeper.thread == NULL || atomic_load(&sweeper.must_stay_away))
        return;
    atomic_store(&sweeper.thread->is_to_look_soon, true);
    SYSTEM_CALL(NUMBER_FUTEX, (long)&sweeper.thread->is_told_to_leave, FUTEX_WAKE_PRIVATE, 1);
}

/* Marking must not include what the program excludes; joining sets and clears a flag that the
 * program may have set. */
void sweeper_note_advice(uintptr_t start_address, size_t length, int advice) {
    if (sweeper.thread == NULL || start_address + length < start_address)
        return;
    struct excluded *excluded = &sweeper.excluded;
    /* In a new child the list may hold half of what another thread was adding. */
    if (atomic_load(&sweeper.thread->pid) == 0)
        (void)is_for_this_process();
    bool marks = sweeper.options.work == SWEEP_MARK;
    if (marks ? advice == MADV_UNMERGEABLE : advice == MADV_RANDOM || advice == MADV_SEQUENTIAL)
        excluded_add(excluded, start_address, start_address + length);
    if (advice == (marks ? MADV_MERGEABLE : MADV_NORMAL))
        excluded_remove(excluded, start_address, start_address + length);
}

/* A walk that begins after the range was added leaves it out. If one goes on for too long, as under
 * a debugger, the thread is ended for good. */
void sweeper_exclude(uintptr_t start, uintptr_t end) {
    excluded_add(&sweeper.excluded, start, end);
    struct thread *thread = sweeper.thread;
    unsigned walk = thread == NULL ? 0 : atomic_load(&thread->walks);
    if (walk % 2 == 0)
        return;
    for (int polls = 0; polls < POLLS_MAX; polls++) {
        if (atomic_load(&thread->walks) != walk)
            return;
        pause_briefly();
    }
    (void)sweeper_leave();
}
