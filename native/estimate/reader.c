#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/clock.h"

enum { SILENCE_MS_MAX = 1500, LOOK_MS = 100, BATCH = 1024 };

static struct shared {
    _Atomic uint64_t ticks;
    int result;
    struct walked walked;
} * shared;
static struct {
    int to;
    size_t count;
    struct record records[BATCH];
} outgoing;

void reader_tick(void) {
    if (shared != NULL)
        atomic_fetch_add_explicit(&shared->ticks, 1, memory_order_relaxed);
}

static bool flush(void) {
    const char *at = (const char *)outgoing.records;
    size_t left = outgoing.count * sizeof *outgoing.records;
    while (left > 0) {
        ssize_t part = write(outgoing.to, at, left);
        if (part < 0 && errno != EINTR)
            return false;
        at += part < 0 ? 0 : part;
        left -= part < 0 ? 0 : (size_t)part;
        /* The parent may be slower than this child. */
        reader_tick();
    }
    outgoing.count = 0;
    return true;
}

bool reader_send(const struct record *record) {
    outgoing.records[outgoing.count++] = *record;
    return outgoing.count < BATCH || flush();
}

/* Keeps only this pipe open: a reader of our output must not wait for this process. */
static _Noreturn void run(const struct reading *reading, int to) {
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++)
        if (standard != to)
            close(standard);
    outgoing.to = to;
    outgoing.count = 0;
    int result = reading->read(reading->order, &shared->walked);
    shared->result = flush() ? result : -EPIPE;
    _exit(0);
}

/* Passes on complete records; the rest of an incomplete one is kept. */
static int take_some(const struct reading *reading, int from, size_t *used) {
    static union {
        struct record records[BATCH];
        unsigned char bytes[BATCH * sizeof(struct record)];
    } incoming;
    ssize_t part = read(from, incoming.bytes + *used, sizeof incoming.bytes - *used);
    if (part <= 0)
        return part == 0 ? 0 : errno == EINTR ? 1 : -errno;
    *used += (size_t)part;
    size_t count = *used / sizeof *incoming.records;
    for (size_t i = 0; i < count; i++)
        if (!reading->take(reading->order, &incoming.records[i]))
            return -ENOMEM;
    *used -= count * sizeof *incoming.records;
    for (size_t i = 0; i < *used; i++)
        incoming.bytes[i] = incoming.bytes[count * sizeof *incoming.records + i];
    return 1;
}

/* Until the child has closed its end. Returns 0 or -errno. */
static int take_all(const struct reading *reading, int from) {
    int64_t start = clock_now_ms(), heard = start;
    uint64_t ticks = 0;
    size_t used = 0;
    for (;;) {
        struct pollfd end = {.fd = from, .events = POLLIN};
        if (poll(&end, 1, LOOK_MS) > 0) {
            int result = take_some(reading, from, &used);
            if (result <= 0)
                return result;
        }
        uint64_t now_ticks = atomic_load(&shared->ticks);
        if (now_ticks != ticks)
            heard = clock_now_ms();
        ticks = now_ticks;
        if (clock_now_ms() - heard > SILENCE_MS_MAX ||
            (double)(clock_now_ms() - start) > reading->seconds_max * 1000)
            return -ETIME;
    }
}

int reader_run(const struct reading *reading, struct walked *walked) {
    int ends[2], status, result;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe2(ends, O_CLOEXEC) != 0) {
        shared = NULL;
        return -errno;
    }
    shared->result = -EIO;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run(reading, ends[1]);
    }
    result = child < 0 ? -errno : 0;
    close(ends[1]);
    if (child > 0) {
        result = take_all(reading, ends[0]);
        if (result != 0)
            kill(child, SIGKILL);
        /* A killed child may have to wait first; the end of this process leaves it to init. */
        while (waitpid(child, &status, result != 0 ? WNOHANG : 0) < 0 && errno == EINTR)
            continue;
        if (result == 0)
            result = shared->result;
    }
    *walked = shared->walked;
    close(ends[0]);
    munmap(shared, sizeof *shared);
    shared = NULL;
    return result;
}
