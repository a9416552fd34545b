#include "mover.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../exec/descriptors.h"
#include "../exec/message.h"
#include "../exec/procfile.h"
#include "identity.h"
#include "reap.h"

enum { ATTEMPTS_MAX = 16 };
static const uint64_t loader_distance_max = (uint64_t)4 << 30;
/* Above the mmap area and what relocate.c may put there. */
enum { REAP_GAP = 16 << 20 };

_Noreturn static void give_up_after(const struct mover *mover, const char *what, int64_t result) {
    unsigned long event;
    /* Out of its stop, so somebody else kills it (ptrace(2): ESRCH): nothing was wrong, and the
     * number may be another process's by now. */
    if (ptrace(PTRACE_GETEVENTMSG, mover->target, 0L, &event) != 0)
        _exit(0);
    kill(mover->target, SIGKILL);
    message(
        "PID %d (%s) is killed, as it cannot be moved to the shared layout (%s: %lld); start it "
        "with --layout=random",
        mover->target, mover->command, what, (long long)result);
    _exit(1);
}

_Noreturn static void give_up(const struct mover *mover, const char *what) {
    give_up_after(mover, what, 0);
}

static int wait_for(pid_t pid, int *status) {
    while (waitpid(pid, status, __WALL) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* Hands on what happens to the target until its exec, as if nobody watched. */
static void await_exec(const struct mover *mover) {
    for (;;) {
        int status;
        if (wait_for(mover->target, &status) != 0 || !WIFSTOPPED(status))
            /* It failed to start anything, and has said why. */
            _exit(0);
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event == PTRACE_EVENT_EXEC)
            return;
        bool is_group_stop = event == PTRACE_EVENT_STOP && signal != SIGTRAP;
        if (is_group_stop)
            ptrace(PTRACE_LISTEN, mover->target, 0L, 0L);
        else
            ptrace(PTRACE_CONT, mover->target, 0L, event == 0 ? (long)signal : 0L);
    }
}

static bool find_instruction(struct injection *injection, const struct image *image) {
    for (int i = 0; i < image->vma_count; i++)
        if (image->vmas[i].start == image->vdso)
            return injection_find_instruction(injection, image->vdso, image->vmas[i].end);
    /* Without a vdso, ld.so has some, or a static program itself; both begin before the end of
     * their VMA with other code. */
    uint64_t counter =
#if defined(__x86_64__)
        injection->registers.rip;
#else
        injection->registers.pc;
#endif
    for (int i = 0; i < image->vma_count; i++)
        if (counter >= image->vmas[i].start && counter < image->vmas[i].end)
            return injection_find_instruction(injection, image->vmas[i].start, image->vmas[i].end);
    return false;
}

/* Whether the exec left what was arranged for it: else a part would lie where everybody knows. */
static const char *what_is_amiss(const struct mover *mover, const struct image *image) {
    char path[32], text[32];
    const uint64_t top = mover->arranged.mmap_top;
    if (image->is_privileged && !mover->arranged.was_privileged)
        return "it changes user, group or capabilities at exec";
    snprintf(path, sizeof path, "/proc/%d/personality", mover->target);
    if (procfile_read(path, text, sizeof text) < 0 ||
        (strtoul(text, NULL, 16) & ADDR_NO_RANDOMIZE) == 0)
        return "the kernel took the personality away";
    if (image->loader != 0 && (image->loader >= top || top - image->loader > loader_distance_max))
        return "its loader is not where the stack limit should have put it";
    return NULL;
}

static void move(const struct mover *mover) {
    struct injection injection;
    struct image image;
    struct identity identity;
    struct bases bases;
    char path[32];
    if (injection_begin(&injection, mover->target) != 0)
        give_up(mover, "/proc/PID/mem");
    const char *failed = image_read(&image, &injection);
    if (failed != NULL)
        give_up(mover, failed);
    failed = what_is_amiss(mover, &image);
    if (failed != NULL)
        give_up(mover, failed);
    if (!find_instruction(&injection, &image))
        give_up(mover, "it has no system call instruction");
    snprintf(path, sizeof path, "/proc/%d/exe", mover->target);
    if (identity_read(&identity, path) != 0)
        give_up(mover, "its file cannot be read");
    unsigned attempt = 0;
    do {
        bases = bases_derive(mover->key, identity.bytes, identity.length, attempt++);
    } while (!relocate_fits(&image, &bases) && attempt < ATTEMPTS_MAX);
    if (!relocate_fits(&image, &bases))
        give_up(mover, "it would step on itself");
    failed = relocate(&injection, &image, &bases, &mover->arranged);
    if (failed == NULL && mover->is_child)
        failed = reap_first(&injection, getpid(), mover->arranged.mmap_top + REAP_GAP);
    if (failed == NULL && injection_end(&injection) != 0)
        failed = "letting it go";
    if (failed != NULL)
        give_up_after(mover, failed, injection.result);
}

void mover_run(struct mover *mover) {
    pid_t own = getpid();
    char byte;
    /* Ctrl-C is for the program; an end of this process before the exec would be its end too. */
    setsid();
    /* It holds the key: no core, and nobody's eyes. */
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    descriptors_close_all_but(mover->commands, mover->answers);
    if (write(mover->answers, &own, sizeof own) != sizeof own ||
        read(mover->commands, &byte, 1) != 1)
        _exit(1);
    /* With all options in the call: a helper that is killed leaves no program half moved. */
    long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
    int error = ptrace(PTRACE_SEIZE, mover->target, 0L, options) == 0 ? 0 : errno;
    if (write(mover->answers, &error, sizeof error) != sizeof error || error != 0)
        _exit(1);
    close(mover->answers);
    close(mover->commands);
    await_exec(mover);
    /* Registers that are set at the exec's event are overwritten: its end is the place. */
    if (!inject_go_on(mover->target))
        give_up(mover, "it ended in its exec");
    move(mover);
    _exit(0);
}
